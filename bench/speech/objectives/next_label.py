"""Predicting each label of an utterance from those before it, without the sound.

What a transducer's prediction network can be pretrained by (A. Graves, A. Mohamed and G. Hinton,
ICASSP 2013, section 3.3), and a model of the task's phonotactics on its own. The end of an
utterance is not predicted.

Shapes: B utterances, U labels, S = U + 1 positions, P output of the recurrence, K labels.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.config import Count, NonNegative, Positive, RunConfig
from bench.core.structs import Frozen
from bench.speech.data.batches import SpeechBatch, SpeechBatches
from bench.speech.data.prepared import SpeechData
from bench.speech.objectives.prediction import Prediction
from bench.speech.objectives.speech import EVALUATION_FRAMES, Share
from bench.training.contract import own_options
from bench.training.dropout import drop_quickly
from bench.training.objective import Objective


class NextLabelOptions(Frozen, frozen=True, kw_only=True):
    """Options of the `next-label` objective."""

    batch_frames: Count = 8000
    """Size of a batch by the sound of its utterances, as where the sound is read."""
    loss_scale: Literal["label", "sum"] = "label"
    """What is differentiated: the mean over the batch's labels or the sum."""
    dropout_output: Share = 0.0
    """Share of the recurrence's outputs that is dropped."""
    weight_noise: NonNegative = 0.0
    """Standard deviation of Gaussian noise on the weights, drawn for each batch."""
    init_range: Positive | None = None
    """Every weight begins as U(-init_range, init_range); by the parts' own rules when not given."""


class NextLabel(Objective):
    """A prediction network and a softmax over the labels."""

    Options = NextLabelOptions
    unit: ClassVar[Literal["token", "frame", "label"]] = "label"
    corpus: SpeechData

    def __init__(self, config: RunConfig, corpus: SpeechData) -> None:
        super().__init__(config, corpus)
        self.options = own_options(config, NextLabelOptions)
        self.weight_noise = self.options.weight_noise
        num_labels = len(corpus.corpus.labels)
        model = {key: value for key, value in config.model.items() if key != "name"}
        self.prediction = Prediction(str(config.model["name"]), model, num_labels)
        self.output = nn.Linear(self.prediction.output_size, num_labels)
        self.loss_limit = 3.0 * math.log(num_labels)  # a uniform guess costs log K
        if (limit := self.options.init_range) is not None:
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -limit, limit)

    def batch_loss(self, batch: SpeechBatch) -> tuple[Tensor, Tensor]:
        p_BUP = self.prediction(batch.labels)[:, :-1]
        p_BUP = drop_quickly(p_BUP, self.options.dropout_output, self.training)
        u_U = torch.arange(batch.labels.shape[1], device=batch.labels.device)
        valid_BU = u_U < batch.num_labels[:, None]
        scores_NK = self.output(p_BUP[valid_BU]).to(self.output.weight.dtype)
        loss = F.cross_entropy(scores_NK, batch.labels[valid_BU] - 1, reduction="sum")
        return loss, batch.num_labels.sum()

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: SpeechBatch) -> Tensor:
        return loss_sum if self.options.loss_scale == "sum" else loss_sum / count

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> SpeechBatches:
        return SpeechBatches(
            self.corpus.splits["train"],
            batch_frames=self.options.batch_frames,
            seed=self.config.seed,
            rank=rank,
            world_size=world_size,
        )

    def evaluation_loader(self, split: str) -> SpeechBatches:
        part = self.corpus.splits[split]
        return SpeechBatches(part, batch_frames=EVALUATION_FRAMES, order="sorted")

    @property
    def metric(self) -> str:
        return "perplexity"

    def metric_value(self, mean_nats: float) -> float:
        return math.exp(min(mean_nats, 700.0))

    @property
    def signature(self) -> str:
        skipped = len(self.corpus.skipped)
        note = f"|skipped:{skipped}" if skipped else ""
        return f"perplexity|unit:label|labels:{len(self.corpus.corpus.labels)}|end:none{note}"

    @property
    def bound(self) -> float | None:
        nats = (self.corpus.corpus.bound_nats or {}).get("test")
        return None if nats is None else self.metric_value(nats)

    def flops_per_unit(self) -> int:
        return self.prediction.recurrence.flops_per_step() + 2 * self.output.weight.numel()

    @property
    def num_train_units(self) -> int:
        return sum(map(len, self.corpus.splits["train"].labels))

    def units_in(self, batch: Any) -> int:
        return int(batch.num_labels.sum())
