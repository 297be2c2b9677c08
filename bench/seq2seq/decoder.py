"""Decoder: from the words so far to the input of the softmax for the next word.

With E y_{t-1} the vector of the word before, f any causal recurrence, a attention, r the readout:

    before  c_t = a(s_{t-1}, h),  s_t = f([E y_{t-1}; c_t], s_{t-1}),  r(s_t or s_{t-1}, c_t)
    after   s_t = f([E y_{t-1}; r_{t-1}], s_{t-1}),  c_t = a(s_t, h),  r_t = r(s_t, c_t)

`before` is D. Bahdanau, K. Cho and Y. Bengio, 2015, whose maxout readout reads s_{t-1} (appendix
A.2.2 as printed); `after` is M.-T. Luong, H. Pham and C. Manning, 2015, with r_{t-1} where readouts
are fed back. s is the recurrence's output. Without attention there is no c_t and both are
I. Sutskever, O. Vinyals and Q. Le, 2014. Where no step needs the context or the readout of the one
before, all steps run through one scan.

Shapes: B sentences, S source words, T steps, K rows of a sentence (beams), N = B K rows,
E embedding, H output, A annotation or context, R readout, F entries of a mapped state.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.models.deep import Deep
from bench.models.recurrence import Recurrence, State
from bench.seq2seq.attention import Attention, Mean, Memory
from bench.seq2seq.options import Handover

Kind = Literal["linear", "tanh", "maxout", "multimodal"]


class DecoderState(NamedTuple):
    """State between steps, N rows of each part."""

    recurrent: State
    output: Tensor
    """s_{t-1} [N, H]; before the first step see `first_output`."""
    readout: Tensor
    """r_{t-1} [N, R], zero before the first step; empty where it is not fed."""

    def rows(self, row_M: Tensor) -> DecoderState:
        """State of the rows `row_M`."""
        recurrent = tuple(part[row_M] for part in self.recurrent)
        return DecoderState(recurrent, self.output[row_M], self.readout[row_M])


class DecoderOutput(NamedTuple):
    """Readouts r_BTR and attention's weights a_BTS (None without attention) of all steps."""

    readouts: Tensor
    weights: Tensor | None


