"""Language modelling by truncated back-propagation through time.

p(w_1 .. w_N) = prod_t p(w_t | w_<t), each factor a softmax over the vocabulary of an affine map of
the recurrence's output; the text is read as parallel contiguous streams whose state is carried
from chunk to chunk and cut off from the gradient there (Williams and Peng, 1990).

Shapes: B streams, T steps, E embedding, H output of the recurrence, V vocabulary, N = B T tokens.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
import torch
from torch import Tensor, nn

from bench.core.config import Count, Positive, RunConfig, Share
from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.layers import build_output_layer
from bench.layers.products import training_products
from bench.models import build_recurrence
from bench.text.data.corpus import TextCorpus
from bench.text.data.streams import Streams
from bench.text.metric import bound_value, metric_name, metric_value, text_signature
from bench.text.outputs import (
    TextSample,
    TextSamples,
    TextSamplesHeader,
    write_log_probs,
    write_text_samples,
)
from bench.training.dropout import drop, drop_words
from bench.training.metrics import Score, SplitMetric
from bench.training.objective import Objective, own_options

NUM_TEXTS = 10
NUM_SYMBOLS = {"word": 40, "char": 200}


@torch.no_grad()
def draw_texts(
    model: LanguageModel, *, seed: int, num_texts: int = NUM_TEXTS, num_symbols: int | None = None
) -> TextSamples:
    """Draw texts from the start of a sentence on, by a random stream of their own.

    Nothing that training or evaluation reads is touched: neither the state that the model carries
    nor the global random streams.
    """
    corpus, was_training = model.corpus, model.training
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    last_B = torch.full((num_texts,), corpus.first_input, device=model.device)
    state, drawn = None, []
    for _ in range(num_symbols or NUM_SYMBOLS[corpus.unit]):
        y_BTH, state = model.recurrence(model.embedding(last_B[:, None]), state)
        log_p_BV = model.output.log_distribution(y_BTH[:, -1]).float().cpu()
        last_B = torch.multinomial(log_p_BV.exp(), 1, generator=generator)[:, 0].to(model.device)
        drawn.append(last_B.cpu())
    model.train(was_training)
    symbols, between = corpus.vocabulary.symbols, "" if corpus.unit == "char" else " "
    texts = [between.join(symbols[i] for i in row) for row in torch.stack(drawn, 1).tolist()]
    return TextSamples(
        header=TextSamplesHeader(drawn=f"from p(w | history), seed {seed}"),
        lines=[TextSample(text=text) for text in texts],
    )


class LanguageModelOptions(Frozen, frozen=True, kw_only=True):
    """Options of reading the text and of the layers around the recurrence."""

    batch_size: Count = 20
    """Parallel streams of training text, over all devices."""
    bptt_length: Count = 35
    """Steps through which gradients flow."""
    embedding_size: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 0
    """Size of the input vectors; 0: as many as the recurrence's hidden units."""
    embeddings: Literal["separate", "tied"] = "separate"
    """tied: the output layer's weights are the input vectors (Press and Wolf, 2017)."""
    dropout_input: Share = 0.0
    """Share of the input vectors' entries that is dropped."""
    dropout_output: Share = 0.0
    """Share of the recurrence's outputs that is dropped before the softmax."""
    dropout_words: Share = 0.0
    """Share of the vocabulary whose input vectors are dropped for a whole batch (Gal, 2016)."""
    dropout_mask: Literal["step", "sequence"] = "step"
    """A new mask each step, or one for all steps of a chunk (Gal and Ghahramani, 2016)."""
    init_range: Positive = 0.1
    """Embeddings begin as U(-init_range, init_range)."""
    output_init_range: Positive | None = None
    """The output layer's weights begin as U(-output_init_range, output_init_range); its own rule
    when not given."""
    output_bias: Literal["unigram", "zero"] = "unigram"
    """The softmax begins at the training text's word frequencies, or at zero."""
    loss_scale: Literal["token", "stream", "sum"] = "token"
    """Differentiated quantity: mean over tokens, sum over steps and mean over streams, or sum."""
    output: Literal["full", "classes", "adaptive"] = "full"
    """Output layer."""
    num_classes: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    """Classes of the two-level softmax; 0: chosen from the vocabulary's size."""


class TextMetric(SplitMetric):
    """Perplexity of words or bits per character, from the mean loss."""

    def __init__(self, corpus: TextCorpus) -> None:
        super().__init__(name=metric_name(corpus))
        self.corpus = corpus
        self.log_probs: list[Tensor] = []
        """Log-probability of each token [N], in pieces, where `add` was called."""

    @property
    def signature(self) -> str:
        return text_signature(self.corpus)

    def add(self, log_p_N: Tensor) -> None:
        """Update with the log-probability of each token, and remember it."""
        self.log_probs.append(log_p_N.cpu())
        loss = -log_p_N.double().sum()
        self.update(loss, torch.full_like(loss, len(log_p_N)))

    def reset(self) -> None:
        super().reset()
        self.log_probs = []

    def score(self, loss: float) -> Score:
        return Score(value=self.from_loss(loss), loss=loss, choice=loss)

    def from_loss(self, loss: float) -> float:
        return metric_value(self.corpus, loss)

    def keep(self, folder: Path, split: str) -> None:
        write_log_probs(folder, split, torch.cat(self.log_probs).double().numpy())


