"""What recognisers of speech share: frames in, labels out, edits counted.

Validation decodes quickly after each epoch; a finished run is measured by the configured decoder,
and what it made of each utterance is kept. Nothing depends on how utterances are put into batches:
every part of the network knows their lengths.

Shapes: B utterances, T frames, D features, E output of the encoder.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.config import Count, NonNegative, Positive, RunConfig
from bench.core.structs import Frozen
from bench.models import build_recurrence
from bench.speech.data.batches import SpeechBatch, SpeechBatches
from bench.speech.data.corpus import SpeechCorpus
from bench.speech.data.prepared import FeatureSplit, SpeechData
from bench.speech.decoding.hypotheses import Labels
from bench.speech.metrics import Edits, Folding, align, count_edits, phone_error_signature
from bench.speech.outputs import Header, Recognition, Recognitions, write_recognitions
from bench.training.contract import mean_loss, own_options
from bench.training.dropout import drop_quickly
from bench.training.objective import Objective

# What was recognised in a split, utterance by utterance, and how wrong it is.


class Decoded(NamedTuple):
    """What a decoder found for an utterance."""

    labels: Labels
    nats: float | None = None
    """-log p(labels | sound), where the decoder computes it."""


class Scoring:
    """Edits of the split that is being evaluated, and what was made of each utterance."""

    def __init__(self, corpus: SpeechCorpus, *, num_skipped: int) -> None:
        self.labels = corpus.labels
        self.folding = Folding(name=corpus.folding_name, target=corpus.folding)
        self.num_skipped = num_skipped
        self.begin()

    def begin(self) -> None:
        """Forget the evaluation before."""
        self.found: dict[int, Recognition] = {}
        """Place in the split -> what was made of the utterance."""
        self.edits_of: dict[int, Edits] = {}
        """The same -> how wrong that is."""

    @property
    def edits(self) -> Edits:
        """Of all utterances together."""
        return sum(self.edits_of.values(), Edits())

    def add(
        self,
        batch: SpeechBatch,
        split: FeatureSplit,
        nats: Sequence[float],
        decoded: Sequence[Decoded],
    ) -> None:
        """Take in a batch; `nats` are -log p(reference | sound)."""
        for place, loss, one in zip(batch.utterances.tolist(), nats, decoded, strict=True):
            utterance = split.utterances[place]
            hypothesis = [self.labels[label - 1] for label in one.labels]
            pairs = align(self.folding.fold(utterance.phones), self.folding.fold(hypothesis))
            self.edits_of[place] = count_edits(pairs)
            self.found[place] = Recognition(
                utterance=utterance.id,
                speaker=utterance.speaker,
                reference=" ".join(utterance.phones),
                hypothesis=" ".join(hypothesis),
                reference_nats=loss,
                hypothesis_nats=one.nats,
            )

    def signature(self, decoder: str) -> str:
        """What the error rate is, by `decoder`; utterances that were left out are counted."""
        whole = phone_error_signature(
            num_labels=len(self.labels), folding=self.folding, decoder=decoder
        )
        return f"{whole}|skipped:{self.num_skipped}" if self.num_skipped else whole

    def keep(self, folder: Path, split: str, decoder: str) -> None:
        """Write what was made of every utterance."""
        header = Header(
            signature=self.signature(decoder),
            folding=self.folding.name,
            target=dict(self.folding.target),
        )
        lines = [self.found[place] for place in sorted(self.found)]
        write_recognitions(folder, split, Recognitions(header=header, lines=lines))


# Neighbouring frames side by side, so that a recurrence has fewer steps to make.
#
# H. Sak, A. Senior, K. Rao and F. Beaufays, Interspeech 2015, section 2.2, with as many frames in a
# stack as are skipped: nothing is read twice, nothing is left out.
#
# Shapes: B utterances, T frames, D features, n frames in a stack, M = ceil(T / n) stacks.


def stack(x_BTD: Tensor, num_frames: int) -> Tensor:
    """[B, M, n D]; what is missing from the last stack is zero."""
    if num_frames == 1:
        return x_BTD
    batch_size, length, size = x_BTD.shape
    missing = -length % num_frames
    return F.pad(x_BTD, (0, 0, 0, missing)).reshape(batch_size, -1, num_frames * size)


def num_stacks(lengths_B: Tensor, num_frames: int) -> Tensor:
    """M of each utterance, [B]."""
    return (lengths_B + num_frames - 1) // num_frames


Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
EVALUATION_FRAMES = 16_000
"""Of a batch that is not trained on."""


class SpeechOptions(Frozen, frozen=True, kw_only=True):
    """How speech is read and what stands around the recurrence."""

    batch_frames: Count = 8000
    """Frames of a batch, padding included; an utterance at the least."""
    stack_frames: Count = 1
    """So many frames side by side become one step of the recurrence; 1: each for itself."""
    dropout_input: Share = 0.0
    """Share of the features that is dropped."""
    dropout_output: Share = 0.0
    """Share of the recurrence's outputs that is dropped."""
    weight_noise: NonNegative = 0.0
    """Standard deviation of Gaussian noise on the weights, drawn for each batch (Graves, 2013)."""
    init_range: Positive | None = None
    """Every weight begins as U(-init_range, init_range); by the parts' own rules when not given."""
    loss_scale: Literal["utterance", "sum"] = "utterance"
    """What is differentiated: the mean or the sum over the batch's utterances, in nats."""
    choose_by: Literal["error", "loss"] = "error"
    """What validation chooses by: the error rate of the quick decoder, or the loss."""


