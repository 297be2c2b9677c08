"""Dilated causal convolutions with gates.

A. van den Oord et al., "WaveNet: a generative model for raw audio", arXiv:1609.03499, sections
2.1-2.4; a filter has two taps, and block l = 0, 1, ... reaches d_l = 2^l steps back:

    (1)  v^0_t = E x_t
    (2)  z_t = tanh(W_f v^l_t + V_f v^l_{t-d} + b_f) . sigma(W_g v^l_t + V_g v^l_{t-d} + b_g)
    (3)  v^{l+1}_t = v^l_t + W_r z_t
    (4)  y_t = relu(sum_l W_s z^l_t)

The paper's last 1 x 1 convolutions and softmax are the head's. y_t depends on 2^L inputs, L blocks.

Shapes: B batch, T time, D input, H channels, N = d_l past inputs of a block, G = 2H rows f, g.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.options import Scale, Size
from bench.models.recurrence import Init, Recurrence, State, initialise_
from bench.models.tdnn import last_inputs, prepend_past


class WaveNet(Recurrence):
    """Gated dilated convolutions; the state is each block's past inputs, the first block first.

    Before the first step a block's past is zero vectors. The skip connections have H channels too.

    Parameters
    ----------
    hidden_size
        Channels of each convolution.
    num_dilations
        Blocks; block l reaches 2^l steps back.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: Size = 100,
        num_dilations: Size = 5,
        init: Init = "uniform",
        init_scale: Scale | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.dilations = [2**block for block in range(num_dilations)]
        self.E_HD = nn.Parameter(torch.empty(hidden_size, input_size))
        self.blocks = nn.ModuleList(
            Block(hidden_size, last=dilation == self.dilations[-1]) for dilation in self.dilations
        )
        initialise_(self, init, init_scale, hidden_size)

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple((dilation, self.output_size) for dilation in self.dilations)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        v_BH = F.linear(x_BD, self.E_HD)  # (1)
        total_BH = torch.zeros_like(v_BH)
        after = []
        for block, past_BNH in zip(self.blocks, state, strict=True):
            after.append(torch.cat([past_BNH[:, 1:], v_BH.unsqueeze(1)], dim=1))
            v_BH, skip_BH = block(v_BH, past_BNH[:, 0])
            total_BH = total_BH + skip_BH
        return torch.relu(total_BH), tuple(after)  # (4)

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        num_steps = x_BTD.shape[1]
        v_BTH = F.linear(x_BTD, self.E_HD)
        total_BTH = torch.zeros_like(v_BTH)
        after = []
        for block, past_BNH in zip(self.blocks, state, strict=True):
            joined_BSH = prepend_past(past_BNH, v_BTH)
            after.append(last_inputs(joined_BSH, past_BNH.shape[1], lengths_B))
            v_BTH, skip_BTH = block(v_BTH, joined_BSH[:, :num_steps])
            total_BTH = total_BTH + skip_BTH
        return torch.relu(total_BTH), tuple(after)


class Block(nn.Module):
    """Equations (2) and (3), and this block's term of (4)."""

    def __init__(self, hidden_size: int, *, last: bool) -> None:
        super().__init__()
        self.W_GH = nn.Parameter(torch.empty(2 * hidden_size, hidden_size))
        self.V_GH = nn.Parameter(torch.empty(2 * hidden_size, hidden_size))
        self.b_G = nn.Parameter(torch.empty(2 * hidden_size))
        # Nothing reads (3) above the last block.
        self.W_r_HH = None if last else nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.W_s_HH = nn.Parameter(torch.empty(hidden_size, hidden_size))

    def forward(self, v: Tensor, delayed: Tensor) -> tuple[Tensor, Tensor]:
        """v^{l+1} and W_s z, [..., H], from v^l now and d steps ago; the last block passes v^l."""
        a_f, a_g = (F.linear(v, self.W_GH, self.b_G) + F.linear(delayed, self.V_GH)).chunk(2, -1)
        z = torch.tanh(a_f) * torch.sigmoid(a_g)
        above = v if self.W_r_HH is None else v + F.linear(z, self.W_r_HH)
        return above, F.linear(z, self.W_s_HH)
