"""What writes words: a decoder over what was read, and a softmax over the next word.

    p(y | x) = prod_t p(y_t | y_<t, x), the end </s> the last y

What x is, is a subclass's to say: a sentence, an image. Several rows may be written of one x.

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
from bench.seq2seq.decoder import Carried, Decoder, Reading
from bench.seq2seq.next_words import NextWords
from bench.seq2seq.options import Decay
from bench.training.dropout import Mask, drop_by

# Scheduled sampling: in training the decoder reads more and more of what it wrote itself.
#
# S. Bengio, O. Vinyals, N. Jaitly and N. Shazeer, "Scheduled sampling for sequence prediction with
# recurrent neural networks", 2015. At training step i, before each word but the first, a coin that
# shows heads with probability eps_i decides between the word that is written and one drawn from
# the network's own distribution. As no gradient goes through a draw, the words are drawn first, a
# step at a time; the gradient is then that of reading them, by the fast path. The draws are made
# without dropout within the decoder.
#
# Shapes: B sentences, T words, V vocabulary.


Step = Callable[[Tensor, Memory, Carried], tuple[Tensor, Carried]]


def teacher_forcing(decay: Decay, step: int, *, num_steps: int, floor: float) -> float:
    """eps_i, the share of words that are read as written, never below `floor`.

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
def mixed_inputs(
    step: Step, input_BT: Tensor, memory: Memory, carried: Carried, share: float
) -> Tensor:
    """`input_BT` with each word but the first kept with probability `share`, else drawn."""
    written_BT = torch.rand(input_BT.shape, device=input_BT.device) < share
    words = [input_BT[:, 0]]
    for t in range(1, input_BT.shape[1]):
        log_p_BV, carried = step(words[-1], memory, carried)
        drawn_B = torch.multinomial(log_p_BV.exp(), 1)[:, 0]
        words.append(torch.where(written_BT[:, t], input_BT[:, t], drawn_B))
    return torch.stack(words, dim=1)


Sources = tuple[Tensor, ...]
"""What a network reads of its sources, a row a source."""


class Writer(nn.Module, ABC):
    """A subclass makes `embedding`, `decoder` and `output`, and says how sources are read."""

    embedding: nn.Embedding
    decoder: Decoder
    output: FullSoftmax
    dropout_words: float
    """Share of the word vectors' entries that is dropped."""
    dropout_readout: float
    dropout_mask: Mask

    @abstractmethod
    def encode(self, *source: Tensor) -> tuple[Memory, Carried]:
        """What attention remembers of the sources, and what the decoder's first step takes."""

    # Teacher forcing ----------------------------------------------------------------------------

    def read(self, input_BT: Tensor, memory: Memory, carried: Carried) -> Reading:
        """What the decoder finds after each of these words."""
        word_BTE = self.drop(self.embedding(input_BT), self.dropout_words)
        reading: Reading = self.decoder(word_BTE, memory, carried)
        return reading

    def read_all(self, source: Sources, input_BT: Tensor) -> Reading:
        """The same from the sources on."""
        return self.read(input_BT, *self.encode(*source))

    def word_loss(
        self, source: Sources, target_BT: Tensor, lengths_B: Tensor, *, teacher_forcing: float
    ) -> tuple[Tensor, Tensor]:
        """Sum of -log p over words and ends [], and their number [].

        With the probability `teacher_forcing` the decoder reads the word that is written, else
        what it would have drawn itself (S. Bengio et al., 2015); no gradient goes through a draw.
        """
        input_BT = shifted(target_BT)
        if teacher_forcing < 1.0:
            memory, carried = self.encode(*source)
            input_BT = mixed_inputs(self.step, input_BT, memory, carried, teacher_forcing)
            r_BTR = self.read(input_BT, memory, carried).readouts
        else:
            r_BTR = self.read_all(source, input_BT).readouts
        r_BTR = self.drop(r_BTR, self.dropout_readout)
        valid_BT = valid_steps(lengths_B, input_BT.shape[1], r_BTR)
        return self.output.loss(r_BTR[valid_BT], target_BT[valid_BT])

    @torch.no_grad()
    def word_log_probs(self, source: Sources, target_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """log p of each word and end [B, T], zero at padding."""
        r_BTR = self.read_all(source, shifted(target_BT)).readouts
        valid_BT = valid_steps(lengths_B, r_BTR.shape[1], r_BTR)
        log_p_BT = r_BTR.new_zeros(valid_BT.shape, dtype=self.output.dtype)
        log_p_BT[valid_BT] = self.output.log_probs(r_BTR[valid_BT], target_BT[valid_BT])
        return log_p_BT

    @torch.no_grad()
    def word_alignments(self, source: Sources, target_BT: Tensor) -> Tensor | None:
        """Attention's weights a_BTS for each word and end; None without attention."""
        if self.decoder.attention is None:
            return None
        return self.read_all(source, shifted(target_BT)).weights

    def drop(self, x_BTH: Tensor, share: float) -> Tensor:
        """`x_BTH` after dropout by this network's masks."""
        return drop_by(self.dropout_mask, x_BTH, share, self.training)

    # Searching ----------------------------------------------------------------------------------

    def searching(self, *source: Tensor) -> Searching:
        """The network as a search asks for it, over these sources."""
        return Searching(self, source)

    def step(self, token_N: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Carried]:
        """log p of every word [N, V] after one more word, as many rows of each source."""
        r_NR, carried = self.read_one(token_N, memory, carried)
        return NextWords(self.output, r_NR).log_probs(), carried

    def read_one(self, token_N: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Carried]:
        """r_NR after one more word, as many rows of each source."""
        readout: tuple[Tensor, Carried] = self.decoder.step(
            self.embedding(token_N), memory, carried
        )
        return readout

    def tie_output(self) -> None:
        """Make the word vectors the softmax's weights; BenchError where their sizes differ."""
        size, readout_size = self.embedding.embedding_dim, self.decoder.readout.size
        if size != readout_size:
            raise BenchError(
                f"tied embeddings: word vectors of size {size}, but the softmax reads "
                f"{readout_size}: set --objective.readout-size {size} or --objective.embedding-size"
            )
        self.output.tie(self.embedding)


class Searched(NamedTuple):
    """State of a search: its sources and its rows."""

    memory: Memory
    carried: Carried


@dataclass(frozen=True)
class Searching:
    """A network with its sources; see `bench.seq2seq.beam.StepNetwork`."""

    network: Writer
    source: Sources

    def begin(self) -> Searched:
        return Searched(*self.network.encode(*self.source))

    def step(self, token_N: Tensor, state: Searched) -> tuple[NextWords, Searched]:
        r_NR, carried = self.network.read_one(token_N, state.memory, state.carried)
        return NextWords(self.network.output, r_NR), Searched(state.memory, carried)

    def reorder(self, state: Searched, row_BK: Tensor) -> Searched:
        memory, num_before = state.memory, len(state.memory.valid)
        if len(row_BK) < num_before:
            width = len(state.carried.output) // num_before
            memory = memory.rows(row_BK[:, 0] // width)
        return Searched(memory, state.carried.rows(row_BK.flatten()))


def shifted(target_BT: Tensor) -> Tensor:
    """The word before each: <s>, then all but the last."""
    return torch.cat([torch.full_like(target_BT[:, :1], START), target_BT[:, :-1]], dim=1)
