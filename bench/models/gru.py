"""Gated recurrent unit.

K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
translation", EMNLP 2014:

    (1)  r_t = sigma(W_r x_t + U_r h_{t-1} + b_r)
    (2)  z_t = sigma(W_z x_t + U_z h_{t-1} + b_z)
    (3)  h~_t = tanh(W x_t + U (r_t . h_{t-1}) + b)
    (4)  h_t = (1 - z_t) . h_{t-1} + z_t . h~_t

`reset="after"` replaces (3) by tanh(W x_t + r_t . (U h_{t-1}) + b), one matrix product a step, as
the libraries have it (which also swap the roles of z and 1 - z).

Shapes: B batch, T time, D input, H hidden, G = 3H the rows r, z, h~ of the stacked matrices.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.fast.gru_scan import GRULoop, native_scan
from bench.models.options import Scale, Size
from bench.models.recurrence import Init, Recurrence, State, initialise_, last_state


class GRU(Recurrence):
    """Reset and update gates around one hidden vector; y_t = h_t, state (h,).

    Parameters
    ----------
    reset
        Reset gate before or after the product with the recurrent matrix.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: Size = 100,
        reset: Literal["before", "after"] = "before",
        init: Init = "uniform",
        init_scale: Scale | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.reset = reset
        self.W_GD = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.U_GH = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.b_G = nn.Parameter(torch.empty(3 * hidden_size))
        initialise_(self, init, init_scale, hidden_size, recurrent=[self.U_GH])

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.output_size,),)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        (h_BH,) = state
        U_r, U_z, U = self.U_GH.chunk(3)
        a_r, a_z, a = F.linear(x_BD, self.W_GD, self.b_G).chunk(3, dim=1)
        r_BH = torch.sigmoid(a_r + F.linear(h_BH, U_r))  # (1)
        z_BH = torch.sigmoid(a_z + F.linear(h_BH, U_z))  # (2)
        if self.reset == "before":
            candidate_BH = torch.tanh(a + F.linear(r_BH * h_BH, U))  # (3)
        else:
            candidate_BH = torch.tanh(a + r_BH * F.linear(h_BH, U))
        h_BH = (1 - z_BH) * h_BH + z_BH * candidate_BH  # (4)
        return h_BH, (h_BH,)

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        (h_BH,) = state
        if self.reset == "after":
            h_BTH = native_scan(x_BTD, h_BH, self.W_GD, self.U_GH, self.b_G)
        else:
            a_TBG = F.linear(x_BTD.transpose(0, 1).contiguous(), self.W_GD, self.b_G)
            arguments = a_TBG, self.U_GH.to(a_TBG), h_BH.to(a_TBG)
            h_TBH: Tensor = GRULoop.apply(*arguments)  # type: ignore[no-untyped-call]
            h_BTH = h_TBH.transpose(0, 1)
        return h_BTH, (last_state(h_BTH, h_BH, lengths_B),)
