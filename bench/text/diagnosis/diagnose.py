"""A finished network looked into: everything that `bench diagnose` shows, as one JSON file."""

from __future__ import annotations

from bench.core.cards import require_text
from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.core.suite import Suite
from bench.runs.finished import FinishedRun, find_run, load_objective
from bench.runs.run import corpus_of
from bench.text.diagnoses import Diagnosis, diagnosis_path, write_diagnosis
from bench.text.diagnosis.context import positions, truncated_losses, usable_lengths
from bench.text.diagnosis.gradients import gradient_norms
from bench.text.diagnosis.jacobians import recurrent_matrices, summarise_jacobians
from bench.text.objectives.language_model import LanguageModel
from bench.text.token_log_probs import token_log_probs

SPLIT = "valid"


class Effort(Frozen, frozen=True, kw_only=True):
    """How closely to look."""

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
        context={length: model.metric_value(loss) for length, loss in losses.items()},
        whole_context=model.metric_value(-float(whole.mean())),
        num_positions=len(places_P),
    )