class SpeechObjective(Objective):
    """A recurrence that reads speech; a subclass makes labels of its outputs."""

    unit: ClassVar[Literal["token", "frame", "label"]] = "frame"
    quick_decoder: ClassVar[str]
    """The one of validation during training."""
    corpus: SpeechData

    def __init__(self, config: RunConfig, corpus: SpeechData) -> None:
        super().__init__(config, corpus)
        options: Any = own_options(config, self.Options)
        self.speech_options: SpeechOptions = options
        self.weight_noise = self.speech_options.weight_noise
        model = {key: value for key, value in config.model.items() if key != "name"}
        input_size = corpus.num_features * self.speech_options.stack_frames
        self.encoder = build_recurrence(str(config.model["name"]), input_size, model)
        train = corpus.splits["train"]
        self.labels_per_frame = sum(map(len, train.labels)) / int(train.num_frames.sum())
        # Ten times what a uniform guess at every frame costs: far above any loss of training.
        self.loss_limit = 10 * math.log(corpus.corpus.num_outputs) / self.labels_per_frame
        self.scoring = Scoring(corpus.corpus, num_skipped=len(corpus.skipped))
        self._evaluated: FeatureSplit = corpus.splits["valid"]

    # What a subclass provides -------------------------------------------------------------------

    @abstractmethod
    def encode(self, batch: SpeechBatch) -> Tensor:
        """What losses and decoders read, [B, T, ...]."""

    @abstractmethod
    def losses(self, encoded: Tensor, batch: SpeechBatch) -> Tensor:
        """-log p(labels | sound) of each utterance [B], in nats."""

    @abstractmethod
    def decode(self, encoded: Tensor, batch: SpeechBatch, decoder: str) -> list[Decoded]:
        """What is recognised in each utterance."""

    @property
    @abstractmethod
    def decoder(self) -> str:
        """The decoder of the final measure."""

    @property
    @abstractmethod
    def decoder_signature(self) -> str:
        """The same with its options, for the signature: greedy or beam(width), whatever the
        network, so that a table can set CTC and transducers side by side."""

    # Reading ------------------------------------------------------------------------------------

    def read(self, batch: SpeechBatch) -> Tensor:
        """Outputs y_BTE of the encoder; a step is a stack of frames."""
        options = self.speech_options
        x_BTD = stack(batch.features, options.stack_frames)
        x_BTD = drop_quickly(x_BTD, options.dropout_input, self.training)
        y_BTE, _ = self.encoder(x_BTD, None, self.lengths(batch))
        return drop_quickly(y_BTE, options.dropout_output, self.training)

    def lengths(self, batch: SpeechBatch) -> Tensor:
        """Steps of each utterance, [B]."""
        return num_stacks(batch.num_frames, self.speech_options.stack_frames)

    def initialise(self) -> None:
        """Draw every weight anew where the options say so; after all parts have been made."""
        if (limit := self.speech_options.init_range) is not None:
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -limit, limit)

    def train_loader(self, *, rank: int = 0, world_size: int = 1) -> SpeechBatches:
        return SpeechBatches(
            self.corpus.splits["train"],
            batch_frames=self.speech_options.batch_frames,
            seed=self.config.seed,
            rank=rank,
            world_size=world_size,
        )

    def evaluation_loader(self, split: str) -> SpeechBatches:
        """All of a split; it is the one that the next evaluation scores."""
        self._evaluated = self.corpus.splits[split]
        return SpeechBatches(self._evaluated, batch_frames=EVALUATION_FRAMES, order="sorted")

    # Loss and metric ----------------------------------------------------------------------------

    def batch_loss(self, batch: SpeechBatch) -> tuple[Tensor, Tensor]:
        return self.losses(self.encode(batch), batch).sum(), batch.num_labels.sum()

    def update_loss(self, loss_sum: Tensor, count: Tensor, batch: SpeechBatch) -> Tensor:
        if self.speech_options.loss_scale == "sum":
            return loss_sum
        return loss_sum / batch.num_utterances

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self.scoring.begin()

    def validation_step(self, batch: SpeechBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.quick_decoder)

    def test_step(self, batch: SpeechBatch, batch_idx: int) -> None:
        self._evaluate(batch, self.decoder)

    def _evaluate(self, batch: SpeechBatch, decoder: str) -> None:
        encoded = self.encode(batch)
        nats_B = self.losses(encoded, batch).double()
        self.evaluation_sums += torch.stack([nats_B.sum(), batch.num_labels.sum().double()])
        decoded = self.decode(encoded, batch, decoder)
        self.scoring.add(batch, self._evaluated, nats_B.tolist(), decoded)

    @property
    def findings(self) -> Sequence[dict[int, Any]]:
        return self.scoring.found, self.scoring.edits_of

    @property
    def metric(self) -> str:
        return "phone-error-rate"

    def metric_value(self, mean_nats: float) -> float | None:
        return None

    def evaluation_metric(self) -> float:
        return self.scoring.edits.rate

    def validation_choice(self) -> float:
        by_loss = self.speech_options.choose_by == "loss"
        return mean_loss(self.evaluation_sums) if by_loss else self.evaluation_metric()

    def curve_values(self, loss_train: float, loss_valid: float) -> dict[str, float | None]:
        losses = {"loss_train": loss_train, "loss_valid": loss_valid}
        return {"train": None, "valid": self.evaluation_metric(), **losses}

    @property
    def signature(self) -> str:
        return self.scoring.signature(self.decoder_signature)

    @property
    def bound(self) -> float | None:
        return (self.corpus.corpus.bound_error_percent or {}).get("test")

    def keep_evaluation(self, folder: Path, split: str) -> None:
        self.scoring.keep(folder, split, self.decoder_signature)

    @property
    def num_train_units(self) -> int:
        return int(self.corpus.splits["train"].num_frames.sum())

    def units_in(self, batch: SpeechBatch) -> int:
        return int(batch.num_frames.sum())
