"""Network of translation: source words to log-probabilities of target words.

Shapes: B sentences, S source words, T target words, E embedding, A annotation, V target vocabulary.
Any id may pad a sentence behind its end; lengths count the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.layers.full import FullSoftmax
from bench.layers.products import Products
from bench.models import StackOptions, build_recurrence, model_options
from bench.models.bidirectional import Bidirectional
from bench.models.deep import Deep
from bench.models.recurrence import Recurrence, State, masked, valid_steps
from bench.seq2seq.attention import Memory, build_attention
from bench.seq2seq.decoder import Bridge, Decoder, DecoderState, Readout, initialise_
from bench.seq2seq.writer import Writer
from bench.training.dropout import drop_by
from bench.translation.options import NetworkOptions


def build_decoder(
    model: Mapping[str, Scalar],
    options: NetworkOptions,
    *,
    embedding_size: int,
    annotation_size: int,
) -> Decoder:
    """Build recurrence, attention and readout beside an encoder of the configuration `model`.

    Raises BenchError for a recurrence that is not causal, and for options that exclude each other.
    """
    name, own = decoder_options(model, options)
    hidden_size = int(own["hidden_size"] or 0)
    context_size = 0 if options.attention == "none" else annotation_size
    usual = hidden_size if options.embeddings == "separate" else embedding_size
    readout_size = options.readout_size or usual
    input_size = embedding_size
    if options.attend == "before":
        input_size += context_size
    if options.feeding == "readout":
        _check_feeding(options)
        input_size += readout_size
    recurrence = build_recurrence(name, input_size, own)
    if not recurrence.is_causal:
        raise BenchError(f"a decoder may not read later words, {name} with these options does")
    output_size = recurrence.output_size
    if options.readout == "linear" and not options.readout_size:
        readout_size = output_size + context_size
    return Decoder(
        recurrence,
        build_attention(
            options.attention,
            output_size,
            annotation_size,
            hidden_size=options.attention_size or hidden_size,
        ),
        Readout(options.readout, output_size, context_size, embedding_size, size=readout_size),
        attend=options.attend,
        feeding=options.feeding,
    )


def _check_feeding(options: NetworkOptions) -> None:
    if options.attend == "before" and options.attention != "none":
        raise BenchError(
            "objective.feeding readout belongs to --objective.attend after: with `before` a step "
            "reads its context already"
        )
    if options.readout == "linear":
        raise BenchError(
            "objective.feeding readout has nothing to feed but what the step knows: choose "
            "--objective.readout tanh or maxout"
        )


def decoder_options(
    model: Mapping[str, Scalar], options: NetworkOptions
) -> tuple[str, dict[str, Scalar]]:
    """Name and options of the decoder's recurrence; options that both have are the encoder's."""
    encoder = str(model["name"])
    name = encoder if options.decoder_model == "same" else options.decoder_model
    known = set(model_options(name).__struct_fields__)
    shared = known if name == encoder else {*StackOptions.__struct_fields__, "hidden_size"}
    own = {key: value for key, value in model.items() if key in shared & known}
    own["direction"] = "forward"
    if options.decoder_size:
        own["hidden_size"] = options.decoder_size
    if options.decoder_layers:
        own["num_layers"] = options.decoder_layers
    return name, own


class Encoder(nn.Module):
    """Annotations of source words by any recurrence; with `encoder: words`, the word vectors."""

    def __init__(
        self, model: Mapping[str, object], options: NetworkOptions, vocabulary_size: int, size: int
    ) -> None:
        super().__init__()
        self.options = options
        self.embedding = nn.Embedding(vocabulary_size, size)
        own = {key: value for key, value in model.items() if key != "name"}
        self.recurrence: Recurrence | None = None
        if options.encoder == "recurrent":
            self.recurrence = build_recurrence(str(model["name"]), size, own)
        self.annotation_size = size if self.recurrence is None else self.recurrence.output_size

    def forward(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Tensor, State]:
        """Annotations h_BSA in the order of `source_BS`, zero at padding, and the final state.

        The state is final in the order of reading.
        """
        options = self.options
        x_BSE = self.embedding(self._ordered(source_BS, lengths_B))
        x_BSE = drop_by(options.dropout_mask, x_BSE, options.dropout_source, self.training)
        state: State = ()
        if self.recurrence is None:
            h_BSA = masked(x_BSE, valid_steps(lengths_B, source_BS.shape[1], x_BSE))
        else:
            h_BSA, state = self.recurrence(x_BSE, None, lengths_B)
        share = options.dropout_annotations
        h_BSA = drop_by(options.dropout_mask, h_BSA, share, self.training)
        return self._ordered(h_BSA, lengths_B), state

    def _ordered(self, values_BS: Tensor, lengths_B: Tensor) -> Tensor:
        """Put values into the order of reading, or back: both are the same permutation."""
        if self.options.source_order == "forward":
            return values_BS
        place_BS = mirrored(lengths_B, values_BS.shape[1])
        if values_BS.dim() == 3:
            return values_BS.gather(1, place_BS[:, :, None].expand_as(values_BS))
        return values_BS.gather(1, place_BS)

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the final state; empty without a recurrence."""
        return () if self.recurrence is None else self.recurrence.state_shapes()

    @property
    def backward_size(self) -> int:
        """Number of entries, the last of an annotation, that the backward direction wrote."""
        top = self.recurrence
        if isinstance(top, Deep):
            top = top.stack()[-1]
        return top.back.output_size if isinstance(top, Bidirectional) else 0

    def flops_per_step(self) -> int:
        """Floating-point operations of a source word, matrix products only."""
        return 0 if self.recurrence is None else self.recurrence.flops_per_step()


