"""Long short-term memory.

S. Hochreiter and J. Schmidhuber, Neural Computation 9, 1997; with the forget gate of F. Gers,
J. Schmidhuber and F. Cummins, Neural Computation 12, 2000:

    (1)  i_t = sigma(W_i x_t + U_i h_{t-1} + P_i c_{t-1} + b_i)
    (2)  f_t = sigma(W_f x_t + U_f h_{t-1} + P_f c_{t-1} + b_f)
    (3)  g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)
    (4)  c_t = f_t . c_{t-1} + i_t . g_t
    (5)  o_t = sigma(W_o x_t + U_o h_{t-1} + P_o c_t + b_o)
    (6)  h_t = o_t . tanh(c_t)

P is zero with `peephole="none"`; diagonal in F. Gers, N. Schraudolph and J. Schmidhuber, JMLR 3,
2002, and in A. Graves, A. Mohamed and G. Hinton, "Speech recognition with deep recurrent neural
networks", ICASSP 2013, equations (3-7); "full" makes P a matrix. `gates="coupled"` sets
i_t = 1 - f_t in place of (1), and has no weights for i. Each gate has one bias.

Shapes: B batch, T time, D input, H hidden, G = 4H (3H if coupled) the rows i, f, g, o of the
stacked matrices, Q = 3H (2H) the rows i, f, o of the peepholes.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.fast.lstm_scan import LSTMLoop, native_kernel_fits, native_scan
from bench.models.options import Offset, Scale, Size
from bench.models.recurrence import Init, Recurrence, State, initialise_, last_state, valid_steps

Peephole = Literal["none", "diagonal", "full"]
Gates = Literal["separate", "coupled"]


class LSTM(Recurrence):
    """Memory cell behind gates; y_t = h_t, state (h, c).

    Parameters
    ----------
    peephole
        Connections from the cells to the gates.
    gates
        coupled: the input gate is one minus the forget gate.
    forget_bias
        Added to the initial bias of the forget gate.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: Size = 100,
        peephole: Peephole = "none",
        gates: Gates = "separate",
        forget_bias: Offset = 0.0,
        init: Init = "uniform",
        init_scale: Scale | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.gates = gates
        num_blocks = 4 if gates == "separate" else 3
        self.W_GD = nn.Parameter(torch.empty(num_blocks * hidden_size, input_size))
        self.U_GH = nn.Parameter(torch.empty(num_blocks * hidden_size, hidden_size))
        self.b_G = nn.Parameter(torch.empty(num_blocks * hidden_size))
        num_peepholes = (num_blocks - 1) * hidden_size
        self.peephole = peephole
        self.P_Q = nn.Parameter(torch.empty(num_peepholes)) if peephole == "diagonal" else None
        self.P_QH = (
            nn.Parameter(torch.empty(num_peepholes, hidden_size)) if peephole == "full" else None
        )
        recurrent = [self.U_GH] if self.P_QH is None else [self.U_GH, self.P_QH]
        initialise_(self, init, init_scale, hidden_size, recurrent)
        with torch.no_grad():
            self.b_G[-3 * hidden_size : -2 * hidden_size] += forget_bias

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.output_size,), (self.output_size,)

    def peepholes(self, c_BH: Tensor) -> tuple[Tensor, ...]:
        """P c for the gates i, f, o, or f, o where coupled."""
        num_gates = 3 if self.gates == "separate" else 2
        if self.P_Q is not None:
            return tuple(c_BH * p_H for p_H in self.P_Q.chunk(num_gates))
        if self.P_QH is not None:
            return F.linear(c_BH, self.P_QH).chunk(num_gates, dim=1)
        return (torch.zeros_like(c_BH),) * num_gates

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        h_BH, c_BH = state
        a_BG = F.linear(x_BD, self.W_GD, self.b_G) + F.linear(h_BH, self.U_GH)
        *a_i, a_f, a_g, a_o = a_BG.chunk(len(a_BG[0]) // self.output_size, dim=1)
        *p_i, p_f, _ = self.peepholes(c_BH)
        f_BH = torch.sigmoid(a_f + p_f)  # (2)
        i_BH = torch.sigmoid(a_i[0] + p_i[0]) if self.gates == "separate" else 1 - f_BH  # (1)
        c_BH = f_BH * c_BH + i_BH * torch.tanh(a_g)  # (3, 4)
        o_BH = torch.sigmoid(a_o + self.peepholes(c_BH)[-1])  # (5)
        h_BH = o_BH * torch.tanh(c_BH)  # (6)
        return h_BH, (h_BH, c_BH)

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        h_BH, c_BH = state
        is_plain = self.peephole == "none" and self.gates == "separate"
        if is_plain and native_kernel_fits(x_BTD):
            valid = None if lengths_B is None else valid_steps(lengths_B, x_BTD.shape[1], x_BTD)
            weights = self.W_GD, self.U_GH, self.b_G
            h_BTH, last_BH = native_scan(x_BTD, h_BH, c_BH, weights, valid)
            return h_BTH, (last_state(h_BTH, h_BH, lengths_B), last_BH)
        a_TBG = F.linear(x_BTD.transpose(0, 1).contiguous(), self.W_GD, self.b_G)
        others = self.U_GH, self.P_Q if self.P_QH is None else self.P_QH, h_BH, c_BH
        arguments = (None if other is None else other.to(a_TBG) for other in others)
        outputs = LSTMLoop.apply(a_TBG, *arguments)  # type: ignore[no-untyped-call]
        h_BTH, c_BTH = (output.transpose(0, 1) for output in outputs)
        return h_BTH, (last_state(h_BTH, h_BH, lengths_B), last_state(c_BTH, c_BH, lengths_B))
