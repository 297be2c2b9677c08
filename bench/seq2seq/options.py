"""What stands around the recurrences of a translation model, and how it is trained and searched.

The defaults are M.-T. Luong, H. Pham and C. Manning, EMNLP 2015, without input feeding, which
trains fastest: the whole target runs through one scan.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bench.core.config import Count, NonNegative, Positive
from bench.core.structs import Frozen
from bench.training.dropout import Mask

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Size = Annotated[int, msgspec.Meta(ge=0)]
Handover = Literal["state", "backward", "mean", "zero"]
Score = Literal["none", "mean", "additive", "dot", "general"]
Decay = Literal["always", "linear", "exponential", "inverse-sigmoid"]


class WriterOptions(Frozen, frozen=True, kw_only=True):
    """What whatever writes words has, and how it is trained and searched."""

    embedding_size: Size = 0
    """Size of the word vectors; 0: as many as the recurrence's hidden units."""
    attention_size: Size = 0
    """Hidden units of additive attention; 0: as many as the decoder's outputs."""
    readout_size: Size = 0
    """Units of the readout; 0: as many as the decoder's outputs, or as the word vectors where these
    are the output weights."""
    dropout_output: Share = 0.0
    """Share of the readout that is dropped before the softmax."""
    dropout_mask: Mask = "step"
    """A new mask each step, or one for all steps of a sentence (Gal and Ghahramani, 2016)."""
    init_range: Positive = 0.1
    """Word vectors begin as U(-init_range, init_range); with `uniform` every weight does."""
    output_bias: Literal["unigram", "zero"] = "unigram"
    """The softmax begins at the training text's word frequencies, or at zero."""
    batch_tokens: Count = 4000
    """Tokens of a batch on the side that has more, padding included."""
    teacher_forcing: Decay = "always"
    """How the share of words that the decoder reads as written falls over the steps of training."""
    teacher_forcing_steps: Count = 10_000
    """How slowly it falls; see `bench.seq2seq.writer`."""
    teacher_forcing_floor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Below which it does not fall."""
    beam_size: Count = 5
    """Beams of the search that a finished run is measured by; 1: greedy."""
    length_penalty: Literal["none", "average", "gnmt"] = "none"
    """What divides the log-probability of what is finished."""
    alpha: NonNegative = 0.6
    """Exponent of the `gnmt` penalty."""


class NetworkOptions(WriterOptions, frozen=True, kw_only=True):
    """Encoder, what it hands over, attention, decoder and readout."""

    encoder: Literal["recurrent", "words"] = "recurrent"
    """The recurrence reads the source, or each word is its vector alone (bag of words)."""
    source_order: Literal["forward", "reversed"] = "forward"
    """reversed: the source is read from its last word on, its end last (Sutskever et al., 2014)."""
    embeddings: Literal["separate", "tied", "shared"] = "separate"
    """tied: output weights are the target's word vectors; shared: and the source's as well."""
    decoder_model: str = "same"
    """Architecture of the decoder; the encoder's own shares its options but direction."""
    decoder_size: Size = 0
    """Hidden units of the decoder; 0: as many as the encoder's, a direction."""
    decoder_layers: Size = 0
    """Layers of the decoder; 0: as many as the encoder's."""
    handover: Handover = "state"
    """How the decoder begins: with the encoder's last state (through a learned map where its shapes
    differ), or with a learned map of the backward reading's end (Bahdanau et al., 2015) or of the
    mean annotation, or with zeros."""
    attention: Score = "general"
    """How annotations are weighted: not at all, equally, additively (Bahdanau), by dot or general
    product (Luong)."""
    attend: Literal["before", "after"] = "after"
    """before: the state before a word decides, and the context is an input of the decoder's step
    (Bahdanau); after: the output of the step decides (Luong)."""
    feeding: Literal["none", "readout"] = "none"
    """readout: what predicted the word before is an input of the next step (Luong's feeding)."""
    readout: Literal["linear", "tanh", "maxout"] = "tanh"
    """What the softmax reads: output and context side by side; a tanh layer of them (Luong); a
    maxout layer of them and the word before (Bahdanau)."""
    dropout_source: Share = 0.0
    """Share of the source's word vectors' entries that is dropped."""
    dropout_target: Share = 0.0
    """Share of the target's word vectors' entries that is dropped."""
    dropout_annotations: Share = 0.0
    """Share of the encoder's outputs that is dropped."""
    init: Literal["parts", "uniform", "bahdanau"] = "parts"
    """parts: each by its own rule; uniform: every weight U(-init_range, init_range) (Sutskever);
    bahdanau: around the recurrences N(0, 0.01^2), in the attention N(0, 0.001^2), biases zero."""


class TranslationOptions(NetworkOptions, frozen=True, kw_only=True):
    """Options of the `translation` objective."""

    longest: Count | None = None
    """Pairs with more tokens than that on a side are not trained on; none is left out if not
    given."""
    loss_scale: Literal["token", "sentence"] = "token"
    """What is differentiated: the mean over the batch's target tokens or over its sentences."""
    choose_by: Literal["loss", "bleu"] = "bleu"
    """What validation chooses by: the loss, or BLEU of greedy translations."""
    max_length_factor: Positive = 2.0
    """Words of a translation for each word of its source, at the most."""
    replace_unknown: Literal["never", "aligned"] = "never"
    """aligned: an unknown word of the output becomes the source word that attention points to."""
