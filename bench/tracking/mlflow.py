"""A run in MLflow, through Lightning's logger: a local store of files, or a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.core.record import Record
from bench.tracking.journal import Row, Told
from bench.tracking.options import PROJECT
from bench.tracking.samples import files_to_send, sample_rows, texts_to_send
from bench.tracking.tracker import Gradients, Numbers, Tracked, final_numbers, fingerprint

FOLDER = "mlruns"
RUN_ID = "mlflow-run"
"""File beside the run with the name that MLflow gave it."""
_STATES = {"finished": "FINISHED", "pruned": "KILLED", "diverged": "FAILED"}


def store_of(tracked: Tracked) -> str:
    """The server or store that was asked for, else `<suite>/mlruns`."""
    given = tracked.options.uri or os.environ.get("MLFLOW_TRACKING_URI")
    # Not in `artifacts/`: MLflow finds no run below a folder of that name.
    return given or (tracked.folder.parents[2].resolve() / FOLDER).as_uri()


class MlflowRun:
    """A backend; see `bench.tracking.tracker`."""

    def __init__(self, tracked: Tracked) -> None:
        self.tracked = tracked
        self._logger: Any = None
        self._last_step = 0
        self._told = Told()
        self._name_file = tracked.folder / RUN_ID

    def start(self, rows: list[Row], warn: Callable[[str], None]) -> None:
        """See `Backend`; what earlier sittings logged is in the store."""
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        logging.getLogger("pytorch_lightning.loggers.mlflow").setLevel(logging.ERROR)
        from pytorch_lightning.loggers import MLFlowLogger

        tracked, known = self.tracked, self._known()
        self._logger = MLFlowLogger(
            experiment_name=tracked.options.project
            or os.environ.get("MLFLOW_EXPERIMENT_NAME")
            or PROJECT,
            run_name=tracked.name,
            tracking_uri=store_of(tracked),
            tags=self._tags(),
            run_id=known,
        )
        self._keep_name(str(self._logger.run_id))
        if known is None:
            self._logger.log_hyperparams(tracked.told_config)
        else:
            self._logger.experiment.update_run(known, status="RUNNING")
            for row in rows[:-1]:  # a kill may have come before the last one was stored
                self._told.fresh(row.numbers, step=row.step)
        for row in rows:
            self.log(row.numbers, step=row.step)

    def _tags(self) -> dict[str, str]:
        tracked = self.tracked
        told = {
            "task": tracked.card.task,
            "model": tracked.config["model"]["name"],
            "job_type": tracked.job_type,
            "group": tracked.group,
            "tags": ", ".join(tracked.tags),
            "mlflow.note.content": tracked.options.notes,
            "mlflow.source.git.commit": tracked.provenance and tracked.provenance.commit,
        }
        return {key: str(value) for key, value in told.items() if value}

    def _known(self) -> str | None:
        """The run's name in this store, from an earlier sitting."""
        if not self._name_file.is_file():
            return None
        store, _, name = self._name_file.read_text("utf-8").rpartition(" ")
        return name if store == store_of(self.tracked) else None

    def _keep_name(self, name: str) -> None:
        self.tracked.folder.mkdir(parents=True, exist_ok=True)
        self._name_file.write_text(f"{store_of(self.tracked)} {name}", "utf-8")

    def log(self, numbers: Numbers, *, step: int) -> None:
        """See `Backend`."""
        self._last_step = max(step, self._last_step)
        if fresh := self._told.fresh(numbers, step=step):
            self._logger.log_metrics({_named(key): v for key, v in fresh.items()}, step=step)

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        """See `Backend`; MLflow has no histograms, so their norms."""
        norms = {f"gradients/{n}": float(np.linalg.norm(g)) for n, g in gradients.items()}
        self.log(norms, step=step)

    def finish(self, record: Record) -> None:
        """See `Backend`."""
        client, run_id = self._logger.experiment, self._logger.run_id
        told = final_numbers(record)
        self.log(
            {k: v for k, v in told.items() if isinstance(v, int | float)}, step=self._last_step
        )
        client.set_tag(run_id, "status", record.status)
        client.set_tag(run_id, "record", fingerprint(record))
        table = sample_rows(self.tracked)
        if table is not None:
            lines = ["\t".join(map(str, row)) for row in [table.columns, *table.rows]]
            client.log_text(run_id, "\n".join(lines) + "\n", "samples.tsv")
        for kind in self.tracked.options.sendable:
            for path in files_to_send(self.tracked, kind):
                client.log_artifact(run_id, str(path), kind)
            for name, text in texts_to_send(self.tracked, kind, record).items():
                client.log_text(run_id, text, f"{kind}/{name}")
        client.set_terminated(run_id, _STATES[record.status])

    def abandon(self) -> None:
        """See `Backend`."""
        self._logger.experiment.set_terminated(self._logger.run_id, "KILLED")

    def discard(self) -> None:
        """See `Backend`."""
        self._logger = None


def _named(key: str) -> str:
    """Only some characters may stand in a metric's name."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in key)
