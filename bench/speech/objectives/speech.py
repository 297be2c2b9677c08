"""Base of the objectives that recognise speech: frames in, labels out, edits counted.

Validation decodes quickly after each epoch; a finished run is measured by the configured decoder,
and keeps its recognitions. Nothing depends on how utterances are batched: every part of the network
knows their lengths.

Frames may be stacked, so that a recurrence has fewer steps to make (H. Sak, A. Senior, K. Rao and
F. Beaufays, Interspeech 2015, section 2.2). Stacks do not overlap and leave no frame out.

Shapes: B utterances, T frames, D features, n frames in a stack, M = ceil(T / n) stacks, E output
of the encoder.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.config import Count, NonNegative, Positive, RunConfig, Share
from bench.core.structs import Frozen
from bench.models import build_recurrence
from bench.speech.data.batches import SpeechBatch, SpeechBatches
from bench.speech.data.prepared import SpeechData
from bench.speech.decoding.hypotheses import Labels
from bench.speech.metrics import Folding, error_rate_signature, word_error_rate
from bench.speech.outputs import Header, Recognition, Recognitions
from bench.training.dropout import drop_quickly
from bench.training.metrics import Score, SplitMetric
from bench.training.objective import Objective, own_options

EVALUATION_FRAMES = 16_000
"""Frames of a batch that is not trained on."""


class Decoded(NamedTuple):
    """Labels that a decoder found in an utterance."""

    labels: Labels
    nats: float | None = None
    """-log p(labels | sound), where the decoder computes it."""


class ErrorRateMetric(SplitMetric):
    """Error rate of decoded utterances, named after the unit of the labels."""

    def __init__(
        self, data: SpeechData, *, decoder: str, choose_by: Literal["error", "loss"]
    ) -> None:
        super().__init__(name=f"{data.corpus.unit}-error-rate")
        self.unit, self.space = data.corpus.unit, data.corpus.space
        self.labels = data.corpus.labels
        self.folding = Folding(name=data.corpus.folding_name, target=data.corpus.folding)
        self.decoder, self.num_skipped = decoder, len(data.skipped)
        self.choose_by = choose_by
        self.split = data.splits["valid"]
        """The split that is evaluated."""
        self.found: dict[int, Recognition] = self.keyed()
        """Place in the split -> recognition."""
        self.quick: dict[int, str] = self.keyed()
        """Place -> labels by a quick decoder, which stands beside the configured one."""

    @property
    def signature(self) -> str:
        return self._signature(self.decoder)

    def _signature(self, decoder: str) -> str:
        return error_rate_signature(
            unit=self.unit,
            num_labels=len(self.labels),
            folding=self.folding,
            decoder=decoder,
            num_skipped=self.num_skipped,
        )

    def add(
        self,
        batch: SpeechBatch,
        nats_B: Tensor,
        decoded: Sequence[Decoded],
        quickly: Sequence[Decoded] = (),
    ) -> None:
        """Update with a decoded batch; `nats_B` are -log p(reference | sound).

        `quickly` is the same by a quick decoder, if that is not the configured one.
        """
        places = batch.utterances.tolist()
        for place, nats, one in zip(places, nats_B.tolist(), decoded, strict=True):
            utterance = self.split.utterances[place]
            self.found[place] = Recognition(
                utterance=utterance.id,
                speaker=utterance.speaker,
                reference=" ".join(utterance.labels),
                hypothesis=self._written(one),
                reference_nats=nats,
                hypothesis_nats=one.nats,
            )
        self.quick.update(zip(places, map(self._written, quickly), strict=False))
        self.update(nats_B.sum(), batch.num_labels.sum())

    def _written(self, decoded: Decoded) -> str:
        return " ".join(self.labels[label - 1] for label in decoded.labels)

    def score(self, loss: float) -> Score:
        recognitions = self.recognitions()
        rate, beside = recognitions.value(), dict[str, float]()
        if self.quick:
            lines = [
                msgspec.structs.replace(line, hypothesis=self.quick[place])
                for place, line in zip(sorted(self.found), recognitions.lines, strict=True)
            ]
            quick = Recognitions(header=recognitions.header, lines=lines)
            beside[self._signature("greedy")] = quick.value()
        if self.space is not None:
            pairs = [(one.reference.split(), one.hypothesis.split()) for one in recognitions.lines]
            beside[self.words_signature] = word_error_rate(pairs, space=self.space)
        choice = loss if self.choose_by == "loss" else rate
        return Score(value=rate, loss=loss, choice=choice, beside=beside)

    @property
    def words_signature(self) -> str:
        """Definition of the error rate of the words that recognised characters spell."""
        skipped = f"|skipped:{self.num_skipped}" if self.num_skipped else ""
        return f"word-error-rate|spelt|edits:levenshtein|decoder:{self.decoder}{skipped}"

    def recognitions(self) -> Recognitions:
        """Recognitions since `reset`, in the order of the split."""
        header = Header(
            signature=self.signature, folding=self.folding.name, target=dict(self.folding.target)
        )
        return Recognitions(header=header, lines=[self.found[at] for at in sorted(self.found)])

    def keep(self, folder: Path, split: str) -> None:
        self.recognitions().write(folder, split)


class SpeechOptions(Frozen, frozen=True, kw_only=True):
    """Options of reading speech, and of what stands around the recurrence."""

    batch_frames: Count = 8000
    """Frames of a batch, padding included; an utterance at the least."""
    stack_frames: Count = 1
    """Frames side by side that become one step of the recurrence."""
    dropout_input: Share = 0.0
    """Share of the features that is dropped."""
    dropout_output: Share = 0.0
    """Share of the recurrence's outputs that is dropped."""
    weight_noise: NonNegative = 0.0
    """Standard deviation of Gaussian noise on the weights, drawn for each batch (Graves, 2013)."""
    init_range: Positive | None = None
    """Every weight begins as U(-init_range, init_range); by the parts' own rules when not given."""
    loss_scale: Literal["utterance", "sum"] = "utterance"
    """Quantity that is differentiated: mean or sum over the batch's utterances, in nats."""
    choose_by: Literal["error", "loss"] = "error"
    """Quantity that validation minimises: the error rate of the quick decoder, or the loss."""

    @property
    def decoder_signature(self) -> str:
        """The final decoder with its options: greedy or beam(width), whatever the network.

        So a table can set CTC and transducers side by side.
        """
        raise NotImplementedError


