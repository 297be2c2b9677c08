"""Networks that write: a decoder over encoded sources, and a softmax over the next word.

    p(y | x) = prod_t p(y_t | y_<t, x), the end </s> the last y

A source x is a sentence or an image, as the subclass says; several rows may be written of one.

Shapes: B sources, N rows of them (beams, sentences), T words, R readout, V vocabulary.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.data.tokens import START
from bench.layers.full import FullSoftmax
from bench.models.recurrence import valid_steps
from bench.seq2seq.attention import Memory
from bench.seq2seq.decoder import Decoder, DecoderOutput, DecoderState
from bench.seq2seq.next_words import NextWords
from bench.seq2seq.options import Decay
from bench.training.dropout import Mask, drop_by

Sources = tuple[Tensor, ...]
"""Inputs of an encoder, a row a source."""
Step = Callable[[Tensor, Memory, DecoderState], tuple[Tensor, DecoderState]]


class Writer(nn.Module, ABC):
    """Base of networks that write; a subclass makes the parts below and gives `encode`."""

    embedding: nn.Embedding
    decoder: Decoder
    output: FullSoftmax
    dropout_words: float
    """Dropout of the word vectors."""
    dropout_readout: float
    dropout_mask: Mask

    @abstractmethod
    def encode(self, *source: Tensor) -> tuple[Memory, DecoderState]:
        """Memory of the sources, and the decoder's first state."""

    # Teacher forcing ----------------------------------------------------------------------------

    def decode(self, input_BT: Tensor, memory: Memory, state: DecoderState) -> DecoderOutput:
        """Decoder's output after each of these words."""
        word_BTE = self.drop(self.embedding(input_BT), self.dropout_words)
        output: DecoderOutput = self.decoder(word_BTE, memory, state)
        return output

    def decode_source(self, source: Sources, input_BT: Tensor) -> DecoderOutput:
        """Encode the sources and decode."""
        return self.decode(input_BT, *self.encode(*source))

    def word_loss(
        self, source: Sources, target_BT: Tensor, lengths_B: Tensor, *, teacher_forcing: float
    ) -> tuple[Tensor, Tensor]:
        """Sum of -log p over words and ends [], and their number [].

        With probability `teacher_forcing` the decoder reads the word of the reference, else its
        own sample: see `sampled_inputs`.
        """
        input_BT = shift_right(target_BT)
        if teacher_forcing < 1.0:
            memory, state = self.encode(*source)
            input_BT = sampled_inputs(self.step, input_BT, memory, state, teacher_forcing)
            r_BTR = self.decode(input_BT, memory, state).readouts
        else:
            r_BTR = self.decode_source(source, input_BT).readouts
        r_BTR = self.drop(r_BTR, self.dropout_readout)
        valid_BT = valid_steps(lengths_B, input_BT.shape[1], r_BTR)
        return self.output.loss(r_BTR[valid_BT], target_BT[valid_BT])

    @torch.no_grad()
    def word_log_probs(self, source: Sources, target_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """log p of each word and end [B, T], zero at padding."""
        r_BTR = self.decode_source(source, shift_right(target_BT)).readouts
        valid_BT = valid_steps(lengths_B, r_BTR.shape[1], r_BTR)
        log_p_BT = r_BTR.new_zeros(valid_BT.shape, dtype=self.output.dtype)
        log_p_BT[valid_BT] = self.output.log_probs(r_BTR[valid_BT], target_BT[valid_BT])
        return log_p_BT

    @torch.no_grad()
    def word_alignments(self, source: Sources, target_BT: Tensor) -> Tensor | None:
        """Attention's weights a_BTS for each word and end; None without attention."""
        if self.decoder.attention is None:
            return None
        return self.decode_source(source, shift_right(target_BT)).weights

    def drop(self, x_BTH: Tensor, share: float) -> Tensor:
        """Dropout by this network's masks."""
        return drop_by(self.dropout_mask, x_BTH, share, self.training)

    # Search -------------------------------------------------------------------------------------

    def stepwise(self, *source: Tensor) -> StepwiseWriter:
        """Interface of the network for a search, over these sources."""
        return StepwiseWriter(self, source)

    def next_words(
        self, token_N: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[NextWords, DecoderState]:
        """Continuations after one more word; the number of rows of each source is the same."""
        r_NR, state = self.decoder.step(self.embedding(token_N), memory, state)
        return NextWords(self.output, r_NR), state

    def step(
        self, token_N: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[Tensor, DecoderState]:
        """log p of every word [N, V] after one more word."""
        words, state = self.next_words(token_N, memory, state)
        return words.log_probs(), state

    def tie_output(self) -> None:
        """Make the word vectors the softmax's weights; BenchError where their sizes differ."""
        size, readout_size = self.embedding.embedding_dim, self.decoder.readout.size
        if size != readout_size:
            raise BenchError(
                f"tied embeddings: word vectors of size {size}, but the softmax reads "
                f"{readout_size}: set --objective.readout-size {size} or --objective.embedding-size"
            )
        self.output.tie(self.embedding)


class SearchState(NamedTuple):
    """State of a search: memory of its sources, decoder state of its rows."""

    memory: Memory
    decoder: DecoderState


@dataclass(frozen=True)
class StepwiseWriter:
    """Writer with its sources, as a `bench.seq2seq.beam.StepNetwork`."""

    network: Writer
    source: Sources

    def begin(self) -> SearchState:
        return SearchState(*self.network.encode(*self.source))

    def step(self, token_N: Tensor, state: SearchState) -> tuple[NextWords, SearchState]:
        words, decoder = self.network.next_words(token_N, *state)
        return words, SearchState(state.memory, decoder)

    def reorder(self, state: SearchState, row_BK: Tensor) -> SearchState:
        memory, num_before = state.memory, len(state.memory.valid)
        if len(row_BK) < num_before:
            width = len(state.decoder.output) // num_before
            memory = memory.rows(row_BK[:, 0] // width)
        return SearchState(memory, state.decoder.rows(row_BK.flatten()))


def shift_right(target_BT: Tensor) -> Tensor:
    """Word before each: <s>, then all but the last."""
    return torch.cat([torch.full_like(target_BT[:, :1], START), target_BT[:, :-1]], dim=1)


# Scheduled sampling: in training the decoder reads more and more of its own samples.


def teacher_forcing_share(decay: Decay, step: int, *, num_steps: int, floor: float) -> float:
    """Share eps_i of the words that are read from the reference at step i, never below `floor`.

    linear 1 - i / k, exponential exp(-i / k), inverse-sigmoid k / (k + exp(i / k)), k = num_steps.
    """
    if decay == "always":
        return 1.0
    place = step / num_steps
    share = {
        "linear": 1.0 - place,
        "exponential": math.exp(-place),
        "inverse-sigmoid": num_steps / (num_steps + math.exp(min(place, 700.0))),
    }[decay]
    return max(floor, share)


@torch.no_grad()
def sampled_inputs(
    step: Step, input_BT: Tensor, memory: Memory, state: DecoderState, share: float
) -> Tensor:
    """`input_BT` with each word but the first kept with probability `share`, else sampled.

    S. Bengio, O. Vinyals, N. Jaitly and N. Shazeer, "Scheduled sampling for sequence prediction
    with recurrent neural networks", 2015. No gradient goes through a sample, so the words are
    drawn first, a step at a time and without dropout within the decoder; the gradient is then that
    of reading them, by the fast path.
    """
    keep_BT = torch.rand(input_BT.shape, device=input_BT.device) < share
    words = [input_BT[:, 0]]
    for t in range(1, input_BT.shape[1]):
        log_p_BV, state = step(words[-1], memory, state)
        drawn_B = torch.multinomial(log_p_BV.exp(), 1)[:, 0]
        words.append(torch.where(keep_BT[:, t], input_BT[:, t], drawn_B))
    return torch.stack(words, dim=1)
