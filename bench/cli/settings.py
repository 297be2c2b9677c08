"""Settings on the command line: `--optim.lr 0.5` and its kin, gathered into one tree."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from bench.core.config import OptimConfig, TrainerConfig
from bench.tracking.options import Kind, TrackOptions, check_installed

Settings = dict[str, str] | None


def _keys(group: type[msgspec.Struct]) -> str:
    """The keys of a group with their defaults, for its help."""
    fields = msgspec.structs.fields(group)
    return ", ".join(f"{f.name.replace('_', '-')} ({f.default})" for f in fields)


ModelSettings = Annotated[
    Settings,
    Parameter(name="--model", help="Options of the architecture: `--model.hidden-size 200`."),
]
ObjectiveSettings = Annotated[
    Settings,
    Parameter(
        name="--objective",
        help="Options of the objective: `--objective.bptt-length 20`; all by --print-config.",
    ),
]
OptimSettings = Annotated[
    Settings, Parameter(help=f"How weights move: `--optim.lr 0.5`; {_keys(OptimConfig)}.")
]
TrainerSettings = Annotated[
    Settings,
    Parameter(
        help="How long, on what: `--trainer.max-epochs 10`; of large networks "
        "`--trainer.accumulate 4`, `--trainer.recompute-steps 16`, "
        "`--trainer.precision bf16-mixed` (or `16-mixed`), "
        f"`--trainer.strategy zero`; {_keys(TrainerConfig)}."
    ),
]
DataSettings = Annotated[
    Settings,
    Parameter(
        help="Where the corpus comes from: `--data.path DIR`, `--data.download missing`; of speech "
        "and translation `--data.on-bad skip`; of translation `--data.segmentation NAME`, of your "
        "own `--data.languages en-fr`; of your own speech `--data.units words`, `--data.resample "
        "16000`, `--data.channels mix`."
    ),
]
InitSettings = Annotated[
    Settings,
    Parameter(
        help="Begin with another run's weights: `--init.model RUN`, or a part of the network, as "
        "`--init.encoder RUN`; see `bench list runs`. `recipe:NAME` is the run of that recipe."
    ),
]
LauncherSettings = Annotated[
    Settings,
    Parameter(
        name="--launcher",
        help="What a worker asks for: `--launcher.partition long` (slurm: cluster, partition, "
        "account, qos, time-min, cpus, gpus, memory-gb; ray: address, cpus, gpus, dashboard).",
    ),
]
Track = Annotated[
    Kind,
    Parameter(
        help="Mirror into W&B (offline, unless WANDB_MODE or --track.mode says otherwise), "
        "TensorBoard, MLflow or nowhere."
    ),
]
TrackSettings = Annotated[
    Settings,
    Parameter(
        name="--track",
        help=f"How: `--track.mode online`, `--track.artifacts checkpoints,predictions,tables`; "
        f"{_keys(TrackOptions)}.",
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
