"""Transducer: an encoder of the sound, a prediction network over labels, and their joint network.

A. Graves, A. Mohamed and G. Hinton, ICASSP 2013, section 3.2. At every frame and after every label
a softmax over the next label and a blank, which goes on to the next frame; a label sequence has
the probability of all alignments that spell it. The equations: `bench.speech.joint`.

`NextLabel` trains a prediction network alone, without the sound: what a transducer can be
pretrained by (ibid., section 3.3), and a model of the task's phonotactics on its own.

Shapes: B utterances, T steps, E output of the encoder, U labels, S = U + 1 positions, K labels to
choose from, P output of the prediction network, N rows, J joint hidden units, V = K + 1 outputs,
of which 0 is the blank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.config import Count, NonNegative, Positive, RunConfig, Share
from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.models import StackOptions, build_recurrence
from bench.models.recurrence import State
from bench.speech.data.batches import SpeechBatch
from bench.speech.data.prepared import SpeechData
from bench.speech.decoding.transducer import greedy_search, transducer_beam_search
from bench.speech.joint import Joint
from bench.speech.objectives.speech import (
    Decoded,
    SpeechObjective,
    SpeechOptions,
    UtteranceObjective,
    draw_weights,
)
from bench.training.dropout import drop_quickly
from bench.training.metrics import Score, SplitMetric
from bench.training.objective import own_options


class Prediction(nn.Module):
    """Prediction network: a causal recurrence over labels that knows nothing of the sound.

    Labels count from 1 and are read as vectors with a single one; 0 stands before the first and is
    a vector of zeros (A. Graves, "Sequence transduction with recurrent neural networks", 2012,
    section 2.2).
    """

    def __init__(self, model: str, options: Mapping[str, object], num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.recurrence = build_recurrence(model, num_labels, options)
        if not self.recurrence.is_causal:
            raise BenchError(
                f"{model} with these options reads labels that are yet to come, a prediction "
                "network may not: choose --model.direction forward"
            )
        self.output_size = self.recurrence.output_size

    def forward(self, label_BU: Tensor) -> Tensor:
        """Outputs p_BSP before the first label and after each; padding comes after a sequence."""
        before_BS = F.pad(label_BU, (1, 0))
        p_BSP, _ = self.recurrence(self._vectors(before_BS))
        return torch.as_tensor(p_BSP)

    def begin(self, num_rows: int) -> tuple[Tensor, State]:
        """Outputs [N, P] and states before the first label."""
        like = next(self.parameters())
        none_N = torch.zeros(num_rows, dtype=torch.long, device=like.device)
        return self.step(none_N, self.recurrence.initial_state(num_rows, like))

    def step(self, label_N: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs [N, P] and states after one more label each."""
        p_N1P, state = self.recurrence(self._vectors(label_N[:, None]), state)
        return p_N1P[:, 0], state

    def _vectors(self, label_BU: Tensor) -> Tensor:
        like = next(self.parameters())
        return F.one_hot(label_BU, self.num_labels + 1)[..., 1:].to(like.dtype)


def prediction_options(
    model: Mapping[str, object], prediction_model: str, hidden_size: int
) -> dict[str, object]:
    """Options of a prediction network beside an encoder of the configuration `model`.

    The encoder's architecture shares the encoder's options except size and arrangement.
    """
    own: dict[str, object] = {}
    if model["name"] == prediction_model:
        left_out = {"name", *StackOptions.__struct_fields__}
        own = {key: value for key, value in model.items() if key not in left_out}
    return {**own, "hidden_size": hidden_size}


class TransducerOptions(SpeechOptions, frozen=True, kw_only=True):
    """Options of the `transducer` objective."""

    prediction_model: str = "lstm"
    """Architecture of the prediction network; the encoder's own shares its options."""
    prediction_size: Count = 250
    """Hidden units of the prediction network."""
    joint_size: Count = 250
    """Hidden units of the joint network."""
    decoder: Literal["greedy", "beam"] = "beam"
    """Decoder of a finished run; validation after each epoch is greedy."""
    beam_width: Count = 100
    """Prefixes that the beam keeps."""

    @property
    def decoder_signature(self) -> str:
        return f"beam({self.beam_width})" if self.decoder == "beam" else "greedy"


