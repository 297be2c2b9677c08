"""The linear map that one step is, near the states that the text leads to.

With J_t = d state_t / d state_{t-1}: its spectral radius says whether a small change dies out or
grows when steps like this one are repeated, its largest singular value bounds what one step can do.
Beside them stand the spectral radii of the recurrent weight matrices themselves.

Shapes: P positions, S all units of the state, D input.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from bench.models.recurrence import Recurrence, State
from bench.text.diagnoses import JacobianSummary
from bench.text.diagnosis.gradients import spaced, states_at, text_of
from bench.text.objectives.language_model import LanguageModel

MAX_STATE_SIZE = 1024
"""A Jacobian's eigenvalues cost the cube of its size."""


def summarise_jacobians(
    model: LanguageModel, split: str, *, num_positions: int
) -> JacobianSummary | None:
    """Spectral radius and norm of J_t at evenly spaced positions; None for too large a state."""
    input_N, _ = text_of(model, split)
    places_P = spaced(min(100, len(input_N) // 2), len(input_N) - 1, num_positions)
    states = states_at(model.eval(), input_N, places_P)
    jacobian_PSS = jacobians(model.recurrence, model.embedding(input_N[places_P]).detach(), states)
    if jacobian_PSS is None:
        return None
    return JacobianSummary(
        state_size=jacobian_PSS.shape[1],
        spectral_radius=float(torch.linalg.eigvals(jacobian_PSS).abs().amax(1).mean()),
        largest_singular_value=float(torch.linalg.matrix_norm(jacobian_PSS, 2).mean()),
    )


def jacobians(recurrence: Recurrence, x_PD: Tensor, states: State) -> Tensor | None:
    """J_t for each row, float64 [P, S, S], from the plain equations of one step."""
    sizes = [part[0].numel() for part in states]
    if sum(sizes) > MAX_STATE_SIZE:
        return None
    plain = copy.deepcopy(recurrence).double().eval()

    def advance(flat_S: Tensor, x_D: Tensor) -> Tensor:
        parts = torch.split(flat_S, sizes)
        state = tuple(p.reshape(1, *s.shape[1:]) for p, s in zip(parts, states, strict=True))
        _, after = plain.step(x_D.unsqueeze(0), state)
        return torch.cat([part.flatten() for part in after])

    flat_PS = torch.cat([part.double().flatten(1) for part in states], dim=1)
    derivative = torch.func.jacrev(advance)
    rows = zip(flat_PS, x_PD.double(), strict=True)
    return torch.stack([derivative(flat_S, x_D).detach() for flat_S, x_D in rows])


def recurrent_matrices(recurrence: Recurrence) -> dict[str, float]:
    """Name -> spectral radius of every square matrix through which the state returns.

    Stacked gates are taken apart (`U_GH[0]`, ...); Jordan's is the product of its two. Networks of
    finite memory have none.
    """
    found: dict[str, Tensor] = {}
    for place, module in recurrence.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if "R_HH" in own:
            found[f"{place}.R_HH"] = own["R_HH"]
        if "U_GH" in own:
            size = own["U_GH"].shape[1]
            for number, block_HH in enumerate(torch.split(own["U_GH"], size)):
                found[f"{place}.U_GH[{number}]"] = block_HH
        if "W_o_HO" in own and "W_y_OH" in own:
            found[f"{place}.W_y W_o"] = own["W_y_OH"] @ own["W_o_HO"]
    return {
        name.removeprefix("."): float(torch.linalg.eigvals(matrix.detach().double()).abs().max())
        for name, matrix in found.items()
    }
