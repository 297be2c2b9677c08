"""Backend for TensorBoard, through Lightning's logger.

tensorboard --logdir artifacts/tensorboard
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from bench.core.record import Record
from bench.tracking.journal import Row, SentMetrics
from bench.tracking.samples import SampleRows, sample_rows
from bench.tracking.tracker import Gradients, Metrics, TrackedRun, summary_of

FOLDER = "tensorboard"


class TensorBoardRun:
    """Backend that writes `<suite>/artifacts/tensorboard`; each session has a file of its own."""

    def __init__(self, run: TrackedRun) -> None:
        self.run = run
        self._logger: Any = None
        self._sent = SentMetrics()

    def start(self, rows: list[Row], warn: Callable[[str], None]) -> None:
        from pytorch_lightning.loggers import TensorBoardLogger

        # All but the last row of an earlier session is certainly in its file.
        for row in rows[:-1]:
            self._sent.add_new(row.metrics, step=row.step)
        purge: dict[str, Any] = {"purge_step": rows[-1].step} if rows else {}
        self._logger = TensorBoardLogger(
            self.run.suite_folder / "artifacts" / FOLDER,
            name=self.run.card.task,
            version=self.run.run_id,
            default_hp_metric=False,
            **purge,
        )
        for row in rows[-1:]:
            self.log(row.metrics, step=row.step)

    def log(self, metrics: Metrics, *, step: int) -> None:
        if new := self._sent.add_new(metrics, step=step):
            self._logger.log_metrics(new, step=step)
            self._logger.experiment.flush()  # a kill loses nothing that was logged

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        for name, values in gradients.items():
            self._logger.experiment.add_histogram(f"gradients/{name}", values, global_step=step)

    def finish(self, record: Record) -> None:
        summary = summary_of(record)
        numbers = {k: float(v) for k, v in summary.items() if isinstance(v, int | float)}
        # A cost has one value: a text, where a metric would be a chart of one point.
        metrics = {k: v for k, v in numbers.items() if not k.startswith("cost/")}
        costs = "\n".join(f"| {k} | {v:g} |" for k, v in numbers.items() if k not in metrics)
        step = self._sent.last_step
        if costs:
            self._logger.experiment.add_text("cost", f"| | |\n| --- | --- |\n{costs}", step)
        table = sample_rows(self.run)
        if table is not None:
            self._logger.experiment.add_text("samples/test", _markdown(table), step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._logger.log_hyperparams(self.run.logged_config, metrics, step=step)
        self._logger.finalize("success")

    def abandon(self) -> None:
        self._logger.finalize("failed")

    def discard(self) -> None:
        self._logger = None


def _markdown(table: SampleRows) -> str:
    head = [list(table.columns), ["---"] * len(table.columns)]
    rows = [[str(cell).replace("|", "\\|").replace("\n", "<br>") for cell in r] for r in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in head + rows)
