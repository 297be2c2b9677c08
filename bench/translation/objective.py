"""Translation: a recurrence reads a sentence, another writes it in another language.

Training maximises log p(target | source); validation translates greedily after each epoch, a
finished run is measured by the configured beam search. The network is `bench.translation.network`.

Shapes: B sentences, S source tokens, T target tokens, V target vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bench.core.config import RunConfig
from bench.core.errors import BenchError
from bench.data.tokens import END, UNKNOWN
from bench.layers.products import training_products
from bench.seq2seq.beam import Hypothesis
from bench.seq2seq.objective import WritingObjective
from bench.training.contract import mean_loss, own_options
from bench.translation.data.batches import Ids, TranslationBatch, TranslationBatches
from bench.translation.data.corpus import PairSplit, ParallelCorpus
from bench.translation.data.segmentation import Segmenter
from bench.translation.network import Pairs, TranslationNetwork
from bench.translation.options import TranslationOptions
from bench.translation.scoring import TranslationScoring
from bench.translation.search import TranslationSearch, alignments

# From what a search found to text; unknown words as they are, or replaced by their source words.
#
# M.-T. Luong, I. Sutskever, Q. Le, O. Vinyals and W. Zaremba, 2015, and S. Jean, K. Cho, R.
# Memisevic and Y. Bengio, 2015, replace an unknown word by the source word that it is aligned to,
# which is copied here; the alignment is attention's largest weight.
#
# Shapes: T target words, S source words, both with their end.


ReplaceUnknown = Literal["never", "aligned"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Translation:
    """One translation of one sentence."""

    tokens: tuple[int, ...]
    """Without the end."""
    text: str
    """Plain."""
    tokenised: str
    """Words between blanks."""
    log_prob: float
    """Natural, of the tokens and the end."""
    score: float
    """The same after the length penalty."""
    attention_TS: Tensor | None  # noqa: N815
    """Weights of the source's tokens for each token; both with their end. None where no network
    has attention, or nobody asked."""


def word(
    found: Hypothesis,
    attention_TS: Tensor | None,
    *,
    source: Segmenter,
    source_text: str,
    target: Segmenter,
    replace_unknown: ReplaceUnknown,
) -> Translation:
    """What was found for `source_text`, as text."""
    pieces = [target.symbols[token] for token in found.tokens]
    if replace_unknown == "aligned" and UNKNOWN in found.tokens:
        if attention_TS is None:
            raise BenchError(
                "unknown words are replaced by the words that attention points to, and these "
                "models have none: leave the replacement out"
            )
        source_pieces = source.pieces(source_text)
        source_T = attention_TS[:, : len(source_pieces)].argmax(1).tolist()
        for place, token in enumerate(found.tokens):
            if token == UNKNOWN:
                pieces[place] = source_pieces[source_T[place]]
    return Translation(
        tokens=found.tokens,
        text=target.decode_pieces(pieces),
        tokenised=target.tokenise_pieces(pieces),
        log_prob=found.log_prob,
        score=found.score,
        attention_TS=attention_TS,
    )


EVALUATION_TOKENS = 4000
"""Of a batch that is not trained on."""


class TranslationObjective(WritingObjective):
    """Any recurrence over the source, any causal one over the target."""

    Options = TranslationOptions
    corpus: ParallelCorpus
    network: TranslationNetwork

    def __init__(self, config: RunConfig, corpus: ParallelCorpus) -> None:
        options = own_options(config, TranslationOptions)
        super().__init__(config, corpus, options)
        self.options = options
        train = corpus.splits["train"]
        counts_V = train.target.counts(len(corpus.target.symbols))
        counts_V[END] = len(train)
        self.set_network(
            TranslationNetwork(
                config.model,
                options,
                source_size=len(corpus.source.symbols),
                target_counts_V=torch.from_numpy(counts_V),
                products=training_products(config.trainer),
            )
        )
        self.search = TranslationSearch(
            beam_size=options.beam_size,
            penalty=self.length_penalty,
            max_length_factor=options.max_length_factor,
        )
        self.quick_search = TranslationSearch(max_length_factor=options.max_length_factor)
        self.scoring = TranslationScoring(
            protocol=replace(corpus.bleu, unknown=options.replace_unknown),
            train_sources=lambda: train.source_text,
            num_skipped=len(corpus.skipped),
        )
        if options.replace_unknown == "aligned" and options.attention == "none":
            raise BenchError(
                "objective.replace_unknown aligned needs a network with attention: set "
                "--objective.attention, or leave unknown words as they are"
            )
        self._evaluated: PairSplit = corpus.splits["valid"]

    # Examples -----------------------------------------------------------------------------------

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> TranslationBatches:
        return TranslationBatches(
            self.corpus.splits["train"],
            batch_tokens=self.options.batch_tokens,
            longest=self.options.longest,
            seed=self.config.seed,
            rank=rank,
            world_size=world_size,
        )

    def evaluation_loader(self, split: str) -> TranslationBatches:
        """All of a split; it is the one that the next evaluation scores."""
        self._evaluated = self.corpus.splits[split]
        return TranslationBatches(self._evaluated, batch_tokens=EVALUATION_TOKENS, order="sorted")

    # Loss ---------------------------------------------------------------------------------------

    def batch_loss(self, batch: TranslationBatch) -> tuple[Tensor, Tensor]:
        with self.training_products():
            return self.network.loss(as_pairs(batch), teacher_forcing=self.teacher_forcing())

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: TranslationBatch) -> Tensor:
        if self.options.loss_scale == "sentence":
            return loss_sum / batch.num_sentences
        return loss_sum / batch.num_target_tokens

    # Metric -------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.scoring.begin(self._evaluated)

    def validation_step(self, batch: TranslationBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.quick_search)

    def test_step(self, batch: TranslationBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.search)

    def _evaluate(self, batch: TranslationBatch, search: TranslationSearch) -> None:
        pairs, networks = as_pairs(batch), [self.network]
        nats_B = -self.network.target_log_probs(pairs).double().sum(1)
        self.evaluation_sums += torch.stack([nats_B.sum(), pairs.target_lengths.sum().double()])
        if not bool(nats_B.isfinite().all()):
            return  # nothing to search; that the run has diverged is said of the loss
        found = search(networks, pairs.source, pairs.source_lengths)
        weights: list[list[Tensor | None]] = [[None] for _ in found]
        if self.options.replace_unknown == "aligned":
            weights = alignments(networks, pairs.source, pairs.source_lengths, found)
        places = batch.places.tolist()
        translations = [
            word(
                best[0],
                attention[0],
                source=self.corpus.source,
                source_text=self._evaluated.source_text[place],
                target=self.corpus.target,
                replace_unknown=self.options.replace_unknown,
            )
            for best, attention, place in zip(found, weights, places, strict=True)
        ]
        self.scoring.add(self._evaluated, places, translations, nats_B.tolist())

    @property
    def findings(self) -> Sequence[dict[int, Any]]:
        return (self.scoring.found,)

    @property
    def metric(self) -> str:
        return "bleu"

    def evaluation_metric(self) -> float:
        return self.scoring.bleu

    def beside_metric(self) -> dict[str, float]:
        return self.scoring.beside

    def validation_choice(self) -> float:
        if self.options.choose_by == "loss":
            return mean_loss(self.evaluation_sums)
        return 100.0 - self.evaluation_metric()  # the least is chosen

    @property
    def signature(self) -> str:
        return self.scoring.signature

    @property
    def bound(self) -> float | None:
        return (self.corpus.bound or {}).get("test")

    def keep_evaluation(self, folder: Path, split: str) -> None:
        self.scoring.keep(folder, split, self.search.signature)

    # Cost ---------------------------------------------------------------------------------------

    def _train_lengths(self) -> tuple[Ids, Ids]:
        """Of the pairs that are trained on, source and target with their ends."""
        train, longest = self.corpus.splits["train"], self.options.longest
        source_N, target_N = train.source.length_N, train.target.length_N
        kept_N = np.maximum(source_N, target_N) <= (longest or np.inf)
        return source_N[kept_N] + 1, target_N[kept_N] + 1

    @property
    def num_train_units(self) -> int:
        return int(self._train_lengths()[1].sum())

    def units_in(self, batch: TranslationBatch) -> int:
        return int(batch.target_lengths.sum())

    def flops_per_unit(self) -> int:
        source_N, target_N = self._train_lengths()
        per_target = float(source_N.sum() / target_N.sum())
        return self.network.flops_per_target_word(per_target, float(source_N.mean()))


def as_pairs(batch: TranslationBatch) -> Pairs:
    """What the network reads of a batch."""
    return Pairs(batch.source, batch.source_lengths, batch.target, batch.target_lengths)
