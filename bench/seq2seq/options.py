"""Options of networks that write sentences, shared by translation and captioning."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bench.core.config import Count, NonNegative, Positive, Share
from bench.core.structs import Frozen
from bench.training.dropout import Mask

Size = Annotated[int, msgspec.Meta(ge=0, le=65_536)]
Handover = Literal["state", "backward", "mean", "zero"]
Score = Literal["none", "mean", "additive", "dot", "general"]
Decay = Literal["always", "linear", "exponential", "inverse-sigmoid"]


class WriterOptions(Frozen, frozen=True, kw_only=True):
    """Decoder options shared by translation and captioning: network, training and search."""

    embedding_size: Size = 0
    """Size of the word vectors; 0: the recurrence's hidden units."""
    attention_size: Size = 0
    """Hidden units of additive attention; 0: the decoder's output size."""
    readout_size: Size = 0
    """Units of the readout; 0: the decoder's output size, or that of the word vectors where these
    are the output weights."""
    dropout_output: Share = 0.0
    """Dropout of the readout before the softmax."""
    dropout_mask: Mask = "step"
    """A new mask each step, or one for all steps of a sentence (Gal and Ghahramani, 2016)."""
    init_range: Positive = 0.1
    """Word vectors begin as U(-init_range, init_range); with `uniform` every weight does."""
    output_bias: Literal["unigram", "zero"] = "unigram"
    """The softmax begins at the training text's word frequencies, or at zero."""
    batch_tokens: Count = 4000
    """Tokens of a batch on the longer side, padding included."""
    teacher_forcing: Decay = "always"
    """Decay, over the steps of training, of the share of words that the decoder reads from the
    reference instead of its own samples."""
    teacher_forcing_steps: Count = 10_000
    """Time constant of the decay; see `bench.seq2seq.writer.teacher_forcing_share`."""
    teacher_forcing_floor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Lowest share that the decay reaches."""
    beam_size: Count = 5
    """Beams of the search that a finished run is measured by; 1: greedy."""
    length_penalty: Literal["none", "average", "gnmt"] = "none"
    """Divisor of the log-probability of a finished sequence."""
    alpha: NonNegative = 0.6
    """Exponent of the `gnmt` penalty."""
