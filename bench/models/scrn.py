"""Structurally constrained recurrent network.

T. Mikolov, A. Joulin, S. Chopra, M. Mathieu, M. Ranzato, "Learning longer memory in recurrent
neural networks", arXiv:1412.7753:

    (1)  s_t = (1 - alpha) B x_t + alpha s_{t-1}
    (2)  h_t = sigma(P s_t + A x_t + R h_{t-1})
    (3)  y_t = f(U h_t + V s_t)

Equation (3) belongs to the head: y here is h and s side by side, and any linear head is [U V].
alpha is 0.95, or learned per context unit as a sigmoid.
The authors' code gives s_{t-1} to equation (2): `context_input="previous"`.
With `input="direct"`, A x_t and B x_t are the two parts of the input vector itself, hidden then
context: where x_t is a word, they are its columns of A and B, as in the paper.

Shapes: B batch, T time, D input, H hidden, C context.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.fast.decay import decayed_sum
from bench.models.fast.elman_scan import Nonlinearity, elman_scan
from bench.models.options import Fraction, Scale, Size
from bench.models.recurrence import Init, Recurrence, State, initialise_, last_state
from bench.models.srn import Input, activate, add_input_matrices


class SCRN(Recurrence):
    """Simple recurrent network beside slowly changing context units; y = [h, s], state (h, s).

    Parameters
    ----------
    context_size
        Slowly changing context units.
    alpha
        Share of the context units that is kept at each step.
    alpha_kind
        fixed: alpha for all units; learned: a sigmoid for each unit.
    context_input
        Context vector that the hidden units read, of this step or of the one before.
    nonlinearity
        Function of the hidden units.
    bias
        Bias of the hidden units.
    input
        projected: a matrix multiplies the input; direct: the input vector is the product
        itself.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: Size = 100,
        context_size: Size = 40,
        alpha: Fraction = 0.95,
        alpha_kind: Literal["fixed", "learned"] = "fixed",
        context_input: Literal["current", "previous"] = "current",
        nonlinearity: Nonlinearity = "sigmoid",
        bias: Literal["none", "hidden"] = "none",
        input: Input = "projected",
        init: Init = "uniform",
        init_scale: Scale | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size + context_size)
        self.hidden_size = hidden_size
        self.context_size = context_size
        self.alpha = alpha
        self.context_input = context_input
        self.nonlinearity = nonlinearity
        self.A_HD: Tensor
        self.B_CD: Tensor
        sizes = {"A_HD": hidden_size, "B_CD": context_size}
        add_input_matrices(self, input, input_size, sizes)
        self.R_HH = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.b_H = nn.Parameter(torch.empty(hidden_size)) if bias == "hidden" else None
        self.P_HC = nn.Parameter(torch.empty(hidden_size, context_size))
        initialise_(self, init, init_scale, hidden_size, recurrent=[self.R_HH])
        learned = alpha_kind == "learned"
        logit_C = torch.full((context_size,), alpha).logit()
        self.alpha_logit_C = nn.Parameter(logit_C) if learned else None

    def decay(self) -> Tensor | float:
        """Decay alpha: a number, or [C] where learned."""
        return self.alpha if self.alpha_logit_C is None else torch.sigmoid(self.alpha_logit_C)

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.hidden_size,), (self.context_size,)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        h_BH, before_BC = state
        alpha = self.decay()
        s_BC = (1 - alpha) * F.linear(x_BD, self.B_CD) + alpha * before_BC  # (1)
        seen_BC = s_BC if self.context_input == "current" else before_BC
        a_BH = F.linear(seen_BC, self.P_HC) + F.linear(x_BD, self.A_HD, self.b_H)
        h_BH = activate(a_BH + F.linear(h_BH, self.R_HH), self.nonlinearity)  # (2)
        return torch.cat([h_BH, s_BC], dim=1), (h_BH, s_BC)

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        h_BH, before_BC = state
        alpha = self.decay()
        u_TBC = (1 - alpha) * F.linear(x_BTD.transpose(0, 1), self.B_CD).to(before_BC)
        s_TBC = decayed_sum(u_TBC, before_BC, alpha)
        seen_TBC = s_TBC
        if self.context_input == "previous":
            seen_TBC = torch.cat([before_BC.unsqueeze(0), s_TBC[:-1]])
        s_BTC, seen_BTC = s_TBC.transpose(0, 1), seen_TBC.transpose(0, 1)
        # P s_t is input to (2) as much as A x_t is, so one product for all steps covers both.
        inputs = torch.cat([x_BTD, seen_BTC.to(x_BTD)], dim=2)
        weight = torch.cat([self.A_HD, self.P_HC], dim=1)
        h_BTH = elman_scan(inputs, h_BH, weight, self.R_HH, self.b_H, self.nonlinearity)
        after = last_state(h_BTH, h_BH, lengths_B), last_state(s_BTC, before_BC, lengths_B)
        return torch.cat([h_BTH, s_BTC.to(h_BTH)], dim=2), after
