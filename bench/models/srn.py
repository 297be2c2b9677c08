"""Simple recurrent network.

J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990; as a language model without
biases in T. Mikolov et al., "Recurrent neural network based language model", Interspeech 2010:

    (1)  h_t = sigma(A x_t + R h_{t-1})

With `bias="hidden"`, b is added inside sigma. With `input="direct"`, A x_t is the input vector
itself: where x_t is a word, its vector is then its column of A, as in the papers.

Shapes: B batch, T time, D input, H hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.errors import BenchError
from bench.models.fast.elman_scan import Nonlinearity, elman_scan
from bench.models.options import Scale, Size
from bench.models.recurrence import Init, Recurrence, State, initialise_, last_state

Input = Literal["projected", "direct"]


class SRN(Recurrence):
    """Elman's network; y_t = h_t, state (h,).

    Parameters
    ----------
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
        nonlinearity: Nonlinearity = "sigmoid",
        bias: Literal["none", "hidden"] = "none",
        input: Input = "projected",
        init: Init = "uniform",
        init_scale: Scale | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.nonlinearity = nonlinearity
        self.A_HD: Tensor
        add_input_matrices(self, input, input_size, {"A_HD": hidden_size})
        self.R_HH = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.b_H = nn.Parameter(torch.empty(hidden_size)) if bias == "hidden" else None
        initialise_(self, init, init_scale, hidden_size, recurrent=[self.R_HH])

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return ((self.output_size,),)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        (h_BH,) = state
        a_BH = F.linear(x_BD, self.A_HD, self.b_H) + F.linear(h_BH, self.R_HH)
        h_BH = activate(a_BH, self.nonlinearity)
        return h_BH, (h_BH,)

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        (h_BH,) = state
        h_BTH = elman_scan(x_BTD, h_BH, self.A_HD, self.R_HH, self.b_H, self.nonlinearity)
        return h_BTH, (last_state(h_BTH, h_BH, lengths_B),)


def activate(a: Tensor, nonlinearity: Nonlinearity) -> Tensor:
    """Apply sigma of the equations."""
    if nonlinearity == "sigmoid":
        return torch.sigmoid(a)
    return torch.tanh(a) if nonlinearity == "tanh" else torch.relu(a)


def add_input_matrices(
    module: nn.Module, input: Input, input_size: int, sizes: Mapping[str, int]
) -> None:
    """Give `module` a matrix [size, D] under each name.

    `projected` matrices are parameters. A network that reads words one-hot has a column of A for
    each word; here a word is an input vector first, and `direct` makes it the column itself by
    fixed A = [1 0], B = [0 1] and so on. The input is split among the matrices in order, so
    `input_size` must be the sum of their sizes.
    """
    if input == "projected":
        for name, size in sizes.items():
            module.register_parameter(name, nn.Parameter(torch.empty(size, input_size)))
        return
    if input_size != sum(sizes.values()):
        raise BenchError(
            f"{type(module).__name__} with direct input needs input vectors of size "
            f"{' + '.join(map(str, sizes.values()))}, not {input_size}: set "
            f"--objective.embedding-size {sum(sizes.values())}"
        )
    choices = torch.split(torch.eye(input_size), list(sizes.values()))
    for name, matrix in zip(sizes, choices, strict=True):
        module.register_buffer(name, matrix.clone(), persistent=False)
