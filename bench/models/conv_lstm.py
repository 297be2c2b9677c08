"""Convolutional LSTM: a memory cell at every place of a grid, connected to its neighbours.

X. Shi, Z. Chen, H. Wang, D. Yeung, W. Wong and W. Woo, "Convolutional LSTM network: a machine
learning approach for precipitation nowcasting", NIPS 2015, equation (3):

    (1)  i_t = sigma(W_i * x_t + U_i * h_{t-1} + P_i . c_{t-1} + b_i)
    (2)  f_t = sigma(W_f * x_t + U_f * h_{t-1} + P_f . c_{t-1} + b_f)
    (3)  g_t = tanh(W_g * x_t + U_g * h_{t-1} + b_g)
    (4)  c_t = f_t . c_{t-1} + i_t . g_t
    (5)  o_t = sigma(W_o * x_t + U_o * h_{t-1} + P_o . c_t + b_o)
    (6)  h_t = o_t . tanh(c_t)

where * is a convolution over the grid with zeros beyond its edges. P has one number a map, as the
paper's counts of weights say, and is zero with `peephole="none"`. On a grid of one place this is
the LSTM.

Shapes: B batch, T time, R rows and S columns of the grid, C channels of the input, H maps,
K kernel, D = R S C, Y = R S H: place by place, the channels of a place side by side; N = B R S.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.errors import BenchError
from bench.models.fast.lstm_scan import LSTMLoop
from bench.models.fast.recurrent_product import Convolution
from bench.models.options import Offset, Scale, Size
from bench.models.recurrence import Init, Recurrence, State, initialise_, last_state

Peephole = Literal["none", "map"]


class ConvLSTM(Recurrence):
    """Memory cells on a grid; y_t = h_t, state (h, c), `hidden_size` maps each.

    Parameters
    ----------
    hidden_size
        Maps of cells.
    num_rows
        Rows of the grid; those of the task's frames by default, else 1.
    num_columns
        Columns of the grid; those of the task's frames by default, else 1.
    kernel_size
        Places on a side that a cell reads of the input; odd.
    state_kernel_size
        Places on a side that a cell reads of the hidden maps; odd.
    peephole
        Connections from the cells to the gates, one number for each map.
    forget_bias
        Added to the initial bias of the forget gate.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: Size = 100,
        num_rows: Size | None = None,
        num_columns: Size | None = None,
        kernel_size: Size = 5,
        state_kernel_size: Size = 5,
        peephole: Peephole = "map",
        forget_bias: Offset = 0.0,
        init: Init = "uniform",
        init_scale: Scale | None = None,
    ) -> None:
        self.grid = num_rows or 1, num_columns or 1
        num_places = self.grid[0] * self.grid[1]
        super().__init__(input_size, num_places * hidden_size)
        self.num_channels, rest = divmod(input_size, num_places)
        if rest:
            raise BenchError(
                f"conv-lstm: inputs of size {input_size} do not fill a grid of {self.grid[0]} rows "
                f"and {self.grid[1]} columns: change model.num_rows and model.num_columns"
            )
        for name, size in (("kernel_size", kernel_size), ("state_kernel_size", state_kernel_size)):
            if size % 2 == 0:
                raise BenchError(f"conv-lstm: model.{name} is {size}: give an odd number")
        self.hidden_size = hidden_size
        kernel, state_kernel = (kernel_size,) * 2, (state_kernel_size,) * 2
        self.W_GCKK = nn.Parameter(torch.empty(4 * hidden_size, self.num_channels, *kernel))
        self.U_GHKK = nn.Parameter(torch.empty(4 * hidden_size, hidden_size, *state_kernel))
        self.b_G = nn.Parameter(torch.empty(4 * hidden_size))
        self.P_Q = nn.Parameter(torch.empty(3 * hidden_size)) if peephole == "map" else None
        middle = state_kernel_size // 2
        # Fan-in of a cell from the state; only the matrix of its own place can be orthogonal.
        fan_in = hidden_size * state_kernel_size**2
        own_place = self.U_GHKK.detach()[:, :, middle, middle]
        initialise_(self, init, init_scale, fan_in, recurrent=[own_place])
        with torch.no_grad():
            self.b_G[hidden_size : 2 * hidden_size] += forget_bias

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.output_size,), (self.output_size,)

    def maps(self, flat_BY: Tensor) -> Tensor:
        """Maps [B, C, R, S] of flat values."""
        return flat_BY.reshape(len(flat_BY), *self.grid, -1).permute(0, 3, 1, 2)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        h_BHRS, c_BHRS = (self.maps(part) for part in state)
        a_BGRS = F.conv2d(h_BHRS, self.U_GHKK, self.b_G, padding="same")
        if self.num_channels:
            a_BGRS = a_BGRS + F.conv2d(self.maps(x_BD), self.W_GCKK, padding="same")
        a_i, a_f, a_g, a_o = a_BGRS.chunk(4, dim=1)
        p_i, p_f, p_o = self._peepholes()
        i_BHRS = torch.sigmoid(a_i + p_i * c_BHRS)  # (1)
        f_BHRS = torch.sigmoid(a_f + p_f * c_BHRS)  # (2)
        c_BHRS = f_BHRS * c_BHRS + i_BHRS * torch.tanh(a_g)  # (3, 4)
        o_BHRS = torch.sigmoid(a_o + p_o * c_BHRS)  # (5)
        h_BHRS = o_BHRS * torch.tanh(c_BHRS)  # (6)
        h_BY, c_BY = (part.permute(0, 2, 3, 1).flatten(1) for part in (h_BHRS, c_BHRS))
        return h_BY, (h_BY, c_BY)

    def _peepholes(self) -> tuple[Tensor, ...]:
        """Peepholes P of i, f and o, each [H, 1, 1]."""
        P_Q = self.b_G.new_zeros(3 * self.hidden_size) if self.P_Q is None else self.P_Q
        return tuple(p_H.view(-1, 1, 1) for p_H in P_Q.chunk(3))

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        a_TNG = self._project(x_BTD)
        others = (self.U_GHKK, self.P_Q, *(part.reshape(-1, self.hidden_size) for part in state))
        arguments = (None if other is None else other.to(a_TNG) for other in others)
        outputs = LSTMLoop.apply(a_TNG, *arguments, self.grid)  # type: ignore[no-untyped-call]
        B, T, _ = x_BTD.shape
        h_BTY, c_BTY = (output.view(T, B, -1).transpose(0, 1) for output in outputs)
        after = zip((h_BTY, c_BTY), state, strict=True)
        return h_BTY, tuple(last_state(all_BTY, first, lengths_B) for all_BTY, first in after)

    def _project(self, x_BTD: Tensor) -> Tensor:
        """Input terms of the gates' arguments, for all steps at once [T, N, G]."""
        B, T, _ = x_BTD.shape
        num_rows = B * self.grid[0] * self.grid[1]
        if not self.num_channels:
            return self.b_G.expand(T, num_rows, -1)
        x_MC = x_BTD.transpose(0, 1).reshape(T * num_rows, self.num_channels)
        a_MG = Convolution(self.W_GCKK, self.grid).apply(x_MC) + self.b_G
        return a_MG.view(T, num_rows, -1)

    def flops_per_step(self) -> int:
        return 2 * self.grid[0] * self.grid[1] * (self.W_GCKK.numel() + self.U_GHKK.numel())
