"""What `bench diagnose` found in a network, kept beside its weights as one JSON file.

Needs neither weights nor torch, so that looking at it again is quick.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

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


def diagnosis_path(suite: Suite, record: Record) -> Path:
    """Where the diagnosis of a run is kept."""
    return suite.artifacts(record.task, record.id) / "diagnosis.json"


def write_diagnosis(path: Path, found: Diagnosis) -> None:
    """Keep it."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def read_diagnosis(path: Path) -> Diagnosis | None:
    """What was kept; None where nothing was. Raises BenchError for a damaged file."""
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Diagnosis)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BenchError(f"{path}: damaged ({error}); delete it, and diagnose again") from None