class Transducer(SpeechObjective):
    """Any recurrence over the sound, any causal one over the labels."""

    Options = TransducerOptions
    options: TransducerOptions

    def __init__(self, config: RunConfig, corpus: SpeechData) -> None:
        super().__init__(config, corpus)
        options = self.options
        own = prediction_options(config.model, options.prediction_model, options.prediction_size)
        self.prediction = Prediction(options.prediction_model, own, len(corpus.corpus.labels))
        self.joint = Joint(
            self.encoder.output_size,
            self.prediction.output_size,
            corpus.corpus.num_outputs,
            hidden_size=options.joint_size,
        )
        draw_weights(self, options.init_range)

    def encode(self, batch: SpeechBatch) -> Tensor:
        """Outputs of the encoder [B, T, E]."""
        return self.read(batch)

    def losses(self, encoded: Tensor, batch: SpeechBatch) -> Tensor:
        return self.joint.loss(
            encoded,
            self.prediction(batch.labels),
            batch.labels,
            self.lengths(batch),
            batch.num_labels,
        )

    def decode(self, encoded: Tensor, batch: SpeechBatch, *, final: bool) -> list[Decoded]:
        arguments = self, self.joint.project_frames(encoded), self.lengths(batch)
        if not final or self.options.decoder == "greedy":
            return [Decoded(labels) for labels in greedy_search(*arguments)]
        found = transducer_beam_search(*arguments, width=self.options.beam_width)
        return [Decoded(best.labels, -best.log_prob) for best, *_ in found]

    def begin(self, num_rows: int) -> tuple[Tensor, State]:
        """Projected predictions [N, J] and states before the first label, for searches."""
        p_NP, state = self.prediction.begin(num_rows)
        return self.joint.project_predictions(p_NP), state

    def predict(self, label_N: Tensor, state: State) -> tuple[Tensor, State]:
        """Projected predictions [N, J] and states after one more label each."""
        p_NP, state = self.prediction.step(label_N, state)
        return self.joint.project_predictions(p_NP), state

    def log_probs(self, frame_NJ: Tensor, prediction_NJ: Tensor) -> Tensor:
        """Log-probabilities of the outputs [N, V]."""
        return self.joint.log_probs(frame_NJ, prediction_NJ)

    def flops_per_unit(self) -> int:
        joint, train = self.joint, self.corpus.splits["train"]
        positions = np.array([len(labels) + 1 for labels in train.labels])
        positions_per_frame = float(positions @ train.num_frames) / self.num_train_units
        frame_weights = joint.transcription.weight.numel() + joint.from_transcription.weight.numel()
        per_step = self.encoder.flops_per_step() + 2 * frame_weights
        per_step += int(positions_per_frame * joint.flops_per_node())
        per_label = self.prediction.recurrence.flops_per_step()
        per_label += 2 * joint.from_prediction.weight.numel()
        return per_step // self.options.stack_frames + int(self.labels_per_frame * per_label)


class LabelPerplexity(SplitMetric):
    """Perplexity of each label of an utterance after those before it; its end is not predicted."""

    def __init__(self, data: SpeechData) -> None:
        super().__init__(name="perplexity")
        self.num_labels, self.num_skipped = len(data.corpus.labels), len(data.skipped)

    @property
    def signature(self) -> str:
        note = f"|skipped:{self.num_skipped}" if self.num_skipped else ""
        return f"perplexity|unit:label|labels:{self.num_labels}|end:none{note}"

    def score(self, loss: float) -> Score:
        return Score(value=self.from_loss(loss), loss=loss, choice=loss)

    def from_loss(self, loss: float) -> float:
        return math.exp(min(loss, 700.0))


class NextLabelOptions(Frozen, frozen=True, kw_only=True):
    """Options of the `next-label` objective."""

    batch_frames: Count = 8000
    """Size of a batch by the sound of its utterances, as where the sound is read."""
    loss_scale: Literal["label", "sum"] = "label"
    """Quantity that is differentiated: mean or sum over the batch's labels."""
    dropout_output: Share = 0.0
    """Share of the recurrence's outputs that is dropped."""
    weight_noise: NonNegative = 0.0
    """Standard deviation of Gaussian noise on the weights, drawn for each batch."""
    init_range: Positive | None = None
    """Every weight begins as U(-init_range, init_range); by the parts' own rules when not given."""


class NextLabel(UtteranceObjective):
    """A prediction network and a softmax over the labels."""

    Options = NextLabelOptions
    unit = "label"

    def __init__(self, config: RunConfig, corpus: SpeechData) -> None:
        super().__init__(config, corpus)
        self.options = own_options(config, NextLabelOptions)
        self.batch_frames = self.options.batch_frames
        self.weight_noise = self.options.weight_noise
        num_labels = len(corpus.corpus.labels)
        model = {key: value for key, value in config.model.items() if key != "name"}
        self.prediction = Prediction(str(config.model["name"]), model, num_labels)
        self.output = nn.Linear(self.prediction.output_size, num_labels)
        self.loss_limit = 3.0 * math.log(num_labels)  # a uniform guess costs log K
        self.metric: LabelPerplexity = LabelPerplexity(corpus)
        draw_weights(self, self.options.init_range)

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

    @property
    def bound(self) -> float | None:
        nats = (self.corpus.corpus.bound_nats or {}).get("test")
        return None if nats is None else self.metric.from_loss(nats)

    def flops_per_unit(self) -> int:
        return self.prediction.recurrence.flops_per_step() + 2 * self.output.weight.numel()

    @property
    def num_train_units(self) -> int:
        return sum(map(len, self.corpus.splits["train"].labels))

    def units_in(self, batch: Any) -> int:
        return int(batch.num_labels.sum())
