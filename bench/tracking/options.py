"""Options of tracking; none of them changes a number or the name of a run."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Literal, cast, get_args

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen

Kind = Literal["wandb", "tensorboard", "mlflow", "none"]
Mode = Literal["online", "offline", "disabled"]
Sendable = Literal["checkpoints", "predictions", "tables"]

PROJECT = "sequence-bench"


class TrackOptions(Frozen, frozen=True, kw_only=True):
    """Options `--track.KEY`; the tracker's own environment variables are the defaults."""

    mode: Mode | None = None
    """W&B's mode: offline unless WANDB_MODE says otherwise."""
    project: str | None = None
    """W&B's project, MLflow's experiment."""
    entity: str | None = None
    """W&B's user or team; the account's own by default."""
    job_type: str | None = None
    """training, counting, evaluation or trial by default."""
    notes: str | None = None
    """Text beside the run in W&B."""
    gradients: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Interval in steps at which the gradient of each weight is logged; 0: never."""
    samples: Annotated[int, msgspec.Meta(ge=0)] = 20
    """Rows of the table of the model's outputs."""
    artifacts: str = "none"
    """checkpoints, predictions, tables, separated by commas; they are sent online only."""
    uri: str | None = None
    """MLflow's server or store; MLFLOW_TRACKING_URI, else the folder `mlruns` of `--suite`."""
    patience_sec: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Time limit of W&B's server for the start of a run, and for the rest at its end."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.sendable if name not in get_args(Sendable)]
        if unknown:
            raise ValueError(f"no artifacts {unknown[0]!r}, but {', '.join(get_args(Sendable))}")

    @property
    def sendable(self) -> tuple[Sendable, ...]:
        """Kinds of artifacts that are sent."""
        names = [name.strip() for name in self.artifacts.split(",")]
        return cast("tuple[Sendable, ...]", tuple(n for n in names if n not in ("", "none")))

    def words(self) -> list[str]:
        """The options that differ from their defaults as words of a command line."""
        given, defaults = msgspec.structs.asdict(self), msgspec.structs.asdict(DEFAULTS)
        changed = {key: value for key, value in given.items() if value != defaults[key]}
        return [
            word
            for key, value in changed.items()
            for word in (f"--track.{key.replace('_', '-')}", str(value))
        ]


DEFAULTS = TrackOptions()


def split_place(place: str) -> tuple[str, str]:
    """Entity and project of `ENTITY/PROJECT`; BenchError for anything else."""
    entity, _, project = place.partition("/")
    if not entity or not project or "/" in project:
        raise BenchError(f"--wandb {place}: expected ENTITY/PROJECT")
    return entity, project


def check_installed(kind: Kind) -> None:
    """Raise BenchError, before a run starts, if a package that `kind` needs is not installed."""
    if kind in ("tensorboard", "mlflow") and find_spec(kind) is None:
        raise BenchError(
            f"--track {kind} needs {kind}, which is not installed: "
            f"pip install 'sequence-bench[{kind}]'"
        )
