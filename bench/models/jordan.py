"""Jordan's network: the recurrence goes through an output vector.

M. I. Jordan, "Serial order: a parallel distributed processing approach", ICS report 8604, 1986:

    (1)  h_t = tanh(W_x x_t + W_o o_{t-1} + b)
    (2)  o_t = f(W_y h_t + b_y)

o is an output vector of the network's own, of `feedback_size` units, not the distribution over
words, so that the equations hold for every head. y_t = h_t: heads read the hidden layer, as in
the other architectures, and the state is o alone.

Shapes: B batch, T time, D input, H hidden, O fed-back output.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.fast.jordan_scan import JordanLoop
from bench.models.options import Scale, Size
from bench.models.recurrence import Init, Recurrence, State, initialise_, last_state


class Jordan(Recurrence):
    """Hidden layer whose only memory is the output vector; y_t = h_t, state (o,).

    Parameters
    ----------
    feedback_size
        Units of the output vector that is fed back.
    feedback
        Function of the output vector.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: Size = 100,
        feedback_size: Size = 100,
        feedback: Literal["sigmoid", "tanh"] = "sigmoid",
        init: Init = "uniform",
        init_scale: Scale | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.feedback_size = feedback_size
        self.feedback = feedback
        self.W_x_HD = nn.Parameter(torch.empty(hidden_size, input_size))
        self.W_o_HO = nn.Parameter(torch.empty(hidden_size, feedback_size))
        self.b_H = nn.Parameter(torch.empty(hidden_size))
        self.W_y_OH = nn.Parameter(torch.empty(feedback_size, hidden_size))
        self.b_y_O = nn.Parameter(torch.empty(feedback_size))
        initialise_(self, init, init_scale, hidden_size, recurrent=[self.W_o_HO, self.W_y_OH])

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.feedback_size,),)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        (o_BO,) = state
        h_BH = torch.tanh(F.linear(x_BD, self.W_x_HD, self.b_H) + F.linear(o_BO, self.W_o_HO))
        a_BO = F.linear(h_BH, self.W_y_OH, self.b_y_O)
        o_BO = torch.sigmoid(a_BO) if self.feedback == "sigmoid" else torch.tanh(a_BO)
        return h_BH, (o_BO,)

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        a_TBH = F.linear(x_BTD.transpose(0, 1), self.W_x_HD, self.b_H)
        others = self.W_o_HO, self.W_y_OH, self.b_y_O, *state
        arguments = (other.to(a_TBH) for other in others)
        outputs = JordanLoop.apply(a_TBH, *arguments, self.feedback)  # type: ignore[no-untyped-call]
        h_BTH, o_BTO = (output.transpose(0, 1) for output in outputs)
        return h_BTH, (last_state(o_BTO, state[0], lengths_B),)
