"""Ranking: sentences and images that belong together come closer than those that do not.

Validation and test rank every sentence for every image and every image for every sentence; the
metric is the mean of R@1, R@5 and R@10 of both ways. The network is `bench.captioning.network`.

Shapes: S sentences, I images, J joint space, T words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from bench.captioning.data.batches import CaptionBatch, CaptionBatches
from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.network.captioner import WordRegions, write_alignments
from bench.captioning.network.options import RankingOptions
from bench.captioning.network.ranking import Floats, RankingNetwork, Ranks, ranking_loss, ranks
from bench.core.config import RunConfig
from bench.training.collective import Gathering
from bench.training.objective import Objective, own_options

EVALUATION_TOKENS = 8000
"""Of a batch that is not trained on."""


class RankingObjective(Objective):
    """Any recurrence over sentences, a linear map of images."""

    Options = RankingOptions
    unit: ClassVar[Literal["token", "frame", "label"]] = "token"
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
        self._evaluated: CaptionSplit = corpus.splits["valid"]
        self._images: Tensor | None = None
        """Of the split that is evaluated."""
        self.found: dict[int, Floats] = {}
        """Place of a caption in it -> its scores with all its images."""
        self._ranks: Ranks | None = None

    # Examples -----------------------------------------------------------------------------------

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> CaptionBatches:
        return self._batches("train", self.options.batch_tokens, rank, world_size)

    def evaluation_loader(self, split: str) -> CaptionBatches:
        """All captions of a split; it is the one that the next evaluation ranks."""
        self._evaluated = self.corpus.splits[split]
        return self._batches(split, EVALUATION_TOKENS, 0, 1)

    def _batches(self, split: str, tokens: int, rank: int, world_size: int) -> CaptionBatches:
        return CaptionBatches(
            self.corpus.splits[split],
            self.corpus.features,
            batch_tokens=tokens,
            seed=self.config.seed,
            order="shuffled" if split == "train" else "sorted",
            rank=rank,
            world_size=world_size,
        )

    # Loss ---------------------------------------------------------------------------------------

    def batch_loss(self, batch: CaptionBatch) -> tuple[Tensor, Tensor]:
        """Of this process's captions, compared with the images and captions of all of them.

        Images are sent around, then scores: words, of which there are most, stay where they are.
        """
        images = self.network.images(batch.features)
        sentences = self.network.sentences(batch.caption, batch.lengths)
        of_all = Gathering(len(batch.image), self.device)
        score_SI = of_all(self.network.similarity(sentences, of_all(images)))
        image_S = of_all(batch.image)
        column_S = torch.arange(len(image_S), device=score_SI.device)
        loss = self._loss(score_SI, column_S, image_S[:, None] == image_S, own=of_all.own)
        return loss, batch.lengths.new_tensor(len(batch.image))

    def _loss(
        self, score_SI: Tensor, column_S: Tensor, same_SI: Tensor, *, own: slice = slice(None)
    ) -> Tensor:
        options = self.options
        return ranking_loss(
            score_SI,
            column_S,
            same_SI,
            margin=options.margin,
            negatives=options.negatives,
            own=own,
        )

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: CaptionBatch) -> Tensor:
        return loss_sum / batch.num_captions

    # Metric -------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.found, self._images, self._ranks = {}, None, None

    def validation_step(self, batch: CaptionBatch, batch_idx: int) -> None:
        if self._images is None:
            rows = self.corpus.features.rows(self._evaluated.feature_row)
            self._images = self.network.images(torch.from_numpy(rows).to(self.device))
        sentences = self.network.sentences(batch.caption, batch.lengths)
        score_BI = self.network.similarity(sentences, self._images).cpu().numpy()
        self.found.update(zip(batch.place.tolist(), score_BI, strict=True))

    @property
    def findings(self) -> Sequence[dict[int, Any]]:
        return (self.found,)

    def end_evaluation(self) -> None:
        found = np.stack([self.found[place] for place in sorted(self.found)])
        score_SI = torch.from_numpy(found).to(self.device)
        column_S = torch.from_numpy(self._evaluated.image_of).to(score_SI.device)
        same_SI = column_S[:, None] == torch.arange(score_SI.shape[1], device=score_SI.device)
        loss = self._loss(score_SI, column_S, same_SI)
        self.evaluation_sums[0], self.evaluation_sums[1] = loss.double(), len(column_S)
        if math.isfinite(float(loss)):
            self._ranks = ranks(found, self._evaluated.image_of)

    @property
    def ranks(self) -> Ranks:
        """Of the split that was evaluated last."""
        assert self._ranks is not None
        return self._ranks

    @property
    def metric(self) -> str:
        return "recall"

    def metric_value(self, mean_nats: float) -> float | None:
        return None

    def evaluation_metric(self) -> float:
        return self.ranks.mean_recall

    def beside_metric(self) -> dict[str, float]:
        return self.ranks.beside(self._scores)

    def validation_choice(self) -> float:
        if self.options.choose_by == "loss":
            return mean_loss(self.evaluation_sums)
        return 100.0 - self.evaluation_metric()  # the least is chosen

    def curve_values(self, loss_train: float, loss_valid: float) -> dict[str, float | None]:
        losses = {"loss_train": loss_train, "loss_valid": loss_valid}
        return {"train": None, "valid": self.evaluation_metric(), **losses}

    @property
    def _scores(self) -> str:
        return f"ranking({self.options.similarity})"

    @property
    def signature(self) -> str:
        test = self.corpus.splits["test"]
        return Ranks.signature(self._scores, num_images=len(test), num_captions=test.num_captions)

    def keep_evaluation(self, folder: Path, split: str) -> None:
        if self.options.similarity == "regions":
            write_alignments(folder, split, self.alignments(split))

    @torch.no_grad()
    def alignments(self, split: str) -> list[WordRegions]:
        """The best region of its own image for each word of each caption."""
        part, found = self.corpus.splits[split], list[tuple[int, WordRegions]]()
        for batch in self._batches(split, EVALUATION_TOKENS, 0, 1):
            sentences = self.network.sentences(batch.caption, batch.lengths)
            best = self.network.align(sentences, self.network.images(batch.features))
            rows = zip(*(part.tolist() for part in (batch.place, batch.image, *best)), strict=True)
            for place, image, region, score in rows:
                words = part.captions[image][place - int(part.first[image])]
                found.append((place, WordRegions.of(part.names[image], words, region, score)))
        return [line for _, line in sorted(found, key=lambda pair: pair[0])]

    # Cost ---------------------------------------------------------------------------------------

    @property
    def num_train_units(self) -> int:
        train = self.corpus.splits["train"]
        return int(train.rows.length_N.sum()) + train.num_captions

    def units_in(self, batch: CaptionBatch) -> int:
        return int(batch.lengths.sum())

    def flops_per_unit(self) -> int:
        shape = self.corpus.features.array.shape
        num_regions = shape[1] if self.options.similarity == "regions" else 1
        per_sentence = self.network.flops_per_sentence(num_regions)
        sentences = self.corpus.splits["train"].num_captions / self.num_train_units
        return int(self.network.flops_per_word() + per_sentence * sentences)
