"""The decoder: the words so far to what the softmax reads for the next one.

With E y_{t-1} the vector of the word before, f any causal recurrence, a attention, r the readout:

    before  c_t = a(s_{t-1}, h),  s_t = f([E y_{t-1}; c_t], s_{t-1}),  r(s_t or s_{t-1}, c_t)
    after   s_t = f([E y_{t-1}; r_{t-1}], s_{t-1}),  c_t = a(s_t, h),  r_t = r(s_t, c_t)

`before` is D. Bahdanau, K. Cho and Y. Bengio, 2015, whose maxout readout reads s_{t-1} (appendix
A.2.2 as printed); `after` is M.-T. Luong, H. Pham and C. Manning, 2015, with r_{t-1} where readouts
are fed back. s is what the recurrence puts out. Without attention there is no c_t and both are
I. Sutskever, O. Vinyals and Q. Le, 2014. Where no step needs the context or the readout of the one
before, all steps run through one scan.

Shapes: B sentences, T steps, K rows of a sentence (beams), N = B K rows, E embedding, H output,
A context, R readout.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bench.models.deep import Deep
from bench.models.recurrence import Recurrence, State
from bench.seq2seq.attention import Attention, Mean, Memory
from bench.seq2seq.readout import Readout


class Carried(NamedTuple):
    """What a step takes from the one before, N rows of each."""

    recurrent: State
    output: Tensor
    """s_{t-1} [N, H], as far as the first state tells it before the first step."""
    readout: Tensor
    """r_{t-1} [N, R], zero before the first step; empty where it is not fed."""

    def rows(self, row_M: Tensor) -> Carried:
        """Some of the rows."""
        recurrent = tuple(part[row_M] for part in self.recurrent)
        return Carried(recurrent, self.output[row_M], self.readout[row_M])


class Reading(NamedTuple):
    """What all steps found."""

    readouts: Tensor
    """r_BTR."""
    weights: Tensor | None
    """a_BTS, None without attention."""


class Decoder(nn.Module):
    """A causal recurrence with attention and readout; the sizes are for the caller to match."""

    def __init__(
        self,
        recurrence: Recurrence,
        attention: Attention | None,
        readout: Readout,
        *,
        attend: Literal["before", "after"],
        feeding: Literal["none", "readout"],
    ) -> None:
        super().__init__()
        self.recurrence, self.attention, self.readout = recurrence, attention, readout
        self.attends_before = attention is not None and attend == "before"
        self.feeds = feeding == "readout"
        self.reads_previous = self.attends_before and readout.kind == "maxout"
        waits_for_context = self.attends_before and not isinstance(attention, Mean)
        self.is_stepwise = waits_for_context or self.feeds
        """Whether a step needs what the one before found."""

    def begin(self, recurrent: State, like: Tensor) -> Carried:
        """What the first step takes, for the recurrence's first state."""
        size = self.readout.size if self.feeds else 0
        output_NH = first_output(self.recurrence, recurrent, like)
        return Carried(recurrent, output_NH, like.new_zeros(len(like), size))

    def forward(self, word_BTE: Tensor, memory: Memory, carried: Carried) -> Reading:
        """All steps, given the words before each."""
        if self.is_stepwise:
            return self.read_stepwise(word_BTE, memory, carried)
        x_BTE, c_BTA, a_BTS = word_BTE, None, None
        if self.attends_before and self.attention is not None:
            # Equal weights: one context for all steps.
            c_B1A, a_B1S = self.attention(carried.output[:, None], memory)
            c_BTA, a_BTS = (part.expand(-1, word_BTE.shape[1], -1) for part in (c_B1A, a_B1S))
            x_BTE = torch.cat([word_BTE, c_BTA], dim=2)
        s_BTH, _ = self.recurrence(x_BTE, carried.recurrent)
        if not self.attends_before and self.attention is not None:
            c_BTA, a_BTS = self.attention(s_BTH, memory)
        if self.reads_previous:
            s_BTH = torch.cat([carried.output[:, None], s_BTH[:, :-1]], dim=1)
        return Reading(self.readout(s_BTH, c_BTA, word_BTE), a_BTS)

    def read_stepwise(self, word_BTE: Tensor, memory: Memory, carried: Carried) -> Reading:
        """The same a step at a time, whether it has to be or not."""
        outputs, contexts, weights, readouts = (list[Tensor]() for _ in range(4))
        for word_BE in word_BTE.unbind(1):
            s_BH, c_BA, a_BS, carried = self._advance(word_BE, memory, carried)
            outputs.append(s_BH)
            if c_BA is not None and a_BS is not None:
                contexts.append(c_BA)
                weights.append(a_BS)
            readouts.append(carried.readout)
        s_BTH = torch.stack(outputs, dim=1)
        c_BTA = torch.stack(contexts, dim=1) if contexts else None
        a_BTS = torch.stack(weights, dim=1) if weights else None
        if self.feeds:
            return Reading(torch.stack(readouts, dim=1), a_BTS)
        return Reading(self.readout(s_BTH, c_BTA, word_BTE), a_BTS)

    def step(self, word_NE: Tensor, memory: Memory, carried: Carried) -> tuple[Tensor, Carried]:
        """One step of K rows a sentence: r_NR, and what the next one takes."""
        s_NH, c_NA, _, carried = self._advance(word_NE, memory, carried)
        if self.feeds:
            return carried.readout, carried
        return self.readout(s_NH, c_NA, word_NE), carried

    def _advance(
        self, word_NE: Tensor, memory: Memory, carried: Carried
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Carried]:
        """s for the readout, context, weights, and what the next step takes."""
        x_NE, c_NA, a_NS = word_NE, None, None
        if self.attends_before:
            c_NA, a_NS = self._attend(carried.output, memory)
            x_NE = torch.cat([x_NE, c_NA], dim=1)
        if self.feeds:
            x_NE = torch.cat([x_NE, carried.readout], dim=1)
        output_NH, recurrent = self.recurrence.step(x_NE, carried.recurrent)
        if self.attention is not None and not self.attends_before:
            c_NA, a_NS = self._attend(output_NH, memory)
        s_NH = carried.output if self.reads_previous else output_NH
        readout_NR = carried.readout
        if self.feeds:
            readout_NR = self.readout(s_NH, c_NA, word_NE)
        return s_NH, c_NA, a_NS, Carried(recurrent, output_NH, readout_NR)

    def _attend(self, query_NQ: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        assert self.attention is not None
        query_BKQ = query_NQ.view(len(memory.valid), -1, query_NQ.shape[1])
        c_BKA, a_BKS = self.attention(query_BKQ, memory)
        return c_BKA.flatten(0, 1), a_BKS.flatten(0, 1)

    def flops_per_step(self, num_words: float) -> float:
        """Of a target word over a source of so many, matrix products only."""
        attended = 0.0 if self.attention is None else self.attention.flops_per_query(num_words)
        return self.recurrence.flops_per_step() + attended + self.readout.flops_per_step()


def first_output(recurrence: Recurrence, state: State, like: Tensor) -> Tensor:
    """What the recurrence would have put out at the step before the first, [N, H].

    Where the output is written into the state (h; or h and s of the SCRN) it is read from there,
    from the top layer's; where it is not, it is zero.
    """
    size, parts = recurrence.output_size, list[Tensor]()
    for part in top_state(recurrence, state):
        if part.dim() == 2 and sum(p.shape[1] for p in parts) + part.shape[1] <= size:
            parts.append(part)
    if sum(part.shape[1] for part in parts) == size:
        return torch.cat(parts, dim=1)
    return like.new_zeros(len(like), size)


def top_state(recurrence: Recurrence, state: State) -> State:
    """The part of the state that belongs to the top layer."""
    return recurrence.split(state)[-1] if isinstance(recurrence, Deep) else state
