"""A finished network looked into: everything that `bench diagnose` shows, as one JSON file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.core.cards import require_text
from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.core.suite import Suite
from bench.models.recurrence import Recurrence, State
from bench.runs.finished import FinishedRun, find_run, load_objective
from bench.runs.run import corpus_of
from bench.text.diagnoses import Diagnosis, JacobianSummary, diagnosis_path, write_diagnosis
from bench.text.objective import LanguageModel
from bench.text.outputs import token_log_probs

# Gradients of the loss at one step with respect to earlier states and inputs.
#
# Y. Bengio, P. Simard and P. Frasconi, "Learning long-term dependencies with gradient descent is
# difficult", 1994; R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent
# neural networks", ICML 2013. With L_t = -log p(w_t | history),
#
#     hidden[0] = |dL_t / dy_t|,   hidden[k] = |dL_t / dstate_{t-k}|,   input[k] = |dL_t /
# dx_{t-k}|,
#
# averaged over positions t. The weights are the trained ones, nothing is cut off within K steps.
#
# Shapes: P positions, K the largest distance, D input, H output of the recurrence.


@dataclass(frozen=True, kw_only=True)
class GradientNorms:
    """Mean norms by distance 0 .. K."""

    hidden: list[float]
    """Norms for the whole state; for the recurrence's output at distance 0."""
    input: list[float]
    parts: list[list[float]]
    """Norms for each tensor of the state, from distance 1."""


def text_of(model: LanguageModel, split: str) -> tuple[Tensor, Tensor]:
    """Input and target at each place of a split, int64 [N] both."""
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


# Effective context: the loss when the history is cut off.
#
# For each position t the network starts anew, with the state of a text's beginning, k words before,
# and predicts w_t from these k words alone. The same positions with their whole history are the
# measure that the losses are held against.
#
# Shapes: P positions, B of a batch, T = k words.


LENGTHS = (1, 2, 3, 5, 10, 20, 50, 100)
MAX_STEPS = 50_000
"""Steps of all rows of a batch together: bounds the memory."""


def positions(num_tokens: int, count: int) -> torch.Tensor:
    """Places of predicted words, each with the longest history of `usable_lengths` before it."""
    longest = max(usable_lengths(num_tokens))
    return spaced(longest - 1, num_tokens - 1, count)


def usable_lengths(num_tokens: int) -> list[int]:
    """The lengths that leave half of the text as positions; one at least."""
    return [length for length in LENGTHS if length == 1 or length <= num_tokens // 2]


@torch.no_grad()
def truncated_losses(
    model: LanguageModel, split: str, places_P: torch.Tensor, lengths: Sequence[int]
) -> dict[int, float]:
    """Length k -> mean loss in nats at the positions, each from its last k words."""
    model.eval()
    input_N, target_N = text_of(model, split)
    losses: dict[int, float] = {}
    for length in lengths:
        total = 0.0
        for places_B in torch.split(places_P, max(1, MAX_STEPS // length)):
            windows_BT = places_B[:, None] + torch.arange(1 - length, 1)
            y_BTH, _ = model.recurrence(model.embedding(input_N[windows_BT]))
            log_p_B = model.output.log_probs(y_BTH[:, -1], target_N[places_B])
            total -= float(log_p_B.double().sum())
        losses[length] = total / len(places_P)
    return losses


# The linear map that one step is, near the states that the text leads to.
#
# With J_t = d state_t / d state_{t-1}: its spectral radius says whether a small change dies out or
# grows when steps like this one are repeated, its largest singular value bounds what one step can
# do. Beside them stand the spectral radii of the recurrent weight matrices themselves.
#
# Shapes: P positions, S all units of the state, D input.


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


SPLIT = "valid"


class Effort(Frozen, frozen=True, kw_only=True):
    """Precision of a diagnosis: numbers of positions and lengths."""

    max_distance: int = 50
    """Steps back in time that gradients are followed."""
    num_gradients: int = 200
    """Positions whose gradients are averaged."""
    num_jacobians: int = 16
    num_positions: int = 5000
    """Positions at which histories are cut off."""


def diagnose(suite: Suite, run_id: str, effort: Effort | None = None) -> Diagnosis:
    """Look into a finished network and keep what is found in its artifacts.

    Raises BenchError for a run without weights and for a text that is too short.
    """
    effort = effort or Effort()
    finished = find_run(suite, run_id)
    require_text(finished.resolved.card, "diagnose")
    model = load_objective(finished, corpus_of(finished.resolved))
    if not isinstance(model, LanguageModel):
        raise BenchError(f"run {finished.id} is no language model: nothing to diagnose")
    found = look_into(suite, finished, model, effort)
    write_diagnosis(diagnosis_path(suite, finished.record), found)
    return found


def look_into(
    suite: Suite, finished: FinishedRun, model: LanguageModel, effort: Effort
) -> Diagnosis:
    """All measurements of a network in memory."""
    num_tokens = len(model.corpus.splits[SPLIT])
    distance = min(effort.max_distance, num_tokens // 2)
    norms = gradient_norms(model, SPLIT, max_distance=distance, num_positions=effort.num_gradients)
    jacobian = summarise_jacobians(model, SPLIT, num_positions=effort.num_jacobians)
    places_P = positions(num_tokens, effort.num_positions)
    losses = truncated_losses(model, SPLIT, places_P, usable_lengths(num_tokens))
    whole = token_log_probs(suite, finished.record, SPLIT)[places_P.numpy()]
    return Diagnosis(
        run=finished.id,
        metric=finished.record.metric,
        hidden_gradient=norms.hidden,
        input_gradient=norms.input,
        state_gradients=norms.parts,
        jacobian=jacobian,
        recurrent_matrices=recurrent_matrices(model.recurrence),
        clipped_share=finished.record.extra.get("clipped_share"),
        context={length: model.metric.from_loss(loss) for length, loss in losses.items()},
        whole_context=model.metric.from_loss(-float(whole.mean())),
        num_positions=len(places_P),
    )
