"""The whole network: source words to log-probabilities of target words.

Shapes: B sentences, S source words, T target words, V target vocabulary. Words are padded behind
their end with anything; lengths count the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from bench.core.config import Scalar
from bench.core.errors import BenchError
from bench.layers.output.full import FullSoftmax
from bench.layers.output.products import Products
from bench.models.recurrence import valid_steps
from bench.seq2seq.attention import Memory
from bench.seq2seq.bridge import Bridge
from bench.seq2seq.decoder import Carried
from bench.seq2seq.initialisation import initialise_
from bench.seq2seq.options import NetworkOptions
from bench.seq2seq.writer import Writer, shifted
from bench.translation.network.building import build_decoder
from bench.translation.network.encoder import Encoder

__all__ = ["Pairs", "TranslationNetwork", "shifted"]


class Pairs(NamedTuple):
    """Sentences and their translations."""

    source: Tensor
    """Ids, the end last, then padding [B, S]."""
    source_lengths: Tensor
    """With the end [B]."""
    target: Tensor
    """The same [B, T]."""
    target_lengths: Tensor

    @property
    def sources(self) -> tuple[Tensor, Tensor]:
        """What is read."""
        return self.source, self.source_lengths


class TranslationNetwork(Writer):
    """Encoder, bridge, attention, decoder, readout and softmax.

    `model` is the encoder's name and options; `target_counts_V` are the training counts of the
    target words, `source_size` is the size of the source vocabulary. Raises BenchError for options
    that do not go together.
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
        """One matrix for the output weights and the target's, or both sides', word vectors."""
        self.tie_output()
        if self.options.embeddings == "shared":
            if source_size != self.embedding.num_embeddings:
                raise BenchError(
                    f"shared embeddings need one vocabulary for both sides, here are {source_size} "
                    f"and {self.embedding.num_embeddings} words: choose --objective.embeddings tied"
                )
            self.encoder.embedding = self.embedding

    def encode(self, *source: Tensor) -> tuple[Memory, Carried]:
        """What attention remembers of `source_BS` and `lengths_B`, and the decoder's beginning."""
        source_BS, lengths_B = source
        h_BSA, state = self.encoder(source_BS, lengths_B)
        carried = self.decoder.begin(self.bridge(h_BSA, state, lengths_B), h_BSA)
        valid_BS = valid_steps(lengths_B, source_BS.shape[1], h_BSA)
        attention = self.decoder.attention
        if attention is None:
            empty = h_BSA[:, :, :0]
            return Memory(empty, empty, valid_BS), carried
        return attention.remember(h_BSA, valid_BS), carried

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
        """Forward floating-point operations, matrix products only."""
        attention = self.decoder.attention
        of_source = self.encoder.flops_per_step()
        of_source += 0 if attention is None else attention.flops_per_word()
        of_target = self.decoder.flops_per_step(mean_source_words) + self.output.flops_per_token()
        return int(of_source * sources_per_target + of_target)
