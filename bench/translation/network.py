"""The whole network: source words to log-probabilities of target words.

    p(y | x) = prod_t p(y_t | y_<t, x), the end </s> the last y

Shapes: B sentences, S source words, T target words, K beams, N = B K rows, E embedding, R readout,
V target vocabulary. Words are padded behind their end with anything; lengths count the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.config import Scalar
from bench.data.parallel.segmentation import START
from bench.errors import BenchError
from bench.models.recurrence import valid_steps
from bench.objectives.output.full import FullSoftmax, chunk_rows
from bench.objectives.output.products import Products, product, products_as
from bench.translation.attention import Memory
from bench.translation.bridge import Bridge
from bench.translation.building import build_decoder
from bench.translation.decoder import Carried, Reading
from bench.translation.encoder import Encoder, dropped
from bench.translation.initialisation import initialise_
from bench.translation.options import NetworkOptions
from bench.translation.scheduled_sampling import mixed_inputs


class Pairs(NamedTuple):
    """Sentences and their translations."""

    source: Tensor
    """Ids, the end last, then padding [B, S]."""
    source_lengths: Tensor
    """With the end [B]."""
    target: Tensor
    """The same [B, T]."""
    target_lengths: Tensor


class TranslationNetwork(nn.Module):
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
        )
        initialise_(self, init=options.init, init_range=options.init_range)
        if options.embeddings != "separate":
            self._tie(source_size)

    def _tie(self, source_size: int) -> None:
        """One matrix for the output weights and the target's, or both sides', word vectors."""
        size, readout_size = self.embedding.embedding_dim, self.decoder.readout.size
        if size != readout_size:
            raise BenchError(
                f"tied embeddings: word vectors of size {size}, but the softmax reads "
                f"{readout_size}: set --objective.readout-size {size} or --objective.embedding-size"
            )
        self.output.tie(self.embedding)
        if self.options.embeddings == "shared":
            if source_size != self.embedding.num_embeddings:
                raise BenchError(
                    f"shared embeddings need one vocabulary for both sides, here are {source_size} "
                    f"and {self.embedding.num_embeddings} words: choose --objective.embeddings tied"
                )
            self.encoder.embedding = self.embedding

    # Teacher forcing ----------------------------------------------------------------------------

    def encode(self, source_BS: Tensor, lengths_B: Tensor) -> tuple[Memory, Carried]:
        """What attention remembers of the sources, and what the decoder's first step takes."""
        h_BSA, state = self.encoder(source_BS, lengths_B)
        carried = self.decoder.begin(self.bridge(h_BSA, state, lengths_B), h_BSA)
        valid_BS = valid_steps(lengths_B, source_BS.shape[1], h_BSA)
        attention = self.decoder.attention
        if attention is None:
            empty = h_BSA[:, :, :0]
            return Memory(empty, empty, valid_BS), carried
        return attention.remember(h_BSA, valid_BS), carried

    def read(self, input_BT: Tensor, memory: Memory, carried: Carried) -> Reading:
        """What the decoder finds after each of these words."""
        share = self.options.dropout_target
        word_BTE = dropped(self.embedding(input_BT), share, self.options, self.training)
        reading: Reading = self.decoder(word_BTE, memory, carried)
        return reading

    def loss(self, pairs: Pairs, *, teacher_forcing: float = 1.0) -> tuple[Tensor, Tensor]:
        """Sum of -log p over the target words and ends [], and their number [].

        With the probability `teacher_forcing` the decoder reads the word that is written, else
        what it would have drawn itself (S. Bengio et al., 2015); no gradient goes through a draw.
        """
        memory, carried = self.encode(pairs.source, pairs.source_lengths)
        input_BT = shifted(pairs.target)
        if teacher_forcing < 1.0:
            input_BT = mixed_inputs(self.step, input_BT, memory, carried, teacher_forcing)
        r_BTR = self.read(input_BT, memory, carried).readouts
        r_BTR = dropped(r_BTR, self.options.dropout_output, self.options, self.training)
        valid_BT = valid_steps(pairs.target_lengths, input_BT.shape[1], r_BTR)
        return self.output.loss(r_BTR[valid_BT], pairs.target[valid_BT])

    @torch.no_grad()
    def target_log_probs(self, pairs: Pairs) -> Tensor:
        """log p of each target word and end [B, T], zero at padding."""
        memory, carried = self.encode(pairs.source, pairs.source_lengths)
        r_BTR = self.read(shifted(pairs.target), memory, carried).readouts
        valid_BT = valid_steps(pairs.target_lengths, r_BTR.shape[1], r_BTR)
        log_p_BT = r_BTR.new_zeros(valid_BT.shape, dtype=self.output.dtype)
        log_p_BT[valid_BT] = self.output.log_probs(r_BTR[valid_BT], pairs.target[valid_BT])
        return log_p_BT

    @torch.no_grad()
    def alignments(self, pairs: Pairs) -> Tensor | None:
        """Attention's weights a_BTS for each target word and end; None without attention."""
        if self.decoder.attention is None:
            return None
        memory, carried = self.encode(pairs.source, pairs.source_lengths)
        return self.read(shifted(pairs.target), memory, carried).weights

    # Searching ----------------------------------------------------------------------------------

    def searching(self, source_BS: Tensor, lengths_B: Tensor) -> Searching:
        """The network as a search asks for it, over these sources."""
        return Searching(self, source_BS, lengths_B)

    def step(self, token_N: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Carried]:
        """log p of every word [N, V] after one more word, of K rows a sentence; no gradient."""
        r_NR, carried = self.decoder.step(self.embedding(token_N), memory, carried)
        return log_distribution(self.output, r_NR), carried

    def flops_per_target_word(self, sources_per_target: float, mean_source_words: float) -> int:
        """Forward floating-point operations, matrix products only."""
        attention = self.decoder.attention
        of_source = self.encoder.flops_per_step()
        of_source += 0 if attention is None else attention.flops_per_word()
        of_target = self.decoder.flops_per_step(mean_source_words) + self.output.flops_per_token()
        return int(of_source * sources_per_target + of_target)


