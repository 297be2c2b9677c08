"""What a user sees of a plan: the runs, what they will take, how each of them ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.cli.listing import aligned
from bench.reproduce.estimate import Estimate, wall_seconds
from bench.reproduce.plan import Plan
from bench.reproduce.session import Outcome
from bench.reproduce.state import State
from bench.reproduce.steps import Step

NUM_LABELS = 2


def plan_text(
    plan: Plan,
    states: Mapping[str, State],
    estimates: Mapping[str, Estimate],
    *,
    num_workers: int,
) -> str:
    """A line for each configuration, the rows that are not planned, and the time it takes.

    `estimates` are those of the runs that are not done.
    """
    by_configuration: dict[str, list[Step]] = {}
    for step in plan.steps:
        by_configuration.setdefault(step.run_id.rpartition("-s")[0], []).append(step)
    lines = [_line(name, steps, states, estimates) for name, steps in by_configuration.items()]
    header = ("how", "run", "done", "to run", "each", "from", "rows")
    parts = [aligned(header, lines)] if lines else []
    parts += [_notes(plan)] if any(row.note for row in plan.rows) else []
    parts.append(_total(plan, states, estimates, num_workers))
    return "\n\n".join(parts)


def _line(
    name: str,
    steps: Sequence[Step],
    states: Mapping[str, State],
    estimates: Mapping[str, Estimate],
) -> tuple[str, ...]:
    done = [step.seed for step in steps if states[step.run_id] == "done"]
    left = [step for step in steps if states[step.run_id] != "done"]
    marks = Counter(states[step.run_id] for step in left)
    extra = [f"{count} {state}" for state, count in marks.items() if state in ("resumes", "anew")]
    to_run = seeds_text([step.seed for step in left])
    to_run += f" ({', '.join(extra)})" if extra else ""
    estimate = estimates[left[0].run_id] if left else None
    each = duration(estimate.seconds) if estimate else "-"
    basis = estimate.basis if estimate else "-"
    return (steps[0].verb, name, seeds_text(done), to_run, each, basis, _labels(steps[0].labels))


def _notes(plan: Plan) -> str:
    """Rows of which less than all is planned, by reason."""
    rows: dict[str, list[str]] = {}
    for row in plan.rows:
        if row.note:
            rows.setdefault(row.note, []).append(row.row.label)
    return "\n".join(f"{note} ({'; '.join(labels)})" for note, labels in rows.items())


def _total(
    plan: Plan,
    states: Mapping[str, State],
    estimates: Mapping[str, Estimate],
    num_workers: int,
) -> str:
    left = [step.run_id for step in plan.steps if states[step.run_id] != "done"]
    head = f"{len(plan.steps)} runs: {len(plan.steps) - len(left)} done, {len(left)} to do"
    found = [estimates[run_id].seconds for run_id in left]
    known = [seconds for seconds in found if seconds is not None]
    if not known:
        return head
    wall = wall_seconds(known, num_workers)
    text = f"{head}; about {duration(wall)}"
    if num_workers > 1:
        text += f" with {num_workers} workers if none slows another ({duration(sum(known))} in all)"
    bases = Counter(estimates[run_id].basis for run_id in left)
    unknown = bases.pop("unknown", 0)
    text += "; from " + ", ".join(f"{basis} ({count})" for basis, count in bases.items())
    if any(estimates[run_id].machine == "another" for run_id in left):
        text += ", partly of another machine"
    return text + (f"; {unknown} unknown and left out" if unknown else "")


def begun_line(step: Step) -> str:
    """One run that begins, for logs."""
    return f"{step.verb} {step.run_id}  {_labels(step.labels)}"


def outcome_line(outcome: Outcome, step: Step, *, place: int, total: int, metric: str) -> str:
    """One run that is over: which, for which row, how it ended."""
    head = f"[{place}/{total}] {outcome.run_id}  {_labels(step.labels)}"
    if outcome.status == "failed":
        return f"{head}  failed: {outcome.reason}"
    value = "diverged" if outcome.value is None else f"test {metric} {outcome.value:.2f}"
    return f"{head}  {value}  {duration(outcome.seconds)}"


def seeds_text(seeds: Sequence[int]) -> str:
    """`1-3, 5`; a dash for none."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    texts = [f"{p[0]}" if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts]
    return ", ".join(texts) or "-"


def duration(seconds: float | None) -> str:
    """`3 h 20 min`, `12 min`, `45 s`; a question mark where nothing is known."""
    if seconds is None:
        return "?"
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 1 else "< 1 s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours / 24:.1f} days"


def _labels(labels: Sequence[str]) -> str:
    shown = "; ".join(labels[:NUM_LABELS])
    return shown if len(labels) <= NUM_LABELS else f"{shown}; and {len(labels) - NUM_LABELS} more"