def mirrored(lengths_B: Tensor, num_places: int) -> Tensor:
    """Places [B, S] of the words of reversed sentences, whose ends stay behind them."""
    place_S = torch.arange(num_places, device=lengths_B.device)
    mirrored_BS = lengths_B[:, None] - 2 - place_S
    return torch.where(mirrored_BS >= 0, mirrored_BS, place_S)


class Pairs(NamedTuple):
    """Sentences and their translations."""

    source: Tensor
    """Ids, the end last, then padding [B, S]."""
    source_lengths: Tensor
    """Tokens with the end [B]."""
    target: Tensor
    """Ids, the end last, then padding [B, T]."""
    target_lengths: Tensor

    @property
    def sources(self) -> tuple[Tensor, Tensor]:
        """Inputs of the encoder."""
        return self.source, self.source_lengths


class TranslationNetwork(Writer):
    """Encoder, bridge, attention, decoder, readout and softmax.

    `model` is the encoder's name and options; `target_counts_V` are the training counts of the
    target words, `source_size` is the size of the source vocabulary. Raises BenchError for options
    that exclude each other.
    """

    def __init__(
        self,
        model: Mapping[str, Scalar],
        options: NetworkOptions,
        *,
        source_size: int,
        target_counts_V: Tensor,
        products: Products = "float32",
    ) -> None:
        super().__init__()
        self.options = options
        self.dropout_words = options.dropout_target
        self.dropout_readout = options.dropout_output
        self.dropout_mask = options.dropout_mask
        embedding_size = options.embedding_size or int(model["hidden_size"] or 0)
        self.encoder = Encoder(model, options, source_size, embedding_size)
        self.embedding = nn.Embedding(len(target_counts_V), embedding_size)
        self.decoder = build_decoder(
            model,
            options,
            embedding_size=embedding_size,
            annotation_size=self.encoder.annotation_size,
        )
        self.bridge = Bridge(options.handover, self.encoder, self.decoder.recurrence)
        self.output = FullSoftmax(
            self.decoder.readout.size,
            target_counts_V,
            output_bias=options.output_bias,
            products=products,
            evaluation_products="float32",
        )
        initialise_(self, init=options.init, init_range=options.init_range)
        if options.embeddings != "separate":
            self._tie(source_size)

    def _tie(self, source_size: int) -> None:
        """Share the output weights with the word vectors of the target, or of both sides."""
        self.tie_output()
        if self.options.embeddings == "shared":
            if source_size != self.embedding.num_embeddings:
                raise BenchError(
                    f"shared embeddings need one vocabulary for both sides, here are {source_size} "
                    f"and {self.embedding.num_embeddings} words: choose --objective.embeddings tied"
                )
            self.encoder.embedding = self.embedding

    def encode(self, *source: Tensor) -> tuple[Memory, DecoderState]:
        """Memory of the sources (`source_BS`, `lengths_B`), and the decoder's first state."""
        source_BS, lengths_B = source
        h_BSA, state = self.encoder(source_BS, lengths_B)
        carried = self.decoder.begin(self.bridge(h_BSA, state, lengths_B), h_BSA)
        valid_BS = valid_steps(lengths_B, source_BS.shape[1], h_BSA)
        attention = self.decoder.attention
        if attention is None:
            empty = h_BSA[:, :, :0]
            return Memory(empty, empty, valid_BS), carried
        return attention.build_memory(h_BSA, valid_BS), carried

    def loss(self, pairs: Pairs, *, teacher_forcing: float = 1.0) -> tuple[Tensor, Tensor]:
        """Sum of -log p over the target words and ends [], and their number []."""
        return self.word_loss(
            pairs.sources, pairs.target, pairs.target_lengths, teacher_forcing=teacher_forcing
        )

    def target_log_probs(self, pairs: Pairs) -> Tensor:
        """log p of each target word and end [B, T], zero at padding."""
        return self.word_log_probs(pairs.sources, pairs.target, pairs.target_lengths)

    def alignments(self, pairs: Pairs) -> Tensor | None:
        """Attention's weights a_BTS for each target word and end; None without attention."""
        return self.word_alignments(pairs.sources, pairs.target)

    def flops_per_target_word(self, sources_per_target: float, mean_source_words: float) -> int:
        """Forward floating-point operations of matrix products, those of source words included."""
        attention = self.decoder.attention
        of_source = self.encoder.flops_per_step()
        of_source += 0 if attention is None else attention.flops_per_word()
        of_target = self.decoder.flops_per_step(mean_source_words) + self.output.flops_per_token()
        return int(of_source * sources_per_target + of_target)
