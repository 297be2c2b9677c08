"""Settings on the command line: `--optim.lr 0.5` and its kin, gathered into one tree."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from cyclopts import Parameter

from bench.tracking.options import Kind, TrackOptions, check_installed

Settings = dict[str, str] | None


class SettingsGroup(Enum):
    """Group of settings that a verb takes; `bench.cli.help` shows its settings one by one."""

    MODEL = "model"
    OBJECTIVE = "objective"
    OPTIM = "optim"
    TRAINER = "trainer"
    DATA = "data"
    INIT = "init"
    LAUNCHER = "launcher"
    TRACK = "track"

    @property
    def advice(self) -> str:
        """Help of a group whose settings depend on something that was not named."""
        return {
            SettingsGroup.MODEL: "Option of the model; add --model NAME to see them.",
            SettingsGroup.OBJECTIVE: "Option of the objective; add --task NAME to see them.",
            SettingsGroup.INIT: "Start from another run's weights: KEY is `model` or a part of the "
            "network such as `encoder`, the value a run or `recipe:NAME`.",
            SettingsGroup.LAUNCHER: "Resources of a worker; add --launcher slurm or ray to see "
            "them.",
        }.get(self, "")


def _group(group: SettingsGroup, what: str) -> tuple[Parameter, SettingsGroup]:
    parameter = Parameter(
        name=f"--{group.value}", help=f"{what}: `--{group.value}.KEY VALUE`, listed by --help."
    )
    return parameter, group


ModelSettings = Annotated[Settings, *_group(SettingsGroup.MODEL, "Options of the model")]
ObjectiveSettings = Annotated[
    Settings, *_group(SettingsGroup.OBJECTIVE, "Options of the objective")
]
OptimSettings = Annotated[Settings, *_group(SettingsGroup.OPTIM, "Settings of the optimiser")]
TrainerSettings = Annotated[
    Settings, *_group(SettingsGroup.TRAINER, "Settings of training and devices")
]
DataSettings = Annotated[Settings, *_group(SettingsGroup.DATA, "Settings of the corpus")]
InitSettings = Annotated[Settings, *_group(SettingsGroup.INIT, "Weights to start from")]
LauncherSettings = Annotated[Settings, *_group(SettingsGroup.LAUNCHER, "Resources of a worker")]
TrackSettings = Annotated[Settings, *_group(SettingsGroup.TRACK, "Options of the tracker")]
Track = Annotated[
    Kind,
    Parameter(
        help="Tracker: W&B (offline unless WANDB_MODE or --track.mode says otherwise), "
        "TensorBoard, MLflow or none."
    ),
]
GROUPS = ("model", "objective", "optim", "trainer", "data", "init")


def tree(seed: int | None, **groups: Settings) -> dict[str, Any]:
    """The groups that were given, as a tree of text."""
    settings: dict[str, Any] = {group: values for group, values in groups.items() if values}
    if seed is not None:
        settings["seed"] = seed
    return settings


def track_options(kind: Kind, given: Settings) -> TrackOptions:
    """The options of `--track`; BenchError for unknown ones and for what is not installed."""
    from bench.core.structs import to_struct

    check_installed(kind)
    options = {key.replace("-", "_"): value for key, value in (given or {}).items()}
    return to_struct(options, TrackOptions, where="command line", prefix="track.")
