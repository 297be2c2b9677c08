"""Frame prediction: the frames that follow those given, pixel by pixel.

Training minimises -[x log p + (1 - x) log(1 - p)], summed over the pixels of a frame, x between 0
and 1 being how much ink is there. The network is `bench.frames.network`.

Shapes: B sequences, T frames, K predicted frames, P patches, D pixels of a patch, Y X pixels.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.core.config import RunConfig
from bench.frames.data.batches import FrameBatch, FrameBatches
from bench.frames.data.corpus import FrameCorpus
from bench.frames.data.motion import INK
from bench.frames.network import FrameNetwork, FramePredictionOptions, from_patches, to_patches
from bench.frames.outputs import NUM_SHOWN, Floats, PredictedFrames, signatures
from bench.layers.products import Products, float32_products_as, products_in_effect
from bench.training.metrics import Score, SplitMetric
from bench.training.objective import Objective, own_options

EVALUATION_SEQUENCES = 50
"""Sequences of a batch that is not trained on."""


class FrameMetric(SplitMetric):
    """Cross-entropy of a predicted frame in nats, and beside it its squared error."""

    def __init__(self, corpus: FrameCorpus) -> None:
        super().__init__(name="cross-entropy")
        self.corpus = corpus
        self.signatures = signatures(
            frame_size=corpus.frame_size,
            num_given=corpus.num_given,
            num_predicted=corpus.num_predicted,
        )
        self.losses: dict[int, tuple[Floats, Floats]] = self.keyed()
        """Place of a sequence in the split -> nats and squared error of each frame [K]."""
        self.shown: dict[int, NDArray[np.float32]] = self.keyed()
        """Place of a sequence that is shown -> its predicted frames, between 0 and 1 [K, Y, X]."""

    @property
    def signature(self) -> str:
        return self.signatures["cross-entropy"]

    def add(self, place_B: Tensor, nats_BK: Tensor, squared_BK: Tensor) -> None:
        """Update with the losses of some sequences."""
        rows = zip(nats_BK.cpu().numpy(), squared_BK.cpu().numpy(), strict=True)
        self.losses.update(zip(place_B.tolist(), rows, strict=True))
        self.update(nats_BK.sum(), nats_BK.new_tensor(nats_BK.numel()))

    def score(self, loss: float) -> Score:
        beside = {self.signatures["mse"]: float(self._by_place()[1].mean())}
        return Score(value=loss, loss=loss, choice=loss, beside=beside)

    def from_loss(self, loss: float) -> float:
        return loss

    def keep(self, folder: Path, split: str) -> None:
        nats_NK, squared_NK = self._by_place()
        places = sorted(self.shown)
        frames = self.corpus.splits[split].frames(np.array(places))
        p_nKYX = np.stack([self.shown[place] for place in places])
        PredictedFrames(
            cross_entropy=nats_NK,
            squared_error=squared_NK,
            given=frames[:, : self.corpus.num_given],
            true=frames[:, self.corpus.num_given :],
            predicted=np.rint(INK * p_nKYX).astype(np.uint8),
        ).write(folder, split)

    def _by_place(self) -> tuple[Floats, Floats]:
        """Nats and squared errors of all sequences [N, K]."""
        rows = [self.losses[place] for place in sorted(self.losses)]
        nats_NK, squared_NK = (np.stack(part) for part in zip(*rows, strict=True))
        return nats_NK, squared_NK


class FramePrediction(Objective):
    """Any causal recurrence, over whole frames or over patches."""

    Options = FramePredictionOptions
    unit = "frame"
    corpus: FrameCorpus

    def __init__(self, config: RunConfig, corpus: FrameCorpus) -> None:
        super().__init__(config, corpus)
        self.options = own_options(config, FramePredictionOptions)
        self.network = FrameNetwork(config.model, self.options, frame_size=corpus.frame_size)
        # A probability of one half costs log 2 a pixel.
        self.loss_limit = 3.0 * corpus.frame_size**2 * math.log(2)
        self.metric: FrameMetric = FrameMetric(corpus)

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> FrameBatches:
        return FrameBatches(
            self.corpus.splits["train"],
            batch_size=self.options.batch_size,
            seed=self.config.seed,
            rank=rank,
            world_size=world_size,
        )

    def evaluation_loader(self, split: str) -> FrameBatches:
        return FrameBatches(
            self.corpus.splits[split], batch_size=EVALUATION_SEQUENCES, order="given"
        )

    def batch_loss(self, batch: FrameBatch) -> tuple[Tensor, Tensor]:
        frames_BTPD, num_given = self._patches(batch), self.corpus.num_given
        with self._products():
            if self.options.future == "teacher-forcing" and self.training:
                true_BKPD = frames_BTPD[:, 1:]
                logit_BKPD = self.network.next_frames(frames_BTPD[:, :-1])
            else:
                true_BKPD = frames_BTPD[:, num_given:]
                logit_BKPD = self.network(frames_BTPD[:, :num_given], self.corpus.num_predicted)
        logit_BKPD = logit_BKPD.to(true_BKPD.dtype)  # where the network is in half precision
        loss = F.binary_cross_entropy_with_logits(logit_BKPD, true_BKPD, reduction="sum")
        return loss, loss.new_tensor(true_BKPD.shape[0] * true_BKPD.shape[1])

    def _patches(self, batch: FrameBatch) -> Tensor:
        frames_BTYX = batch.frames.to(self.network.output.weight.dtype) / INK
        return to_patches(frames_BTYX, self.options.patch_size)

    def backward(self, loss: Tensor, *arguments: Any, **settings: Any) -> None:
        with self._products():
            super().backward(loss, *arguments, **settings)

    def _products(self) -> AbstractContextManager[None]:
        """Products as the trainer's option says in training, float32 in evaluation."""
        chosen: Products = self.config.trainer.products if self.training else "float32"
        return float32_products_as(chosen, self.device)

    def evaluate_batch(self, batch: FrameBatch, *, final: bool) -> None:
        frames_BTPD, num_given = self._patches(batch), self.corpus.num_given
        logit_BKPD = self.network(frames_BTPD[:, :num_given], self.corpus.num_predicted)
        true_BKPD, p_BKPD = frames_BTPD[:, num_given:], torch.sigmoid(logit_BKPD)
        loss_BKPD = F.binary_cross_entropy_with_logits(logit_BKPD, true_BKPD, reduction="none")
        nats_BK, squared_BK = (
            values.double().sum((2, 3)) for values in (loss_BKPD, (p_BKPD - true_BKPD) ** 2)
        )
        self.metric.add(batch.place, nats_BK, squared_BK)
        shown_B = batch.place < NUM_SHOWN
        if shown_B.any():
            size, side = self.options.patch_size, self.network.side
            shown = from_patches(p_BKPD[shown_B], size, num_columns=side).cpu().numpy()
            self.metric.shown.update(zip(batch.place[shown_B].tolist(), shown, strict=True))

    def curve_values(self, loss_train: float, score: Score) -> dict[str, float | None]:
        found = super().curve_values(loss_train, score)
        if self.options.future == "teacher-forcing":  # its losses are of other frames
            return {**found, "train": None, "loss_train": loss_train}
        return found

    @property
    def bound(self) -> float | None:
        return self.corpus.bound

    @property
    def num_train_units(self) -> int:
        return len(self.corpus.splits["train"]) * self.corpus.num_frames

    def units_in(self, batch: FrameBatch) -> int:
        return len(batch.frames) * self.corpus.num_frames

    def flops_per_unit(self) -> int:
        corpus = self.corpus
        whole = self.network.flops(num_given=corpus.num_given, num_predicted=corpus.num_predicted)
        return whole // self.corpus.num_frames

    @property
    def products_in_effect(self) -> str:
        return products_in_effect(self.config.trainer.products, self.device)
