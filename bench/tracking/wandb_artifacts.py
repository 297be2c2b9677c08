"""Samples and artifacts of a run in W&B, with the data and the runs that they came from."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from bench.core.errors import BenchError
from bench.core.record import Record, runs_used
from bench.domains import load_attribute, load_domain
from bench.tracking.options import Sendable
from bench.tracking.samples import files_to_send, sample_rows, texts_to_send
from bench.tracking.tracker import TrackedRun

SAMPLES = "samples/test"
SIDE_PIXELS = 256
_NAMES: dict[Sendable, tuple[str, str]] = {
    "checkpoints": ("weights", "model"),
    "predictions": ("predictions", "predictions"),
    "tables": ("tables", "table"),
}
"""Prefix of an artifact's name and its type in W&B, by kind."""


def log_samples(wandb_run: Any, run: TrackedRun) -> None:
    """Log the model's outputs as a `wandb.Table`, captions with their images.

    It goes to the summary: in the history it would be a row that no training step made.
    """
    table = sample_rows(run)
    if table is None:
        return
    import wandb

    rows: list[list[Any]] = [list(row) for row in table.rows]
    find = load_domain(run.card.kind).images
    if find is not None and "image" in table.columns:
        with suppress(BenchError):  # without images their names stand there
            images = load_attribute(find)(run.card.corpus)
            for row in rows:
                image = images(row[0])
                image.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
                row[0] = wandb.Image(image, caption=str(row[0]))
    wandb_run.summary[SAMPLES] = wandb.Table(columns=list(table.columns), data=rows)


def log_artifacts(wandb_run: Any, run: TrackedRun, record: Record) -> None:
    """Log the chosen kinds of artifacts, after the data and the runs that they came from."""
    if not run.options.sendable:
        return
    import wandb

    # The corpus by its checksums: its licence may forbid to send it.
    data = wandb.Artifact(f"data-{run.card.task}", type="dataset", metadata=dict(record.data))
    with data.new_file("checksums.json") as file:
        file.write(json.dumps(record.data, indent=1, sort_keys=True))
    wandb_run.use_artifact(data)
    missing = [name for name in runs_used(record) if not _use_weights(wandb_run, record.task, name)]
    if missing:
        wandb_run.summary["lineage/not in this project"] = ", ".join(missing)
    for kind in run.options.sendable:
        _log_kind(wandb_run, run, record, kind)


def _use_weights(wandb_run: Any, task: str, run_id: str) -> bool:
    """Link the weights of another run as an input; False if the project does not have them."""
    import wandb

    try:
        wandb_run.use_artifact(f"weights-{task}-{run_id}:latest", type="model")
    except (wandb.errors.CommError, ValueError):
        return False
    return True


def _log_kind(wandb_run: Any, run: TrackedRun, record: Record, kind: Sendable) -> None:
    import wandb

    files, texts = files_to_send(run, kind), texts_to_send(run, kind, record)
    if not files and not texts:
        return  # a baseline has no weights
    prefix, artifact_type = _NAMES[kind]
    metadata = {"run": record.id, "signature": record.signature, "metrics": dict(record.metrics)}
    artifact = wandb.Artifact(f"{prefix}-{run.name}", type=artifact_type, metadata=metadata)
    for path in files:
        artifact.add_file(str(path))
    for name, text in texts.items():
        with artifact.new_file(name) as file:
            file.write(text)
    wandb_run.log_artifact(artifact)