class Searched(NamedTuple):
    """State of a search: its sentences and its rows."""

    memory: Memory
    carried: Carried


@dataclass(frozen=True)
class Searching:
    """A network that has read its sources; see `bench.decoding.beam.StepNetwork`."""

    network: TranslationNetwork
    source: Tensor
    lengths: Tensor

    def begin(self) -> Searched:
        return Searched(*self.network.encode(self.source, self.lengths))

    def step(self, token_N: Tensor, state: Searched) -> tuple[Tensor, Searched]:
        log_p_NV, carried = self.network.step(token_N, state.memory, state.carried)
        return log_p_NV, Searched(state.memory, carried)

    def reorder(self, state: Searched, row_BK: Tensor) -> Searched:
        memory, num_before = state.memory, len(state.memory.valid)
        if len(row_BK) < num_before:
            width = len(state.carried.output) // num_before
            memory = memory.rows(row_BK[:, 0] // width)
        return Searched(memory, state.carried.rows(row_BK.flatten()))


@torch.no_grad()
def log_distribution(output: FullSoftmax, r_NR: Tensor) -> Tensor:
    """log p of every word [N, V] by the sums that the softmax's losses have.

    The library's log_softmax adds one number after the other, so that long rows lose digits: over a
    sentence the fifth behind the point, by which a search and a rescoring would differ.
    """
    weight_VR, bias_V, products = output.weight, output.bias, output.products
    log_p_NV = r_NR.new_empty(len(r_NR), len(weight_VR))
    size = chunk_rows(len(weight_VR), weight_VR.element_size(), r_NR.device.type)
    with products_as(products, r_NR.device):
        for first in range(0, len(r_NR), size):
            z_MV = log_p_NV[first : first + size]
            product(r_NR[first : first + size], weight_VR.t(), products, z_MV).add_(bias_V)
            z_MV.sub_(z_MV.logsumexp(1, keepdim=True))
    return log_p_NV


def shifted(target_BT: Tensor) -> Tensor:
    """The word before each: <s>, then all but the last."""
    return torch.cat([torch.full_like(target_BT[:, :1], START), target_BT[:, :-1]], dim=1)
