"""The transducer: an encoder of the sound, a prediction network over labels, and their joint.

A. Graves, A. Mohamed and G. Hinton, ICASSP 2013, section 3.2. At every frame and after every label
a softmax over the next label and a blank, which goes on to the next frame; a label sequence has
the probability of all alignments that spell it. The equations: `bench.speech.transducer`.

Shapes: B utterances, T steps, E output of the encoder, U labels, N rows, J joint hidden units,
V outputs, of which 0 is the blank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from bench.core.config import Count, RunConfig
from bench.models.recurrence import State
from bench.speech.data.batches import SpeechBatch
from bench.speech.data.prepared import SpeechData
from bench.speech.decoding.transducer import greedy_search
from bench.speech.decoding.transducer_beam import transducer_beam_search
from bench.speech.objectives.prediction import Prediction, prediction_options
from bench.speech.objectives.scoring import Decoded
from bench.speech.objectives.speech import SpeechObjective, SpeechOptions
from bench.speech.transducer.joint import Joint
from bench.training.contract import own_options


class TransducerOptions(SpeechOptions, frozen=True, kw_only=True):
    """Options of the `transducer` objective."""

    prediction_model: str = "lstm"
    """Architecture of the prediction network; the encoder's own shares its options."""
    prediction_size: Count = 250
    """Hidden units of the prediction network."""
    joint_size: Count = 250
    """Hidden units of the joint network."""
    decoder: Literal["greedy", "beam"] = "beam"
    """How a finished run is measured; validation after each epoch is greedy."""
    beam_width: Count = 100
    """Prefixes that the beam keeps."""


class Transducer(SpeechObjective):
    """Any recurrence over the sound, any causal one over the labels."""

    Options = TransducerOptions
    quick_decoder = "greedy"

    def __init__(self, config: RunConfig, corpus: SpeechData) -> None:
        super().__init__(config, corpus)
        self.options = options = own_options(config, TransducerOptions)
        own = prediction_options(config.model, options.prediction_model, options.prediction_size)
        self.prediction = Prediction(options.prediction_model, own, len(corpus.corpus.labels))
        self.joint = Joint(
            self.encoder.output_size,
            self.prediction.output_size,
            corpus.corpus.num_outputs,
            hidden_size=options.joint_size,
        )
        self.initialise()

    def encode(self, batch: SpeechBatch) -> Tensor:
        """The encoder's outputs, [B, T, E]."""
        return self.read(batch)

    def losses(self, encoded: Tensor, batch: SpeechBatch) -> Tensor:
        return self.joint.loss(
            encoded,
            self.prediction(batch.labels),
            batch.labels,
            self.lengths(batch),
            batch.num_labels,
        )

    def decode(self, encoded: Tensor, batch: SpeechBatch, decoder: str) -> list[Decoded]:
        network = _Network(prediction=self.prediction, joint=self.joint)
        arguments = network, self.joint.project_frames(encoded), self.lengths(batch)
        if decoder == "greedy":
            return [Decoded(labels) for labels in greedy_search(*arguments)]
        found = transducer_beam_search(*arguments, width=self.options.beam_width)
        return [Decoded(best.labels, -best.log_prob) for best, *_ in found]

    @property
    def decoder(self) -> str:
        return self.options.decoder

    @property
    def decoder_signature(self) -> str:
        return f"beam({self.options.beam_width})" if self.options.decoder == "beam" else "greedy"

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


@dataclass(frozen=True, kw_only=True)
class _Network:
    """The transducer as the searches ask for it."""

    prediction: Prediction
    joint: Joint

    def begin(self, num_rows: int) -> tuple[Tensor, State]:
        p_NP, state = self.prediction.begin(num_rows)
        return self.joint.project_predictions(p_NP), state

    def predict(self, label_N: Tensor, state: State) -> tuple[Tensor, State]:
        p_NP, state = self.prediction.step(label_N, state)
        return self.joint.project_predictions(p_NP), state

    def log_probs(self, frame_NJ: Tensor, prediction_NJ: Tensor) -> Tensor:
        return self.joint.log_probs(frame_NJ, prediction_NJ)
