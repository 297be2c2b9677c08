"""Connectionist temporal classification.

A. Graves, S. Fernandez, F. Gomez and J. Schmidhuber, ICML 2006; with deep bidirectional networks in
A. Graves, A. Mohamed and G. Hinton, ICASSP 2013, section 3.1. At every step a softmax over the
labels and a blank; a label sequence has the probability of all paths that spell it,

    Pr(y | x) = sum over paths a with B(a) = y of prod_t Pr(a_t | t, x),

B takes out repetitions, then blanks.

Shapes: B utterances, T steps, E output of the encoder, U labels, V outputs, of which 0 is the
blank.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import msgspec
import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.config import Count, Positive, RunConfig
from bench.core.errors import BenchError
from bench.speech.data.batches import SpeechBatch
from bench.speech.data.corpus import BLANK, Labels, num_frames_needed
from bench.speech.data.prepared import FeatureSplit, SpeechData
from bench.speech.decoding.ctc import Fusion, NGramLabels, best_path, prefix_beam_search
from bench.speech.objectives.speech import Decoded, SpeechObjective, SpeechOptions, draw_weights
from bench.text.baselines.ngram import MAX_ORDER, NGram


class CTCOptions(SpeechOptions, frozen=True, kw_only=True):
    """Options of the `ctc` objective."""

    decoder: Literal["best-path", "prefix-beam"] = "prefix-beam"
    """Decoder of a finished run; validation after each epoch is by the best path."""
    beam_width: Count = 100
    """Prefixes that the beam keeps."""
    lm_order: Annotated[int, msgspec.Meta(ge=0, le=MAX_ORDER)] = 0
    """Order of an n-gram model of the training labels that the beam search adds; 0: none."""
    lm_weight: Positive = 0.5
    """Factor of that model's log-probability."""
    lm_bonus: float = 0.0
    """Addition to the score for each label, against the model's preference for few labels."""

    @property
    def decoder_signature(self) -> str:
        if self.decoder == "best-path":
            return "greedy"
        model = f"+{self.lm_order}-gram({self.lm_weight:g},{self.lm_bonus:g})"
        return f"beam({self.beam_width}){model if self.lm_order else ''}"


class CTC(SpeechObjective):
    """Any recurrence, a linear layer, a softmax over labels and blank at every step."""

    Options = CTCOptions
    options: CTCOptions

    @property
    def has_quick_decoder(self) -> bool:  # type: ignore[override]
        """A beam and the best path may differ much, and validation chooses by the latter."""
        return self.options.decoder != "best-path"

    def __init__(self, config: RunConfig, corpus: SpeechData) -> None:
        super().__init__(config, corpus)
        self.output = nn.Linear(self.encoder.output_size, corpus.corpus.num_outputs)
        draw_weights(self, self.options.init_range)
        _check_lengths(corpus, self.options.stack_frames)
        if self.options.lm_order and self.options.decoder == "best-path":
            raise BenchError(
                "objective.lm_order: the best path has no use for a label model; leave it out, or "
                "set --objective.decoder prefix-beam"
            )

    def encode(self, batch: SpeechBatch) -> Tensor:
        """Log-probabilities of the outputs [B, T, V]."""
        z_BTV = self.output(self.read(batch))
        return F.log_softmax(z_BTV.to(self.output.weight.dtype), dim=2)  # of half precision, too

    def losses(self, encoded: Tensor, batch: SpeechBatch) -> Tensor:
        return F.ctc_loss(
            encoded.transpose(0, 1),
            batch.labels,
            self.lengths(batch),
            batch.num_labels,
            reduction="none",
        )

    def decode(self, encoded: Tensor, batch: SpeechBatch, *, final: bool) -> list[Decoded]:
        options, lengths_B = self.options, self.lengths(batch)
        if not final or options.decoder == "best-path":
            return [Decoded(labels) for labels in best_path(encoded, lengths_B)]
        fusion = self.label_model if options.lm_order else None
        found = prefix_beam_search(encoded, lengths_B, width=options.beam_width, fusion=fusion)
        return [Decoded(best.labels, -best.log_prob) for best, *_ in found]

    def flops_per_unit(self) -> int:
        per_step = self.encoder.flops_per_step() + 2 * self.output.weight.numel()
        return per_step // self.options.stack_frames

    @cached_property
    def label_model(self) -> Fusion:
        """Kneser-Ney model of the training labels, fitted when it is first used."""
        num_outputs = self.corpus.corpus.num_outputs
        model = NGram(order=self.options.lm_order, smoothing="kneser-ney")
        model.fit(
            label_text(self.corpus.splits["train"]),
            valid=label_text(self.corpus.splits["valid"]),
            vocabulary_size=num_outputs,
            end_of_sentence=BLANK,
        )
        return Fusion(
            model=NGramLabels(model, np.arange(num_outputs)),
            weight=self.options.lm_weight,
            insertion_bonus=self.options.lm_bonus,
        )


def label_text(split: FeatureSplit) -> Labels:
    """Labels of all utterances of a split, each ended by the blank's number."""
    end = np.array([BLANK])
    return np.concatenate([part for labels in split.labels for part in (labels, end)])


def _check_lengths(corpus: SpeechData, num_frames: int) -> None:
    """Raise BenchError for stacks so large that an utterance has fewer than its labels need."""
    if num_frames == 1:
        return  # what has too few frames was found when the corpus was read
    short = [
        utterance.id
        for split in corpus.splits.values()
        for utterance, labels, length in zip(
            split.utterances, split.labels, split.num_frames.tolist(), strict=True
        )
        if -(-length // num_frames) < num_frames_needed(labels)
    ]
    if short:
        raise BenchError(
            f"objective.stack_frames {num_frames} leaves {len(short)} utterances with fewer steps "
            f"than CTC needs for their labels ({', '.join(short[:3])}): choose a smaller one"
        )