class LanguageModel(Objective):
    """Next-symbol prediction over one long text, for any causal recurrence."""

    Options = LanguageModelOptions
    validation = "whole"  # one stream: a share could not begin with the state before it
    corpus: TextCorpus

    def __init__(self, config: RunConfig, corpus: TextCorpus) -> None:
        super().__init__(config, corpus)
        self.options = own_options(config, LanguageModelOptions)
        model = {key: value for key, value in config.model.items() if key != "name"}
        vocabulary_size = len(corpus.vocabulary.symbols)
        embedding_size = self.options.embedding_size or int(config.model["hidden_size"] or 0)
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.recurrence = build_recurrence(str(config.model["name"]), embedding_size, model)
        if not self.recurrence.is_causal:
            raise BenchError(
                f"{config.model['name']} with these options reads later words, a language model "
                "may not: choose --model.direction forward"
            )
        self.output = build_output_layer(
            self.options.output,
            self.recurrence.output_size,
            torch.from_numpy(corpus.vocabulary.counts),
            num_classes=self.options.num_classes,
            output_bias=self.options.output_bias,
            products=training_products(config.trainer),
            evaluation_products=config.trainer.products,
        )
        self.loss_limit = 3.0 * math.log(vocabulary_size)  # a uniform guess costs log V
        self.metric: TextMetric = TextMetric(corpus)
        self._initialise()

    def _initialise(self) -> None:
        nn.init.uniform_(self.embedding.weight, -self.options.init_range, self.options.init_range)
        if (limit := self.options.output_init_range) is not None:
            for weight in self.output.parameters():
                if weight.dim() > 1:
                    nn.init.uniform_(weight, -limit, limit)
        if self.options.embeddings == "tied":
            self.output.tie(self.embedding)

    def batch_loss(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        input_BT, target_BT = batch
        y_BTH = self.read(input_BT)
        y_NH = drop(y_BTH, self.options.dropout_output, self.options.dropout_mask, self.training)
        loss, count = self.output.loss(y_NH.flatten(0, 1), target_BT.flatten())
        return loss, count

    def read(self, input_BT: Tensor) -> Tensor:
        """Outputs y_BTH of the recurrence; the state is carried on, cut off from the gradient."""
        options = self.options
        x_BTE = drop_words(self.embedding, input_BT, options.dropout_words, self.training)
        x_BTE = drop(x_BTE, options.dropout_input, options.dropout_mask, self.training)
        y_BTH, state = self.recurrence(x_BTE, self.carried)
        self.carried = tuple(tensor.detach() for tensor in state)
        return cast(Tensor, y_BTH)

    def evaluate_batch(self, batch: tuple[Tensor, Tensor], *, final: bool) -> None:
        if final:
            self.metric.add(self.token_log_probs(batch))
        else:
            self.metric.update(*self.batch_loss(batch))

    def token_log_probs(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Log-probability of each target [N], without gradient; the state is carried on."""
        input_BT, target_BT = batch
        y_BTH = self.read(input_BT)
        return self.output.log_probs(y_BTH.flatten(0, 1), target_BT.flatten())

    def keep(self, folder: Path, split: str) -> None:
        super().keep(folder, split)
        if split == "test":
            write_text_samples(folder, split, draw_texts(self, seed=self.config.seed))

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: Any) -> Tensor:
        if self.options.loss_scale == "token":
            return loss_sum / count
        if self.options.loss_scale == "stream":
            return loss_sum / self.options.batch_size
        return loss_sum

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> Streams:
        return Streams(
            self.corpus.splits["train"],
            batch_size=self.options.batch_size,
            bptt_length=self.options.bptt_length,
            first_input=self.corpus.first_input,
            rank=rank,
            world_size=world_size,
        )

    def evaluation_loader(self, split: str) -> Streams:
        """The split as one stream."""
        tokens = self.corpus.splits[split]
        return Streams(tokens, batch_size=1, bptt_length=1000, first_input=self.corpus.first_input)

    @property
    def bound(self) -> float | None:
        return bound_value(self.corpus)

    def units_in(self, batch: tuple[Tensor, Tensor]) -> int:
        return batch[1].numel()

    @property
    def products_in_effect(self) -> str:
        return self.output.products_in_effect

    @property
    def num_train_units(self) -> int:
        return len(self.corpus.splits["train"])

    def flops_per_unit(self) -> int:
        return self.recurrence.flops_per_step() + self.output.flops_per_token()
