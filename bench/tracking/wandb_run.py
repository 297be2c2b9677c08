"""A run in Weights & Biases: live, or in a file that is sent later.

A run goes by the name of its record, so that a second sitting goes on with it, and is told the
rows of earlier sittings that W&B does not have.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.record import Record
from bench.tracking.guard import one_line, within
from bench.tracking.journal import Row
from bench.tracking.options import Mode
from bench.tracking.tracker import Gradients, Numbers, Tracked, final_numbers, fingerprint
from bench.tracking.wandb_artifacts import log_artifacts, log_samples
from bench.tracking.wandb_file import becomes_whole, mark_superseded, write_start
from bench.tracking.wandb_server import (
    RECORD,
    WandbServer,
    entity_of,
    mode_of,
    open_wandb,
    project_of,
)

FLUSH_SEC = 1.0


class WandbRun:
    """A backend; see `bench.tracking.tracker`."""

    def __init__(self, tracked: Tracked, *, mode: Mode | None = None) -> None:
        self.tracked = tracked
        self.mode: Mode = mode or mode_of(tracked.options)
        self._is_sent_later = mode is not None
        self._run: Any = None
        self._next_step = 0
        self._steps: set[int] = set()
        self._warn: Callable[[str], None] = print

    def start(self, rows: list[Row], warn: Callable[[str], None]) -> None:
        """See `Backend`."""
        self._warn = warn
        if self.mode == "disabled":
            return
        if not self._is_sent_later:
            write_start(self.tracked)
        self._begin(warn)
        mark_superseded(self.tracked.folder, keep=self._file)
        for row in rows:
            self.log(row.numbers, step=row.step)

    def _begin(self, warn: Callable[[str], None]) -> None:
        try:
            self._init()
        except Exception as error:
            if self.mode == "offline":
                raise
            warn(
                f"W&B is out ({one_line(error)}); the run goes on and is kept offline: "
                "`bench sync` sends it later"
            )
            self.discard()
            self.mode = "offline"
            self._init()

    def _init(self) -> None:
        tracked, options = self.tracked, self.tracked.options
        tracked.folder.mkdir(parents=True, exist_ok=True)
        wandb = open_wandb(self.mode, tracked.folder)
        self._run = wandb.init(
            project=project_of(options),
            entity=entity_of(options),
            id=tracked.name,
            name=tracked.run_id,
            group=tracked.group,
            job_type=tracked.job_type,
            tags=tracked.all_tags,
            notes=options.notes,
            config=tracked.told_config,
            dir=tracked.folder,
            mode=self.mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(**self._settings()),
        )
        self._next_step = int(self._run.starting_step) if self._run.resumed else 0

    def _settings(self) -> dict[str, Any]:
        patience_sec = self.tracked.options.patience_sec
        made_by = self.tracked.provenance
        # The state of this program's checkout, not of the folder that a user happens to be in.
        git: dict[str, Any] = {"disable_git": True}
        if made_by is not None and made_by.commit is not None:
            git = {"git_commit": made_by.commit, "git_root": _checkout()}
        return {
            **git,
            "silent": True,
            "console": "off",
            "save_code": False,
            "init_timeout": patience_sec,
            "finish_timeout": patience_sec,
            "finish_timeout_raises": True,
            "x_transaction_log_flush_interval": FLUSH_SEC,  # what a kill may cost
        }

    @property
    def _file(self) -> Path:
        return Path(self._run.settings.sync_file)

    def log(self, numbers: Numbers, *, step: int) -> None:
        """See `Backend`; what W&B has of earlier sittings is left as it is."""
        self._steps.add(step)
        if self._run is not None and step >= self._next_step:
            self._run.log(dict(numbers), step=step)

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        """See `Backend`; as histograms, of what is finite."""
        if self._run is None:
            return
        import wandb

        finite = {name: values for name, values in gradients.items() if np.isfinite(values).all()}
        shown: dict[str, Any] = {
            f"gradients/{name}": wandb.Histogram(np_histogram=np.histogram(values, bins=64))
            for name, values in finite.items()
        }
        self.log(shown, step=step)

    def finish(self, record: Record) -> None:
        """See `Backend`; what has not arrived is said, and can be sent again."""
        if self._run is None:
            return
        lost: list[str] = []
        patience_sec = self.tracked.options.patience_sec
        for part in (self._log_samples, self._log_artifacts):
            try:
                within(patience_sec, functools.partial(part, record))
            except Exception as error:
                lost.append(one_line(error))
        try:
            self._end(record)
        except Exception as error:
            self.discard()
            lost.insert(0, one_line(error))
        if lost:
            self._warn(f"W&B lacks a part of the run ({lost[0]}): `bench sync` sends it again")

    def _log_samples(self, record: Record) -> None:
        log_samples(self._run, self.tracked)

    def _log_artifacts(self, record: Record) -> None:
        if self.mode == "online":
            log_artifacts(self._run, self.tracked, record)

    def _end(self, record: Record) -> None:
        self._run.summary.update({**final_numbers(record), RECORD: fingerprint(record)})
        file, entity = self._file, self._run.entity
        run, self._run = self._run, None
        self._close(run, int(record.status == "diverged"))
        if self.mode == "offline" and not becomes_whole(file):
            raise OSError(f"{file} is incomplete, the disk may be full")
        if self.mode == "online":
            self._check_arrived(record, entity)

    def _check_arrived(self, record: Record, entity: str) -> None:
        patience_sec = self.tracked.options.patience_sec
        server = WandbServer(
            entity,
            project_of(self.tracked.options),
            folder=self.tracked.folder,
            timeout_sec=patience_sec,
        )
        missing = server.lacks(self.tracked.name, record, len(self._steps), wait_sec=patience_sec)
        if missing:
            raise OSError(f"its server lacks {missing}")

    def abandon(self) -> None:
        """See `Backend`."""
        # Left open, its service would wait for more.
        run, self._run = self._run, None
        if run is not None:
            self._close(run, 1)

    def _close(self, run: Any, exit_code: int) -> None:
        # Its service ends by itself after `finish_timeout`, unless it hangs.
        patience_sec = self.tracked.options.patience_sec
        within(2 * patience_sec, lambda: run.finish(exit_code=exit_code))

    def discard(self) -> None:
        """See `Backend`."""
        import wandb

        self._run = None
        with suppress(Exception):  # its service may be dead: the next run starts another
            wandb.teardown()


def _checkout() -> str:
    return os.fspath(Path(__file__).resolve().parents[2])
