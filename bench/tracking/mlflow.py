"""Backend for MLflow, through Lightning's logger: a local store of files, or a server."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.core.record import Record
from bench.tracking.journal import Row, SentMetrics
from bench.tracking.options import PROJECT, mlflow_store
from bench.tracking.samples import files_to_send, sample_rows, texts_to_send
from bench.tracking.tracker import Gradients, Metrics, TrackedRun, fingerprint, summary_of

FOLDER = "mlflow"
RUN_ID = "mlflow-run"
"""File beside the run that holds its store and MLflow's run id."""
_STATUS = {"finished": "FINISHED", "pruned": "KILLED", "diverged": "FAILED"}


class MlflowRun:
    """Backend that writes to the given server or store, by default `artifacts/mlflow.db`."""

    def __init__(self, run: TrackedRun) -> None:
        self.run = run
        self._logger: Any = None
        self._sent = SentMetrics()
        self._id_file = run.folder / RUN_ID
        self.store = mlflow_store(run.options, run.suite_folder)

    def start(self, rows: list[Row], warn: Callable[[str], None]) -> None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        logging.getLogger("pytorch_lightning.loggers.mlflow").setLevel(logging.ERROR)
        from pytorch_lightning.loggers import MLFlowLogger

        known_id = self._known_id()
        project = self.run.options.project or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        self._logger = MLFlowLogger(
            experiment_name=project or PROJECT,
            run_name=self.run.name,
            tracking_uri=self.store,
            tags=self._tags(),
            run_id=known_id,
            artifact_location=self._artifact_location(),
        )
        self.run.folder.mkdir(parents=True, exist_ok=True)
        self._id_file.write_text(f"{self.store} {self._logger.run_id}", "utf-8")
        if known_id is None:
            self._logger.log_hyperparams(self.run.logged_config)
        else:
            self._logger.experiment.update_run(known_id, status="RUNNING")
            for row in rows[:-1]:  # a kill may have come before the last one was stored
                self._sent.add_new(row.metrics, step=row.step)
        for row in rows:
            self.log(row.metrics, step=row.step)

    def _artifact_location(self) -> str | None:
        """Folder of files beside the default store; a store that was given has its own."""
        folder = self.run.suite_folder.resolve() / "artifacts"
        if self.store != f"sqlite:///{folder / 'mlflow.db'}":
            return None
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / FOLDER).as_uri()

    def _known_id(self) -> str | None:
        """MLflow's id of the run in this store, from an earlier session."""
        if not self._id_file.is_file():
            return None
        store, _, run_id = self._id_file.read_text("utf-8").rpartition(" ")
        return run_id if store == self.store else None

    def _tags(self) -> dict[str, str]:
        run = self.run
        tags = {
            "task": run.card.task,
            "model": run.config["model"]["name"],
            "job_type": run.job_type,
            "group": run.group,
            "tags": ", ".join(run.tags),
            "mlflow.note.content": run.options.notes,
            "mlflow.source.git.commit": run.provenance and run.provenance.commit,
        }
        return {key: str(value) for key, value in tags.items() if value}

    def log(self, metrics: Metrics, *, step: int) -> None:
        if new := self._sent.add_new(metrics, step=step):
            self._logger.log_metrics({_legal_name(key): v for key, v in new.items()}, step=step)

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        # Norms, as MLflow has no histograms.
        norms = {f"gradients/{n}": float(np.linalg.norm(g)) for n, g in gradients.items()}
        self.log(norms, step=step)

    def finish(self, record: Record) -> None:
        client, run_id, run = self._logger.experiment, self._logger.run_id, self.run
        summary = summary_of(record)
        metrics = {key: v for key, v in summary.items() if isinstance(v, int | float)}
        self.log(metrics, step=self._sent.last_step)
        client.set_tag(run_id, "status", record.status)
        client.set_tag(run_id, "record", fingerprint(record))
        table = sample_rows(run)
        if table is not None:
            lines = ["\t".join(map(str, row)) for row in [table.columns, *table.rows]]
            client.log_text(run_id, "\n".join(lines) + "\n", "samples.tsv")
        for kind in run.options.sendable:
            for path in files_to_send(run, kind):
                client.log_artifact(run_id, str(path), kind)
            for name, text in texts_to_send(run, kind, record).items():
                client.log_text(run_id, text, f"{kind}/{name}")
        client.set_terminated(run_id, _STATUS[record.status])

    def abandon(self) -> None:
        self._logger.experiment.set_terminated(self._logger.run_id, "KILLED")

    def discard(self) -> None:
        self._logger = None


def _legal_name(key: str) -> str:
    """Metric name without the characters that MLflow refuses."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in key)
