"""Time-delay neural network: a feed-forward layer over a window of past inputs.

A. Waibel et al., "Phoneme recognition using time-delay neural networks", IEEE Transactions on
Acoustics, Speech and Signal Processing 37, 1989; over word vectors it is the hidden layer of
Y. Bengio et al., "A neural probabilistic language model", JMLR 3, 2003, without the direct
connections, where a window of n - 1 words makes an n-gram model:

    (1)  h_t = sigma(b + sum_{k=0}^{n-1} W_k x_{t-k})

Shapes: B batch, T time, D input, H hidden, N = n - 1 past inputs, W = n D a window laid out flat.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.fast.elman_scan import Nonlinearity
from bench.models.options import Scale, Size
from bench.models.recurrence import Init, Recurrence, State, initialise_
from bench.models.srn import activate


class TDNN(Recurrence):
    """Hidden layer over the last `window_length` inputs; y_t = h_t, state (past inputs,).

    Before the first step the past is zero vectors.

    Parameters
    ----------
    window_length
        Inputs in the window, the present one included.
    nonlinearity
        Function of the hidden units.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: Size = 100,
        window_length: Size = 4,
        nonlinearity: Nonlinearity = "tanh",
        init: Init = "uniform",
        init_scale: Scale | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.window_length = window_length
        self.nonlinearity = nonlinearity
        # Column blocks from the oldest input, W_{n-1}, to the present one, W_0.
        self.W_HW = nn.Parameter(torch.empty(hidden_size, window_length * input_size))
        self.b_H = nn.Parameter(torch.empty(hidden_size))
        initialise_(self, init, init_scale, hidden_size)

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.window_length - 1, self.input_size),)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        window_BnD = prepend_past(state[0], x_BD.unsqueeze(1))
        h_BH = self.b_H.expand(len(x_BD), -1)
        for W_HD, past_BD in zip(self.matrices(), window_BnD.unbind(1), strict=True):
            h_BH = h_BH + F.linear(past_BD, W_HD)
        return activate(h_BH, self.nonlinearity), (window_BnD[:, 1:],)

    def matrices(self) -> tuple[Tensor, ...]:
        """W_{n-1}, ..., W_0."""
        return self.W_HW.chunk(self.window_length, dim=1)

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        joined_BSD = prepend_past(state[0], x_BTD)
        windows_BTDn = joined_BSD.unfold(1, self.window_length, 1)
        windows_BTW = windows_BTDn.transpose(2, 3).flatten(2)
        h_BTH = activate(F.linear(windows_BTW, self.W_HW, self.b_H), self.nonlinearity)
        return h_BTH, (last_inputs(joined_BSD, self.window_length - 1, lengths_B),)


def prepend_past(past_BND: Tensor, x_BTD: Tensor) -> Tensor:
    """Past inputs, then the new ones, [B, N + T, D]."""
    return torch.cat([past_BND.to(x_BTD), x_BTD], dim=1)


def last_inputs(joined_BSD: Tensor, num_past: int, lengths_B: Tensor | None) -> Tensor:
    """Last N = `num_past` inputs of each row, from S = N + T as `prepend_past` joins them.

    With lengths a row ends after its own: positions length .. length + N - 1 are returned.
    """
    if lengths_B is None:
        return joined_BSD[:, joined_BSD.shape[1] - num_past :]
    offsets_N = torch.arange(num_past, device=joined_BSD.device)
    rows_B1 = torch.arange(len(lengths_B), device=joined_BSD.device).unsqueeze(1)
    return joined_BSD[rows_B1, lengths_B.unsqueeze(1) + offsets_N]
