"""Diagnoses of networks by `bench diagnose`, one JSON file beside the weights.

Needs neither weights nor torch, so that looking at it again is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.core.record import Record, write_atomically
from bench.core.structs import Frozen
from bench.core.suite import Suite

NEAR_ENOUGH = 1.01
"""A context whose metric is within 1 % of the whole history's is all that is used."""


class JacobianSummary(Frozen, frozen=True, kw_only=True):
    """Means over positions."""

    state_size: int
    spectral_radius: float
    largest_singular_value: float


class Diagnosis(Frozen, frozen=True, kw_only=True):
    """Diagnosis on the validation text; lists of gradients begin at distance 0."""

    run: str
    metric: str
    hidden_gradient: list[float]
    input_gradient: list[float]
    state_gradients: list[list[float]]
    """Norms for each tensor of the state, from distance 1."""
    jacobian: JacobianSummary | None
    """Jacobian of one step; None for too large a state."""
    recurrent_matrices: dict[str, float]
    """Name -> spectral radius."""
    clipped_share: float | None
    """Share of clipped training steps; None where the run did not count."""
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


def diagnosis_path(suite: Suite, record: Record) -> Path:
    """Path of the diagnosis of a run."""
    return suite.artifacts(record.task, record.id) / "diagnosis.json"


def write_diagnosis(path: Path, found: Diagnosis) -> None:
    """Keep it."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def read_diagnosis(path: Path) -> Diagnosis | None:
    """Diagnosis that was kept, None where there is none; BenchError for a damaged file."""
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Diagnosis)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BenchError(f"{path}: damaged ({error}); delete it, and diagnose again") from None


# Diagnoses side by side: a table for the terminal and a picture.


SHOWN_DISTANCES = (0, 1, 2, 3, 5, 10, 20, 30, 50, 100)


def as_table(found: Sequence[Diagnosis]) -> str:
    """One column a run."""
    rows = [*_gradients(found), *_matrices(found)]
    rows.append(("steps clipped in training", *(_percent(d.clipped_share) for d in found)))
    for length in sorted({length for d in found for length in d.context}):
        label = f"{found[0].metric}, last {length} {'word' if length == 1 else 'words'}"
        rows.append((label, *(_number(d.context.get(length)) for d in found)))
    rows.append((f"{found[0].metric}, whole history", *(f"{d.whole_context:.2f}" for d in found)))
    used = (str(d.used_context or f"> {max(d.context)}") for d in found)
    rows.append(("words of history that do within 1 %", *used))
    return aligned(("on the validation text", *(d.run for d in found)), rows)


def _gradients(found: Sequence[Diagnosis]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, norms in (
        ("state", [d.hidden_gradient for d in found]),
        ("input", [d.input_gradient for d in found]),
    ):
        for k in SHOWN_DISTANCES:
            if any(k < len(of_run) for of_run in norms):
                values = (f"{of_run[k]:.3g}" if k < len(of_run) else "-" for of_run in norms)
                steps = "now" if k == 0 else f"{k} back"
                rows.append((f"gradient of the {name}, {steps}", *values))
    return rows


def _matrices(found: Sequence[Diagnosis]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("spectral radius of a step's Jacobian", *(_of_step(d, "spectral_radius") for d in found)),
        ("largest singular value of it", *(_of_step(d, "largest_singular_value") for d in found)),
    ]
    for name in dict.fromkeys(name for d in found for name in d.recurrent_matrices):
        values = (_number(d.recurrent_matrices.get(name)) for d in found)
        rows.append((f"spectral radius of {name}", *values))
    return rows


def _of_step(found: Diagnosis, name: str) -> str:
    return "state too large" if found.jacobian is None else _number(getattr(found.jacobian, name))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return "not counted" if share is None else f"{100 * share:.1f} %"


def draw(found: Sequence[Diagnosis], path: Path) -> None:
    """Gradient over distance and metric over history, one line a run; the name says the format."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise BenchError("pictures need matplotlib: pip install 'sequence-bench[plot]'") from None

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, d in enumerate(found):
        color = f"C{number}"
        left.plot(d.hidden_gradient, color=color, label=f"{d.run}, state")
        left.plot(d.input_gradient, color=color, linestyle=":", label=f"{d.run}, input")
        right.plot(list(d.context), list(d.context.values()), "o-", color=color, label=d.run)
        right.axhline(d.whole_context, color=color, linestyle=":", linewidth=1)
    left.set(yscale="log", xlabel="steps back in time", ylabel="gradient norm of the loss")
    right.set(xscale="log", xlabel="words of history", ylabel=f"validation {found[0].metric}")
    right.set_xticks(lengths := sorted({k for d in found for k in d.context}), map(str, lengths))
    right.minorticks_off()
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.9", linewidth=0.8)
        axes.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
