"""What a user may say of tracking; nothing here can change a number or the name of a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast, get_args

import msgspec

from bench.core.errors import BenchError
from bench.core.structs import Frozen

Kind = Literal["wandb", "tensorboard", "mlflow", "none"]
Mode = Literal["online", "offline", "disabled"]
Sendable = Literal["checkpoints", "predictions", "tables"]

PROJECT = "sequence-bench"


class TrackOptions(Frozen, frozen=True, kw_only=True):
    """`--track.KEY`; what is not given is what the tracker's own environment variables say."""

    mode: Mode | None = None
    """Of W&B: offline unless WANDB_MODE says otherwise."""
    project: str | None = None
    """W&B's project, MLflow's experiment."""
    entity: str | None = None
    """Of W&B: the user or team; the account's own unless given."""
    job_type: str | None = None
    """training, counting, evaluation or trial unless given."""
    notes: str | None = None
    gradients: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Gradients of each weight every so many steps; 0: never."""
    samples: Annotated[int, msgspec.Meta(ge=0)] = 20
    """Rows of the table of what the model wrote."""
    artifacts: str = "none"
    """checkpoints, predictions, tables, with commas between; they travel online only."""
    uri: str | None = None
    """Of MLflow: server or store; MLFLOW_TRACKING_URI, else the folder `mlruns` of `--suite`."""
    patience_sec: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Of W&B online: what its server may take to begin, and to take in the rest at the end."""

    def __post_init__(self) -> None:
        unknown = [name for name in self._named if name not in get_args(Sendable)]
        if unknown:
            raise ValueError(f"no artifacts {unknown[0]!r}, but {', '.join(get_args(Sendable))}")

    @property
    def sendable(self) -> tuple[Sendable, ...]:
        """The kinds of artifacts that are sent."""
        return cast("tuple[Sendable, ...]", tuple(self._named))

    @property
    def _named(self) -> list[str]:
        names = [name.strip() for name in self.artifacts.split(",")]
        return [name for name in names if name not in ("", "none")]

    def words(self) -> list[str]:
        """The same as options of the command line, for the workers of a call."""
        given: dict[str, Any] = msgspec.structs.asdict(self)
        usual = msgspec.structs.asdict(DEFAULTS)
        words = []
        for key, value in given.items():
            if value != usual[key]:
                words += [f"--track.{key.replace('_', '-')}", str(value)]
        return words


DEFAULTS = TrackOptions()


def split_place(place: str) -> tuple[str, str]:
    """`ENTITY/PROJECT` in two; BenchError for anything else."""
    entity, _, project = place.partition("/")
    if not entity or not project or "/" in project:
        raise BenchError(f"--wandb {place}: expected ENTITY/PROJECT")
    return entity, project
