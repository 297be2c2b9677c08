"""From what a user asked for to a tracker."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import msgspec

from bench.core.errors import BenchError
from bench.core.ranks import is_first_process
from bench.core.record import Provenance, Shelf
from bench.runs.resolve import Resolved
from bench.tracking.guard import GuardedTracker
from bench.tracking.journal import Journal
from bench.tracking.options import Kind, TrackOptions
from bench.tracking.tracker import Backend, NoTracker, Tracked, Tracker

TITLES = {"wandb": "W&B", "tensorboard": "TensorBoard", "mlflow": "MLflow"}
EXTRAS = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
"""Module that a kind needs beyond the dependencies -> the extra that brings it."""


def tracked_run(
    resolved: Resolved,
    folder: Path,
    shelf: Shelf,
    made_by: Provenance,
    *,
    group: str | None,
    tags: tuple[str, ...],
    options: TrackOptions,
) -> Tracked:
    """A configuration that is about to be carried out, as its tracker is told of it."""
    return Tracked(
        card=resolved.card,
        run_id=resolved.run_id,
        config=msgspec.to_builtins(resolved.config),
        recipe=resolved.recipe,
        folder=folder,
        job_type=options.job_type or _job_type(resolved, shelf),
        group=group,
        tags=tags,
        provenance=made_by,
        options=options,
    )


def _job_type(resolved: Resolved, shelf: Shelf) -> str:
    if shelf == "trials":
        return "trial"
    if "evaluation" in resolved.config.objective:
        return "evaluation"
    return "counting" if resolved.is_baseline else "training"


def make_tracker(kind: Kind, tracked: Tracked) -> Tracker:
    """The tracker that `--track` names, begun; none in all but the first process of a run."""
    if kind == "none" or not is_first_process(os.environ):
        return NoTracker()
    options = tracked.options
    return GuardedTracker(
        _backend(kind, tracked),
        Journal(tracked.folder),
        title=TITLES[kind],
        gradient_steps=options.gradients,
    )


def check_installed(kind: Kind) -> None:
    """Raise BenchError, before anything is trained, where what `kind` needs is not installed."""
    module = EXTRAS.get(kind)
    if module is not None and find_spec(module) is None:
        raise BenchError(
            f"--track {kind} needs {module}, which is not installed: "
            f"pip install 'sequence-bench[{module}]'"
        )


def _backend(kind: Kind, tracked: Tracked) -> Backend:
    if kind == "wandb":
        from bench.tracking.wandb_run import WandbRun

        return WandbRun(tracked)
    if kind == "tensorboard":
        from bench.tracking.tensorboard import TensorBoardRun

        return TensorBoardRun(tracked)
    from bench.tracking.mlflow import MlflowRun

    return MlflowRun(tracked)
