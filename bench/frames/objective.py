"""Frame prediction: the frames that follow those given, pixel by pixel.

Training minimises -[x log p + (1 - x) log(1 - p)], summed over the pixels of a frame, x between 0
and 1 being how much ink is there. The network is `bench.frames.network`.

B sequences, T frames, K predicted frames, P patches, D pixels of a patch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from bench.core.config import RunConfig
from bench.frames.data.batches import FrameBatch, FrameBatches
from bench.frames.data.corpus import FrameCorpus
from bench.frames.network import FrameNetwork, FramePredictionOptions, from_patches, to_patches
from bench.frames.outputs import NUM_SHOWN, PredictedFrames, signatures, write_frames
from bench.layers.products import Products, float32_products_as, products_in_effect
from bench.training.objective import Objective, own_options

Floats = NDArray[np.float64]
INK = 255.0
EVALUATION_SEQUENCES = 50
"""Of a batch that is not trained on."""


class FramePrediction(Objective):
    """Any causal recurrence, over whole frames or over patches."""

    Options = FramePredictionOptions
    unit: ClassVar[Literal["token", "frame", "label"]] = "frame"
    corpus: FrameCorpus

    def __init__(self, config: RunConfig, corpus: FrameCorpus) -> None:
        super().__init__(config, corpus)
        self.options = own_options(config, FramePredictionOptions)
        self.network = FrameNetwork(config.model, self.options, frame_size=corpus.frame_size)
        # Half a chance for every pixel costs log 2 of each.
        self.loss_limit = 3.0 * corpus.frame_size**2 * math.log(2)
        self._begin()

    # Examples -----------------------------------------------------------------------------------

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

    # Loss ---------------------------------------------------------------------------------------

    def batch_loss(self, batch: FrameBatch) -> tuple[Tensor, Tensor]:
        frames_BTPD, num_given = self._patches(batch), self.corpus.num_given
        with self._products():
            if self.options.future == "teacher-forcing" and self.training:
                true_BKPD = frames_BTPD[:, 1:]
                odds_BKPD = self.network.next_frames(frames_BTPD[:, :-1])
            else:
                true_BKPD = frames_BTPD[:, num_given:]
                odds_BKPD = self.network(frames_BTPD[:, :num_given], self.corpus.num_predicted)
        odds_BKPD = odds_BKPD.to(true_BKPD.dtype)  # where the network is in half precision
        loss = F.binary_cross_entropy_with_logits(odds_BKPD, true_BKPD, reduction="sum")
        return loss, loss.new_tensor(true_BKPD.shape[0] * true_BKPD.shape[1])

    def _patches(self, batch: FrameBatch) -> Tensor:
        frames_BTYX = batch.frames.to(self.network.output.weight.dtype) / INK
        return to_patches(frames_BTYX, self.options.patch_size)

    def backward(self, loss: Tensor, *arguments: Any, **settings: Any) -> None:
        with self._products():
            super().backward(loss, *arguments, **settings)

    def _products(self) -> AbstractContextManager[None]:
        """In training all products are as the trainer's option says; evaluation is in float32."""
        chosen: Products = self.config.trainer.products if self.training else "float32"
        return float32_products_as(chosen, self.device)

    # Metric -------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Forget the evaluation before."""
        self.found: dict[int, tuple[Floats, Floats]] = {}
        """Place of a sequence in the split -> nats and squared error of each frame [K]."""
        self.shown: dict[int, NDArray[np.float32]] = {}
        """Place of one of the first -> its frames, between 0 and 1 [K, Y, X]."""

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self._begin()

    def validation_step(self, batch: FrameBatch, batch_idx: int) -> None:
        frames_BTPD, num_given = self._patches(batch), self.corpus.num_given
        odds_BKPD = self.network(frames_BTPD[:, :num_given], self.corpus.num_predicted)
        true_BKPD, p_BKPD = frames_BTPD[:, num_given:], torch.sigmoid(odds_BKPD)
        loss_BKPD = F.binary_cross_entropy_with_logits(odds_BKPD, true_BKPD, reduction="none")
        nats_BK, squared_BK = (
            values.double().sum((2, 3)) for values in (loss_BKPD, (p_BKPD - true_BKPD) ** 2)
        )
        self.evaluation_sums += torch.stack([nats_BK.sum(), nats_BK.new_tensor(nats_BK.numel())])
        places = batch.place.tolist()
        rows = zip(nats_BK.cpu().numpy(), squared_BK.cpu().numpy(), strict=True)
        self.found.update(zip(places, rows, strict=True))
        shown_B = batch.place < NUM_SHOWN
        if shown_B.any():
            size, side = self.options.patch_size, self.network.side
            shown = from_patches(p_BKPD[shown_B], size, num_columns=side).cpu().numpy()
            self.shown.update(zip(batch.place[shown_B].tolist(), shown, strict=True))

    @property
    def findings(self) -> Sequence[dict[int, Any]]:
        return self.found, self.shown

    def _by_place(self) -> tuple[Floats, Floats]:
        """Nats and squared errors of all sequences [N, K]."""
        rows = [self.found[place] for place in sorted(self.found)]
        nats_NK, squared_NK = (np.stack(part) for part in zip(*rows, strict=True))
        return nats_NK, squared_NK

    def predicted(self, split: str) -> PredictedFrames:
        """What was predicted in the evaluation that was made last, which was that of `split`."""
        nats_NK, squared_NK = self._by_place()
        places = sorted(self.shown)
        shown = self.corpus.splits[split].frames(np.array(places))
        p_nKYX = np.stack([self.shown[place] for place in places])
        return PredictedFrames(
            cross_entropy=nats_NK,
            squared_error=squared_NK,
            given=shown[:, : self.corpus.num_given],
            true=shown[:, self.corpus.num_given :],
            predicted=np.rint(INK * p_nKYX).astype(np.uint8),
        )

    @property
    def metric(self) -> str:
        return "cross-entropy"

    def metric_value(self, mean_nats: float) -> float | None:
        return mean_nats

    @property
    def signature(self) -> str:
        return self._signatures["cross-entropy"]

    @property
    def _signatures(self) -> dict[str, str]:
        corpus = self.corpus
        return signatures(
            frame_size=corpus.frame_size,
            num_given=corpus.num_given,
            num_predicted=corpus.num_predicted,
        )

    def beside_metric(self) -> dict[str, float]:
        return {self._signatures["mse"]: float(self._by_place()[1].mean())}

    def curve_values(self, loss_train: float, loss_valid: float) -> dict[str, float | None]:
        found = super().curve_values(loss_train, loss_valid)
        if self.options.future == "teacher-forcing":  # its losses are of other frames
            return {**found, "train": None, "loss_train": loss_train}
        return found

    @property
    def bound(self) -> float | None:
        return self.corpus.bound

    def keep_evaluation(self, folder: Path, split: str) -> None:
        write_frames(folder, split, self.predicted(split))

    # Cost ---------------------------------------------------------------------------------------

    @property
    def num_train_units(self) -> int:
        return len(self.corpus.splits["train"]) * self._frames_per_sequence

    @property
    def _frames_per_sequence(self) -> int:
        return self.corpus.num_given + self.corpus.num_predicted

    def units_in(self, batch: FrameBatch) -> int:
        return len(batch.frames) * self._frames_per_sequence

    def flops_per_unit(self) -> int:
        corpus = self.corpus
        whole = self.network.flops(num_given=corpus.num_given, num_predicted=corpus.num_predicted)
        return whole // self._frames_per_sequence

    @property
    def products_in_effect(self) -> str:
        return products_in_effect(self.config.trainer.products, self.device)
