"""Options of the `translation` objective.

The defaults are M.-T. Luong, H. Pham and C. Manning, EMNLP 2015, without input feeding, which
trains fastest: the whole target runs through one scan.
"""

from __future__ import annotations

from typing import Literal

from bench.core.config import Count, Positive, Share
from bench.seq2seq.options import Handover, Score, Size, WriterOptions


class NetworkOptions(WriterOptions, frozen=True, kw_only=True):
    """Encoder, bridge, attention, decoder and readout."""

    encoder: Literal["recurrent", "words"] = "recurrent"
    """The recurrence reads the source, or each word is its vector alone (bag of words)."""
    source_order: Literal["forward", "reversed"] = "forward"
    """reversed: the source is read from its last word on, its end last (Sutskever et al., 2014)."""
    embeddings: Literal["separate", "tied", "shared"] = "separate"
    """tied: output weights are the target's word vectors; shared: and the source's as well."""
    decoder_model: str = "same"
    """Architecture of the decoder; the encoder's own shares its options but direction."""
    decoder_size: Size = 0
    """Hidden units of the decoder; 0: those of one direction of the encoder."""
    decoder_layers: Size = 0
    """Layers of the decoder; 0: as many as the encoder's."""
    handover: Handover = "state"
    """First state of the decoder: the encoder's last state (through a learned map where its shapes
    differ), a learned map of the backward reading's end (Bahdanau et al., 2015) or of the mean
    annotation, or zeros."""
    attention: Score = "general"
    """Weights of the annotations: none, equal, additive (Bahdanau), dot or general product
    (Luong)."""
    attend: Literal["before", "after"] = "after"
    """before: the state before a word decides, and the context is an input of the decoder's step
    (Bahdanau); after: the output of the step decides (Luong)."""
    feeding: Literal["none", "readout"] = "none"
    """readout: the readout that predicted a word is an input of the next step (Luong's feeding)."""
    readout: Literal["linear", "tanh", "maxout"] = "tanh"
    """Input of the softmax: output and context side by side; a tanh layer of them (Luong); a
    maxout layer of them and the word before (Bahdanau)."""
    dropout_source: Share = 0.0
    """Dropout of the source's word vectors."""
    dropout_target: Share = 0.0
    """Dropout of the target's word vectors."""
    dropout_annotations: Share = 0.0
    """Dropout of the encoder's outputs."""
    init: Literal["parts", "uniform", "bahdanau"] = "parts"
    """parts: each by its own rule; uniform: every weight U(-init_range, init_range) (Sutskever);
    bahdanau: around the recurrences N(0, 0.01^2), in the attention N(0, 0.001^2), biases zero."""


class TranslationOptions(NetworkOptions, frozen=True, kw_only=True):
    """Options of the `translation` objective."""

    longest: Count | None = None
    """Pairs with more tokens on a side are not trained on; by default all are."""
    loss_scale: Literal["token", "sentence"] = "token"
    """Training loss: mean over the batch's target tokens or over its sentences."""
    choose_by: Literal["loss", "bleu"] = "bleu"
    """Criterion of validation: the loss, or BLEU of greedy translations."""
    max_length_factor: Positive = 2.0
    """Words of a translation for each word of its source, at the most."""
    replace_unknown: Literal["never", "aligned"] = "never"
    """aligned: an unknown word of the output becomes the source word that attention points to."""