class Decoder(nn.Module):
    """Causal recurrence with attention and readout, whose sizes the caller matches."""

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
        """True if a step needs results of the one before."""

    def begin(self, recurrent: State, like: Tensor) -> DecoderState:
        """State before the first step, from the recurrence's first state."""
        size = self.readout.size if self.feeds else 0
        output_NH = first_output(self.recurrence, recurrent, like)
        return DecoderState(recurrent, output_NH, like.new_zeros(len(like), size))

    def forward(self, word_BTE: Tensor, memory: Memory, state: DecoderState) -> DecoderOutput:
        """Run all steps, given the word before each."""
        if self.is_stepwise:
            return self.forward_stepwise(word_BTE, memory, state)
        x_BTE, c_BTA, a_BTS = word_BTE, None, None
        if self.attends_before and self.attention is not None:
            # Equal weights: one context for all steps.
            c_B1A, a_B1S = self.attention(state.output[:, None], memory)
            c_BTA, a_BTS = (part.expand(-1, word_BTE.shape[1], -1) for part in (c_B1A, a_B1S))
            x_BTE = torch.cat([word_BTE, c_BTA], dim=2)
        s_BTH, _ = self.recurrence(x_BTE, state.recurrent)
        if not self.attends_before and self.attention is not None:
            c_BTA, a_BTS = self.attention(s_BTH, memory)
        if self.reads_previous:
            s_BTH = torch.cat([state.output[:, None], s_BTH[:, :-1]], dim=1)
        return DecoderOutput(self.readout(s_BTH, c_BTA, word_BTE), a_BTS)

    def forward_stepwise(
        self, word_BTE: Tensor, memory: Memory, state: DecoderState
    ) -> DecoderOutput:
        """Compute `forward` a step at a time."""
        outputs, contexts, weights, readouts = (list[Tensor]() for _ in range(4))
        for word_BE in word_BTE.unbind(1):
            s_BH, c_BA, a_BS, state = self._advance(word_BE, memory, state)
            outputs.append(s_BH)
            if c_BA is not None and a_BS is not None:
                contexts.append(c_BA)
                weights.append(a_BS)
            readouts.append(state.readout)
        s_BTH = torch.stack(outputs, dim=1)
        c_BTA = torch.stack(contexts, dim=1) if contexts else None
        a_BTS = torch.stack(weights, dim=1) if weights else None
        if self.feeds:
            return DecoderOutput(torch.stack(readouts, dim=1), a_BTS)
        return DecoderOutput(self.readout(s_BTH, c_BTA, word_BTE), a_BTS)

    def step(
        self, word_NE: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[Tensor, DecoderState]:
        """Run one step of K rows a sentence. Returns r_NR and the next state."""
        s_NH, c_NA, _, state = self._advance(word_NE, memory, state)
        if self.feeds:
            return state.readout, state
        return self.readout(s_NH, c_NA, word_NE), state

    def _advance(
        self, word_NE: Tensor, memory: Memory, state: DecoderState
    ) -> tuple[Tensor, Tensor | None, Tensor | None, DecoderState]:
        """One step: s for the readout, context, weights and the next state."""
        x_NE, c_NA, a_NS = word_NE, None, None
        if self.attends_before:
            c_NA, a_NS = self._attend(state.output, memory)
            x_NE = torch.cat([x_NE, c_NA], dim=1)
        if self.feeds:
            x_NE = torch.cat([x_NE, state.readout], dim=1)
        output_NH, recurrent = self.recurrence.step(x_NE, state.recurrent)
        if self.attention is not None and not self.attends_before:
            c_NA, a_NS = self._attend(output_NH, memory)
        s_NH = state.output if self.reads_previous else output_NH
        readout_NR = self.readout(s_NH, c_NA, word_NE) if self.feeds else state.readout
        return s_NH, c_NA, a_NS, DecoderState(recurrent, output_NH, readout_NR)

    def _attend(self, query_NQ: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        assert self.attention is not None
        query_BKQ = query_NQ.view(len(memory.valid), -1, query_NQ.shape[1])
        c_BKA, a_BKS = self.attention(query_BKQ, memory)
        return c_BKA.flatten(0, 1), a_BKS.flatten(0, 1)

    def flops_per_step(self, num_words: float) -> float:
        """Floating-point operations of a target word over a source of `num_words`, matrix
        products only."""
        attended = 0.0 if self.attention is None else self.attention.flops_per_query(num_words)
        return self.recurrence.flops_per_step() + attended + self.readout.flops_per_step()


class Readout(nn.Module):
    """Input of the softmax, of `size` entries, from output s, context c and the word before, y.

    linear  [s; c]
    tanh    tanh(W [s; c])                                   M.-T. Luong et al., 2015, eq. 5
    maxout  max of pairs of U_o s + V_o E y + C_o c + b      D. Bahdanau et al., 2015, A.2.2
    multimodal  1.7159 tanh(2/3 (V_r s + V_I c + V_w E y))   J. Mao et al., 2015, eq. 2
    """

    def __init__(
        self, kind: Kind, output_size: int, context_size: int, embedding_size: int, *, size: int
    ) -> None:
        super().__init__()
        self.kind = kind
        self.size = size
        both = output_size + context_size
        if kind == "linear" and size != both:
            raise BenchError(
                f"a linear readout has the {both} entries of output and context, not {size}: "
                "leave out --objective.readout-size, or choose --objective.readout tanh"
            )
        self.affine: nn.Linear | None = None
        if kind == "tanh":
            self.affine = nn.Linear(both, size, bias=False)
        elif kind == "maxout":
            self.affine = nn.Linear(both + embedding_size, 2 * size)
        elif kind == "multimodal":
            self.affine = nn.Linear(both + embedding_size, size, bias=False)

    def forward(self, s_BTH: Tensor, c_BTA: Tensor | None, word_BTE: Tensor) -> Tensor:
        """Readouts r_BTR of any leading dimensions."""
        parts = [s_BTH] if c_BTA is None else [s_BTH, c_BTA]
        if self.affine is None:
            return torch.cat(parts, dim=-1)
        if self.kind == "tanh":
            return torch.tanh(self.affine(torch.cat(parts, dim=-1)))
        all_BTR = self.affine(torch.cat([*parts, word_BTE], dim=-1))
        if self.kind == "multimodal":
            return 1.7159 * torch.tanh(all_BTR * (2 / 3))
        return torch.as_tensor(all_BTR.unflatten(-1, (self.size, 2)).amax(-1))

    def flops_per_step(self) -> int:
        return 0 if self.affine is None else 2 * self.affine.weight.numel()


def first_output(recurrence: Recurrence, state: State, like: Tensor) -> Tensor:
    """Output [N, H] of the step before the first, as far as the first state determines it.

    Where the output is part of the state (h; or h and s of the SCRN) it is read from the top
    layer's; elsewhere it is zero.
    """
    top = recurrence.split(state)[-1] if isinstance(recurrence, Deep) else state
    size, parts = recurrence.output_size, list[Tensor]()
    for part in top:
        if part.dim() == 2 and sum(p.shape[1] for p in parts) + part.shape[1] <= size:
            parts.append(part)
    if sum(part.shape[1] for part in parts) == size:
        return torch.cat(parts, dim=1)
    return like.new_zeros(len(like), size)


class Encoder(Protocol):
    """Facts of an encoder that a bridge depends on."""

    annotation_size: int

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the encoder's final state; empty if stateless."""

    @property
    def backward_size(self) -> int:
        """Entries of an annotation, its last ones, that a backward reading wrote; 0: none."""


class Bridge(nn.Module):
    """First state of the decoder from the encoder's last state and annotations.

    state     the encoder's last state itself where the decoder's has the same shapes
              (I. Sutskever, O. Vinyals and Q. Le, 2014), else tanh(W [state] + b)
    backward  tanh(W h_1 + b), h_1 the backward reading's output at the first word
              (D. Bahdanau, K. Cho and Y. Bengio, 2015, appendix A.2.2)
    mean      tanh(W mean_k h_k + b)
    zero      zeros
    """

    def __init__(self, handover: Handover, encoder: Encoder, decoder: Recurrence) -> None:
        super().__init__()
        self.handover: Handover = handover
        self.shapes = decoder.state_shapes()
        self.backward_size = encoder.backward_size
        self.affine: nn.Linear | None = None
        if handover == "state" and not encoder.state_shapes:
            raise BenchError(
                "an encoder of words alone has no state to hand over: set --objective.handover to "
                "mean or zero"
            )
        if handover == "backward" and not self.backward_size:
            raise BenchError(
                "--objective.handover backward needs an encoder that reads both ways: add "
                "--model.direction bidirectional"
            )
        sizes = {
            "state": sum(map(math.prod, encoder.state_shapes)),
            "backward": self.backward_size,
            "mean": encoder.annotation_size,
        }
        is_identity = handover == "state" and encoder.state_shapes == self.shapes
        if handover != "zero" and not is_identity:
            self.affine = nn.Linear(sizes[handover], sum(map(math.prod, self.shapes)))

    def forward(self, h_BSA: Tensor, state: State, lengths_B: Tensor) -> State:
        """First state of the decoder; `h_BSA` is zero at padding."""
        if self.handover == "zero":
            return tuple(h_BSA.new_zeros(len(h_BSA), *shape) for shape in self.shapes)
        if self.affine is None:
            return state
        if self.handover == "state":
            found_BF = torch.cat([part.flatten(1) for part in state], dim=1)
        elif self.handover == "backward":
            found_BF = h_BSA[:, 0, -self.backward_size :]
        else:
            found_BF = h_BSA.sum(1) / lengths_B[:, None].to(h_BSA)
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = torch.split(torch.tanh(self.affine(found_BF)), sizes, dim=1)
        return tuple(
            part.reshape(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True)
        )


def initialise_(
    network: nn.Module, *, init: Literal["parts", "uniform", "bahdanau"], init_range: float
) -> None:
    """Draw the weights of a network around its recurrences anew.

    `parts` draws the word vectors alone. `uniform` (I. Sutskever, O. Vinyals and Q. Le, 2014,
    section 3.4) draws every weight, the recurrences' and the softmax's bias among them. `bahdanau`
    (D. Bahdanau, K. Cho and Y. Bengio, 2015, appendix B.1) leaves the recurrences to their own
    option: for the paper's `--model.init orthogonal --model.init-scale 0.01`.
    """
    if init == "uniform":
        for parameter in network.parameters():
            nn.init.uniform_(parameter, -init_range, init_range)
        return
    if init == "parts":
        for module in network.modules():
            if isinstance(module, nn.Embedding):
                nn.init.uniform_(module.weight, -init_range, init_range)
        return
    recurrences = [module for module in network.modules() if isinstance(module, Recurrence)]
    in_recurrences = {id(parameter) for module in recurrences for parameter in module.parameters()}
    for name, parameter in network.named_parameters():
        if id(parameter) in in_recurrences or name == "output.bias":
            continue
        if parameter.dim() == 1:
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, 0.0, 0.001 if ".attention." in name else 0.01)
