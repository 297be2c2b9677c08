"""Translation: a recurrence reads a sentence, another writes it in another language.

Training maximises log p(target | source); validation translates greedily after each epoch, a
finished run is measured by the configured beam search. The network is `bench.translation.network`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.core.config import RunConfig
from bench.core.errors import BenchError
from bench.data.tokens import END
from bench.layers.products import training_products
from bench.seq2seq.objective import WritingObjective
from bench.training.objective import own_options
from bench.translation.data.batches import Ids, TranslationBatch, TranslationBatches
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.network import Pairs, TranslationNetwork
from bench.translation.options import TranslationOptions
from bench.translation.scoring import TranslationMetric, translate_batch
from bench.translation.search import TranslationSearch

EVALUATION_TOKENS = 4000
"""Tokens of a batch that is not trained on."""


class TranslationObjective(WritingObjective):
    """Translation with any recurrence over the source and any causal one over the target."""

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
        if options.replace_unknown == "aligned" and options.attention == "none":
            raise BenchError(
                "objective.replace_unknown aligned needs a network with attention: set "
                "--objective.attention, or leave unknown words as they are"
            )
        self.metric: TranslationMetric = TranslationMetric(
            corpus,
            search=self.search.signature,
            unknown=options.replace_unknown,
            choose_by=options.choose_by,
        )

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
        self.metric.split = self.corpus.splits[split]
        return TranslationBatches(self.metric.split, batch_tokens=EVALUATION_TOKENS, order="sorted")

    # Loss and metric ----------------------------------------------------------------------------

    def batch_loss(self, batch: TranslationBatch) -> tuple[Tensor, Tensor]:
        with self.training_products():
            return self.network.loss(as_pairs(batch), teacher_forcing=self.teacher_forcing())

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: TranslationBatch) -> Tensor:
        if self.options.loss_scale == "sentence":
            return loss_sum / batch.num_sentences
        return loss_sum / batch.num_target_tokens

    def evaluate_batch(self, batch: TranslationBatch, *, final: bool) -> None:
        pairs, metric = as_pairs(batch), self.metric
        metric.is_final = final
        nats_B = -self.network.target_log_probs(pairs).double().sum(1)
        metric.update(nats_B.sum(), pairs.target_lengths.sum())
        if not bool(nats_B.isfinite().all()):
            return  # diverged, as the loss says: there is nothing to search
        places = batch.places.tolist()
        found = translate_batch(
            [self.network],
            self.search if final else self.quick_search,
            *pairs.sources,
            lines=[metric.split.source_text[place] for place in places],
            corpus=self.corpus,
            replace_unknown=self.options.replace_unknown,
            attention="omit",
        )
        metric.add(places, [best for (best,) in found], nats_B.tolist())

    @property
    def bound(self) -> float | None:
        return (self.corpus.bound or {}).get("test")

    # Cost ---------------------------------------------------------------------------------------

    def _train_lengths(self) -> tuple[Ids, Ids]:
        """Lengths of the pairs that are trained on, source and target with their ends."""
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
    """Sentences of a batch as the network reads them."""
    return Pairs(batch.source, batch.source_lengths, batch.target, batch.target_lengths)