class UtteranceObjective(Objective):
    """Objective over batches of whole utterances; a subclass sets `batch_frames`."""

    corpus: SpeechData
    batch_frames: int

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> SpeechBatches:
        return SpeechBatches(
            self.corpus.splits["train"],
            batch_frames=self.batch_frames,
            seed=self.config.seed,
            rank=rank,
            world_size=world_size,
        )

    def evaluation_loader(self, split: str) -> SpeechBatches:
        part = self.corpus.splits[split]
        return SpeechBatches(part, batch_frames=EVALUATION_FRAMES, order="sorted")


class SpeechObjective(UtteranceObjective):
    """Recogniser around any recurrence that reads speech; a subclass makes labels of its outputs.

    Subclasses call `draw_weights` after all their parts have been made.
    """

    unit = "frame"
    options: SpeechOptions
    has_quick_decoder = False
    """True where validation decodes quickly and a finished run tells that rate, too."""

    def __init__(self, config: RunConfig, corpus: SpeechData) -> None:
        super().__init__(config, corpus)
        options: Any = own_options(config, self.Options)
        self.options = options
        self.batch_frames = self.options.batch_frames
        self.weight_noise = self.options.weight_noise
        model = {key: value for key, value in config.model.items() if key != "name"}
        input_size = corpus.num_features * self.options.stack_frames
        self.encoder = build_recurrence(str(config.model["name"]), input_size, model)
        train = corpus.splits["train"]
        self.labels_per_frame = sum(map(len, train.labels)) / int(train.num_frames.sum())
        # Ten times what a uniform guess at every frame costs: far above any loss of training.
        self.loss_limit = 10 * math.log(corpus.corpus.num_outputs) / self.labels_per_frame
        self.metric: ErrorRateMetric = ErrorRateMetric(
            corpus,
            decoder=self.options.decoder_signature,
            choose_by=self.options.choose_by,
        )

    @abstractmethod
    def encode(self, batch: SpeechBatch) -> Tensor:
        """Input of losses and decoders, [B, M, ...]."""

    @abstractmethod
    def losses(self, encoded: Tensor, batch: SpeechBatch) -> Tensor:
        """-log p(labels | sound) of each utterance [B], in nats."""

    @abstractmethod
    def decode(self, encoded: Tensor, batch: SpeechBatch, *, final: bool) -> list[Decoded]:
        """Recognised labels of each utterance; `final`: by the configured decoder, else quickly."""

    def read(self, batch: SpeechBatch) -> Tensor:
        """Outputs y_BME of the encoder."""
        options = self.options
        x_BMD = stack(batch.features, options.stack_frames)
        x_BMD = drop_quickly(x_BMD, options.dropout_input, self.training)
        y_BME, _ = self.encoder(x_BMD, None, self.lengths(batch))
        return drop_quickly(y_BME, options.dropout_output, self.training)

    def lengths(self, batch: SpeechBatch) -> Tensor:
        """Steps of each utterance [B]."""
        return num_stacks(batch.num_frames, self.options.stack_frames)

    def evaluation_loader(self, split: str) -> SpeechBatches:
        self.metric.split = self.corpus.splits[split]
        return super().evaluation_loader(split)

    def batch_loss(self, batch: SpeechBatch) -> tuple[Tensor, Tensor]:
        return self.losses(self.encode(batch), batch).sum(), batch.num_labels.sum()

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: SpeechBatch) -> Tensor:
        if self.options.loss_scale == "sum":
            return loss_sum
        return loss_sum / batch.num_utterances

    def evaluate_batch(self, batch: SpeechBatch, *, final: bool) -> None:
        encoded = self.encode(batch)
        nats_B = self.losses(encoded, batch).double()
        decoded = self.decode(encoded, batch, final=final)
        quickly = (
            self.decode(encoded, batch, final=False) if final and self.has_quick_decoder else ()
        )
        self.metric.add(batch, nats_B, decoded, quickly)

    @property
    def bound(self) -> float | None:
        return (self.corpus.corpus.bound_error_percent or {}).get("test")

    @property
    def num_train_units(self) -> int:
        return int(self.corpus.splits["train"].num_frames.sum())

    def units_in(self, batch: SpeechBatch) -> int:
        return int(batch.num_frames.sum())


def stack(x_BTD: Tensor, num_frames: int) -> Tensor:
    """Stacks of frames [B, M, n D]; what is missing from the last one is zero."""
    if num_frames == 1:
        return x_BTD
    batch_size, length, size = x_BTD.shape
    missing = -length % num_frames
    return F.pad(x_BTD, (0, 0, 0, missing)).reshape(batch_size, -1, num_frames * size)


def num_stacks(lengths_B: Tensor, num_frames: int) -> Tensor:
    """Number M of stacks of each utterance [B]."""
    return (lengths_B + num_frames - 1) // num_frames


def draw_weights(module: nn.Module, limit: float | None) -> None:
    """Draw every weight anew from U(-limit, limit); None leaves them as they are."""
    if limit is not None:
        for parameter in module.parameters():
            nn.init.uniform_(parameter, -limit, limit)
