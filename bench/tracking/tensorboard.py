"""A run in TensorBoard, through Lightning's logger.

tensorboard --logdir artifacts/tensorboard
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.core.record import Record
from bench.tracking.journal import Row, Told
from bench.tracking.samples import SampleRows, sample_rows
from bench.tracking.tracker import Gradients, Numbers, Tracked, final_numbers

FOLDER = "tensorboard"


def log_folder(folder: Path) -> Path:
    """`<suite>/artifacts/tensorboard` for the artifacts `<suite>/artifacts/<task>/<run>`."""
    return folder.parents[1] / FOLDER


class TensorBoardRun:
    """A backend; see `bench.tracking.tracker`. A sitting writes a file of its own, as is usual."""

    def __init__(self, tracked: Tracked) -> None:
        self.tracked = tracked
        self._logger: Any = None
        self._last_step = 0
        self._told = Told()

    def start(self, rows: list[Row], warn: Callable[[str], None]) -> None:
        """See `Backend`."""
        from pytorch_lightning.loggers import TensorBoardLogger

        # All but the last row of an earlier sitting is in its file for certain.
        for row in rows[:-1]:
            self._told.fresh(row.numbers, step=row.step)
        purged: dict[str, Any] = {"purge_step": rows[-1].step} if rows else {}
        self._logger = TensorBoardLogger(
            log_folder(self.tracked.folder),
            name=self.tracked.card.task,
            version=self.tracked.run_id,
            default_hp_metric=False,
            **purged,
        )
        for row in rows[-1:]:
            self.log(row.numbers, step=row.step)

    def log(self, numbers: Numbers, *, step: int) -> None:
        """See `Backend`."""
        self._last_step = max(step, self._last_step)
        if fresh := self._told.fresh(numbers, step=step):
            self._logger.log_metrics(fresh, step=step)
            self._logger.experiment.flush()  # a kill costs nothing that was told

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        """See `Backend`."""
        for name, values in gradients.items():
            self._logger.experiment.add_histogram(f"gradients/{name}", values, global_step=step)

    def finish(self, record: Record) -> None:
        """See `Backend`."""
        numbers = {
            key: float(value)
            for key, value in final_numbers(record).items()
            if isinstance(value, int | float)
        }
        table = sample_rows(self.tracked)
        if table is not None:
            self._logger.experiment.add_text("samples/test", _markdown(table), self._last_step)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._logger.log_hyperparams(self.tracked.told_config, numbers, step=self._last_step)
        self._logger.finalize("success")

    def abandon(self) -> None:
        """See `Backend`."""
        self._logger.finalize("failed")

    def discard(self) -> None:
        """See `Backend`."""
        self._logger = None


def _markdown(table: SampleRows) -> str:
    head = [list(table.columns), ["---"] * len(table.columns)]
    rows = [[str(cell).replace("|", "\\|").replace("\n", "<br>") for cell in r] for r in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in head + rows)
