"""How much of the loss at one step reaches the states and inputs before it.

Y. Bengio, P. Simard and P. Frasconi, "Learning long-term dependencies with gradient descent is
difficult", 1994; R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent
neural networks", ICML 2013. With L_t = -log p(w_t | history),

    hidden[0] = |dL_t / dy_t|,   hidden[k] = |dL_t / dstate_{t-k}|,   input[k] = |dL_t / dx_{t-k}|,

averaged over positions t. The weights are the trained ones, nothing is cut off within K steps.

Shapes: P positions, K the largest distance, D input, H output of the recurrence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.models.recurrence import State
from bench.text.objectives.language_model import LanguageModel


@dataclass(frozen=True, kw_only=True)
class GradientNorms:
    """Mean norms by distance 0 .. K."""

    hidden: list[float]
    """Of the whole state; of the recurrence's output at distance 0."""
    input: list[float]
    parts: list[list[float]]
    """Of each tensor of the state, from distance 1."""


def text_of(model: LanguageModel, split: str) -> tuple[Tensor, Tensor]:
    """What is read and what is predicted at each place of a split, int64 [N] both."""
    target_N = torch.from_numpy(model.corpus.splits[split])
    return torch.cat([torch.tensor([model.corpus.first_input]), target_N[:-1]]), target_N


def spaced(first: int, last: int, count: int) -> Tensor:
    """At most `count` different places from `first` to `last`, evenly spaced."""
    places = np.linspace(first, last, min(count, last - first + 1)).round().astype(np.int64)
    return torch.from_numpy(np.unique(places))


@torch.no_grad()
def states_at(model: LanguageModel, input_N: Tensor, places_P: Tensor) -> State:
    """The state before each of the rising places, each tensor [P, ...], read from the beginning."""
    state = model.recurrence.initial_state(1, model.embedding.weight)
    found, begin = [], 0
    for place in places_P.tolist():
        for start in range(begin, place, 1000):
            chunk = input_N[None, start : min(start + 1000, place)]
            _, state = model.recurrence(model.embedding(chunk), state)
        found.append(state)
        begin = place
    return tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def gradient_norms(
    model: LanguageModel, split: str, *, max_distance: int, num_positions: int
) -> GradientNorms:
    """Mean gradient norms over evenly spaced positions of a split."""
    model.eval()
    input_N, target_N = text_of(model, split)
    places_P = spaced(max_distance, len(target_N) - 1, num_positions)
    state = states_at(model, input_N, places_P - max_distance)
    windows_PT = places_P[:, None] + torch.arange(-max_distance, 1)
    inputs = [x.unsqueeze(1) for x in model.embedding(input_N[windows_PT]).unbind(1)]
    state = tuple(part.detach().requires_grad_() for part in state)
    states: list[State] = [state]
    for x_P1D in inputs:
        y_P1H, after = model.recurrence(x_P1D, state)
        # Copies, since within a step one part may be computed from another (h from c): what counts
        # is how the next step reads the state.
        state = tuple(part.clone() for part in after)
        states.append(state)
    y_PH = y_P1H[:, 0]
    loss, _ = model.output.loss(y_PH, target_N[places_P])
    wanted = [*inputs, *(part for state in states[1:-1] for part in state), y_PH]
    # A part of the state that nothing reads again has no gradient: that is one of norm zero.
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    norms = [_row_norms(g, like) for g, like in zip(found, wanted, strict=True)]
    by_input = norms[: len(inputs)][::-1]
    num_parts = len(states[0])
    by_state = norms[len(inputs) : -1]
    steps = [by_state[i : i + num_parts] for i in range(0, len(by_state), num_parts)][::-1]
    whole = [torch.linalg.vector_norm(torch.stack(parts), dim=0) for parts in steps]
    return GradientNorms(
        hidden=[float(n.mean()) for n in (norms[-1], *whole)],
        input=[float(n.mean()) for n in by_input],
        parts=[[float(step[part].mean()) for step in steps] for part in range(num_parts)],
    )


def _row_norms(gradient: Tensor | None, like: Tensor) -> Tensor:
    """The norm of each row [P], in float64."""
    if gradient is None:
        return torch.zeros(len(like), dtype=torch.float64)
    norm_P: Tensor = torch.linalg.vector_norm(gradient.double().flatten(1), dim=1)
    return norm_P
