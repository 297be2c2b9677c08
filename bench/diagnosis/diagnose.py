"""A finished network looked into: everything that `bench diagnose` shows, as one JSON file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.cards import require_text
from bench.diagnosis.context import positions, truncated_losses, usable_lengths
from bench.diagnosis.gradients import gradient_norms
from bench.diagnosis.jacobians import JacobianSummary, recurrent_matrices, summarise_jacobians
from bench.errors import BenchError
from bench.finished import FinishedRun, find_run, load_objective
from bench.objectives.language_model import LanguageModel
from bench.record import write_atomically
from bench.run import corpus_of
from bench.structs import Frozen
from bench.suite import Suite
from bench.token_log_probs import token_log_probs

SPLIT = "valid"
NEAR_ENOUGH = 1.01
"""A context whose metric is within 1 % of the whole history's is all that is used."""


class Effort(Frozen, frozen=True, kw_only=True):
    """How closely to look."""

    max_distance: int = 50
    """Steps back in time that gradients are followed."""
    num_gradients: int = 200
    """Positions whose gradients are averaged."""
    num_jacobians: int = 16
    num_positions: int = 5000
    """Positions at which histories are cut off."""


class Diagnosis(Frozen, frozen=True, kw_only=True):
    """What was found on the validation text; lists of gradients begin at distance 0."""

    run: str
    metric: str
    hidden_gradient: list[float]
    input_gradient: list[float]
    state_gradients: list[list[float]]
    """Of each tensor of the state, from distance 1."""
    jacobian: JacobianSummary | None
    """Of one step; None for too large a state."""
    recurrent_matrices: dict[str, float]
    """Name -> spectral radius."""
    clipped_share: float | None
    """Of the training steps; None where the run did not count."""
    context: dict[int, float]
    """Words of history -> metric."""
    whole_context: float
    """The metric at the same positions with all history."""
    num_positions: int

    @property
    def used_context(self) -> int | None:
        """The fewest words of history that do as well as all; None where none of those tried do."""
        enough = [
            k for k, value in self.context.items() if value <= NEAR_ENOUGH * self.whole_context
        ]
        return min(enough, default=None)


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
    text = msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"
    write_atomically(diagnosis_path(suite, finished), text)
    return found


def diagnosis_path(suite: Suite, finished: FinishedRun) -> Path:
    """Where the outcome is kept."""
    return suite.artifacts(finished.record.task, finished.id) / "diagnosis.json"


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
        context={length: model.metric_value(loss) for length, loss in losses.items()},
        whole_context=model.metric_value(-float(whole.mean())),
        num_positions=len(places_P),
    )
