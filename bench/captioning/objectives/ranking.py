"""Ranking: sentences and images that belong together come closer than those that do not.

Validation and test rank every sentence for every image and every image for every sentence; the
metric is the mean of R@1, R@5 and R@10 of both ways. The network is
`bench.captioning.network.ranking`.

Shapes: B sentences of a batch, S sentences, I images.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.captioning.data.batches import CaptionBatch, CaptionBatches
from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.network.captioner import WordRegions, write_alignments
from bench.captioning.network.options import RankingOptions
from bench.captioning.network.ranking import Floats, RankingNetwork, Ranks, ranking_loss, ranks
from bench.core.config import RunConfig
from bench.training.collective import Gathering
from bench.training.metrics import Score, SplitMetric
from bench.training.objective import Objective, own_options

EVALUATION_TOKENS = 8000
"""Tokens of a batch that is evaluated."""


class RankingMetric(SplitMetric):
    """Mean recall of a split's sentences and images; its loss compares all of them at once."""

    def __init__(self, corpus: CaptionCorpus, options: RankingOptions) -> None:
        super().__init__(name="recall")
        self.corpus, self.options = corpus, options
        self.pair_loss = partial(ranking_loss, margin=options.margin, negatives=options.negatives)
        self.split = corpus.splits["valid"]
        """The split that is evaluated."""
        self.scores: dict[int, Floats] = self.keyed()
        """Place of a sentence in the split -> its scores with all images [I]."""

    @property
    def signature(self) -> str:
        test = self.corpus.splits["test"]
        return Ranks.signature(self._scores, num_images=len(test), num_captions=test.num_captions)

    @property
    def _scores(self) -> str:
        return f"ranking({self.options.similarity})"

    def add(self, place_B: Tensor, score_BI: Tensor) -> None:
        """Update with the scores of some sentences."""
        self.update(score_BI.new_zeros(()), score_BI.new_tensor(len(score_BI)))
        self.scores.update(zip(place_B.tolist(), score_BI.cpu().numpy(), strict=True))

    def _stacked(self) -> Floats:
        """Scores of the whole split [S, I]."""
        return np.stack([self.scores[place] for place in sorted(self.scores)])

    def mean_loss(self) -> float:
        score_SI = torch.from_numpy(self._stacked()).to(self.device)
        column_S = torch.from_numpy(self.split.image_of).to(self.device)
        same_SI = column_S[:, None] == torch.arange(score_SI.shape[1], device=self.device)
        return float(self.pair_loss(score_SI, column_S, same_SI)) / len(column_S)

    def score(self, loss: float) -> Score:
        found = ranks(self._stacked(), self.split.image_of)
        return Score(
            value=found.mean_recall,
            loss=loss,
            choice=loss if self.options.choose_by == "loss" else 100.0 - found.mean_recall,
            beside=found.beside(self._scores),
        )


class RankingObjective(Objective):
    """Ranking by any recurrence over sentences and a linear map of images."""

    Options = RankingOptions
    whole_batches = "it compares every caption of a batch with every image of it"
    corpus: CaptionCorpus

    def __init__(self, config: RunConfig, corpus: CaptionCorpus) -> None:
        super().__init__(config, corpus)
        self.options = own_options(config, RankingOptions)
        store = corpus.features
        self.network = RankingNetwork(
            config.model,
            self.options,
            feature_shape=store.array.shape[1:],
            vocabulary_size=len(corpus.vocabulary.symbols),
        )
        self.network.scale.learn(store.rows, corpus.splits["train"].feature_row)
        self.metric: RankingMetric = RankingMetric(corpus, self.options)
        self._images: Tensor | None = None
        """Images of the split that is evaluated."""

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> CaptionBatches:
        return CaptionBatches(
            self.corpus.splits["train"],
            self.corpus.features,
            batch_tokens=self.options.batch_tokens,
            seed=self.config.seed,
            rank=rank,
            world_size=world_size,
        )

    def evaluation_loader(self, split: str) -> CaptionBatches:
        self.metric.split = self.corpus.splits[split]
        return CaptionBatches(
            self.metric.split,
            self.corpus.features,
            batch_tokens=EVALUATION_TOKENS,
            seed=self.config.seed,
            order="sorted",
        )

    def batch_loss(self, batch: CaptionBatch) -> tuple[Tensor, Tensor]:
        """Loss of this process's captions, compared with images and captions of all processes.

        Images are sent around, then scores: words, of which there are most, stay where they are.
        """
        images = self.network.images(batch.features)
        sentences = self.network.sentences(batch.caption, batch.lengths)
        of_all = Gathering(len(batch.image), self.device)
        score_SI = of_all(self.network.similarity(sentences, of_all(images)))
        image_S = of_all(batch.image)
        column_S = torch.arange(len(image_S), device=score_SI.device)
        same_SI = image_S[:, None] == image_S
        loss = self.metric.pair_loss(score_SI, column_S, same_SI, own=of_all.own)
        return loss, batch.lengths.new_tensor(len(batch.image))

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: CaptionBatch) -> Tensor:
        return loss_sum / batch.num_captions

    def evaluate_batch(self, batch: CaptionBatch, *, final: bool) -> None:
        if self._images is None or not self.metric.scores:  # weights or split have changed
            rows = self.corpus.features.rows(self.metric.split.feature_row)
            self._images = self.network.images(torch.from_numpy(rows).to(self.device))
        sentences = self.network.sentences(batch.caption, batch.lengths)
        self.metric.add(batch.place, self.network.similarity(sentences, self._images))

    def keep(self, folder: Path, split: str) -> None:
        if self.options.similarity == "regions":
            write_alignments(folder, split, self.alignments(split))

    @torch.no_grad()
    def alignments(self, split: str) -> list[WordRegions]:
        """The best region of its own image for each word of each caption."""
        part, found = self.corpus.splits[split], dict[int, WordRegions]()
        for batch in self.evaluation_loader(split):
            sentences = self.network.sentences(batch.caption, batch.lengths)
            best = self.network.align(sentences, self.network.images(batch.features))
            rows = zip(*(part.tolist() for part in (batch.place, batch.image, *best)), strict=True)
            for place, image, region, score in rows:
                words = part.captions[image][place - int(part.first[image])]
                found[place] = WordRegions.of(part.names[image], words, region, score)
        return [found[place] for place in sorted(found)]

    @property
    def num_train_units(self) -> int:
        return self.corpus.splits["train"].num_tokens

    def units_in(self, batch: CaptionBatch) -> int:
        return int(batch.lengths.sum())

    def flops_per_unit(self) -> int:
        shape = self.corpus.features.array.shape
        num_regions = shape[1] if self.options.similarity == "regions" else 1
        per_sentence = self.network.flops_per_sentence(num_regions)
        sentences = self.corpus.splits["train"].num_captions / self.num_train_units
        return int(self.network.flops_per_word() + per_sentence * sentences)
