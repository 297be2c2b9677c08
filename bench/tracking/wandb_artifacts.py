"""What goes to W&B besides numbers: a table of samples, and artifacts with what they came from."""

from __future__ import annotations

import json
from typing import Any

from bench.captioning.data.scenes import images_at_hand
from bench.core.record import Record, runs_used
from bench.tracking.options import Sendable
from bench.tracking.samples import files_to_send, sample_table, texts_to_send
from bench.tracking.tracker import Tracked

SAMPLES = "samples/test"
SIDE_PIXELS = 256
_NAMES: dict[Sendable, tuple[str, str]] = {
    "checkpoints": ("weights", "model"),
    "predictions": ("predictions", "predictions"),
    "tables": ("tables", "table"),
}
"""Kind -> first part of an artifact's name, and its type in W&B."""


def log_samples(run: Any, tracked: Tracked) -> None:
    """Log what the model wrote as a `wandb.Table`; of captions with their images.

    It goes to the summary: a row of the history would be one that no step of the training made.
    """
    table = sample_table(tracked.folder, num_rows=tracked.options.samples)
    if table is None:
        return
    import wandb

    rows = [list(row) for row in table.rows]
    images = images_at_hand(tracked.card.corpus) if "image" in table.columns else None
    if images is not None:
        for row in rows:
            image = images(row[0])
            image.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
            row[0] = wandb.Image(image, caption=str(row[0]))
    run.summary[SAMPLES] = wandb.Table(columns=list(table.columns), data=rows)


def log_artifacts(run: Any, tracked: Tracked, record: Record) -> None:
    """Log the kinds that were asked for, after the data and the runs that they came from."""
    if not tracked.options.sendable:
        return
    _use_data(run, tracked, record)
    missing = [name for name in runs_used(record) if not _use_weights(run, record.task, name)]
    if missing:  # said where it will be looked for
        run.summary["lineage/not in this project"] = ", ".join(missing)
    for kind in tracked.options.sendable:
        _log(run, tracked, record, kind)


def _log(run: Any, tracked: Tracked, record: Record, kind: Sendable) -> None:
    import wandb

    stem, artifact_type = _NAMES[kind]
    files, texts = files_to_send(tracked, kind), texts_to_send(tracked, kind, record)
    if not files and not texts:
        return  # a baseline has no weights
    artifact = wandb.Artifact(
        f"{stem}-{tracked.name}", type=artifact_type, metadata=_metadata(record)
    )
    for path in files:
        artifact.add_file(str(path))
    for name, text in texts.items():
        with artifact.new_file(name) as file:
            file.write(text)
    run.log_artifact(artifact)


def _metadata(record: Record) -> dict[str, Any]:
    return {"run": record.id, "signature": record.signature, "metrics": dict(record.metrics)}


def _use_data(run: Any, tracked: Tracked, record: Record) -> None:
    """The corpus by its checksums: its licence may forbid to send it."""
    import wandb

    data = wandb.Artifact(f"data-{tracked.card.task}", type="dataset", metadata=dict(record.data))
    with data.new_file("checksums.json") as file:
        file.write(json.dumps(record.data, indent=1, sort_keys=True))
    run.use_artifact(data)


def _use_weights(run: Any, task: str, run_id: str) -> bool:
    """Whether the project has the weights of a run that this one is made of."""
    import wandb

    try:
        run.use_artifact(f"weights-{task}-{run_id}:latest", type="model")
    except (wandb.errors.CommError, ValueError):
        return False
    return True
