"""Backend for Weights & Biases: live, or in a file that `bench sync` sends later.

A run has the name of its record as its id, so that a second session resumes it, and is given the
rows of earlier sessions that W&B does not have.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.record import Record
from bench.tracking.guard import call_within, one_line
from bench.tracking.journal import Row
from bench.tracking.options import Mode
from bench.tracking.tracker import Gradients, Metrics, TrackedRun, fingerprint, summary_of
from bench.tracking.wandb_artifacts import log_artifacts, log_samples
from bench.tracking.wandb_file import becomes_complete, mark_superseded, write_start
from bench.tracking.wandb_server import (
    RECORD,
    WandbServer,
    entity_of,
    mode_of,
    open_wandb,
    project_of,
)

FLUSH_SEC = 1.0
"""Most seconds of logging that a kill may lose."""


class WandbRun:
    """Backend that is offline unless asked, and falls back to offline without a server.

    With `mode` given, a finished run is sent again, and what was kept of its start stays.
    """

    def __init__(self, run: TrackedRun, *, mode: Mode | None = None) -> None:
        self.run = run
        self.mode: Mode = mode or mode_of(run.options)
        self._is_sent_again = mode is not None
        self._wandb_run: Any = None
        self._next_step = 0
        self._steps: set[int] = set()
        self._warn: Callable[[str], None] = print

    def start(self, rows: list[Row], warn: Callable[[str], None]) -> None:
        self._warn = warn
        if self.mode == "disabled":
            return
        if not self._is_sent_again:
            write_start(self.run)
        try:
            self._init()
        except Exception as error:
            if self.mode == "offline":
                raise
            warn(
                f"W&B failed ({one_line(error)}); the run continues and is kept offline: "
                "`bench sync` sends it later"
            )
            self.discard()
            self.mode = "offline"
            self._init()
        mark_superseded(self.run.folder, keep=self._file)
        for row in rows:
            self.log(row.metrics, step=row.step)

    def _init(self) -> None:
        run, options = self.run, self.run.options
        run.folder.mkdir(parents=True, exist_ok=True)
        wandb = open_wandb(self.mode, run.folder)
        self._wandb_run = wandb.init(
            project=project_of(options),
            entity=entity_of(options),
            id=run.name,
            name=run.run_id,
            group=run.group,
            job_type=run.job_type,
            tags=[run.card.task, str(run.config["model"]["name"]), *run.tags],
            notes=options.notes,
            config=run.logged_config,
            dir=run.folder,
            mode=self.mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(**self._settings()),
        )
        self._next_step = int(self._wandb_run.starting_step) if self._wandb_run.resumed else 0

    def _settings(self) -> dict[str, Any]:
        patience_sec, provenance = self.run.options.patience_sec, self.run.provenance
        # The state of this program's checkout, not of the user's current folder.
        git: dict[str, Any] = {"disable_git": True}
        if provenance is not None and provenance.commit is not None:
            checkout = os.fspath(Path(__file__).resolve().parents[2])
            git = {"git_commit": provenance.commit, "git_root": checkout}
        return {
            **git,
            "silent": True,
            "console": "off",
            "save_code": False,
            "init_timeout": patience_sec,
            "finish_timeout": patience_sec,
            "finish_timeout_raises": True,
            "x_transaction_log_flush_interval": FLUSH_SEC,
        }

    @property
    def _file(self) -> Path:
        return Path(self._wandb_run.settings.sync_file)

    def log(self, metrics: Metrics, *, step: int) -> None:
        self._steps.add(step)
        if self._wandb_run is not None and step >= self._next_step:
            self._wandb_run.log(dict(metrics), step=step)

    def log_gradients(self, gradients: Gradients, *, step: int) -> None:
        if self._wandb_run is None:
            return
        import wandb

        finite = {name: values for name, values in gradients.items() if np.isfinite(values).all()}
        histograms: dict[str, Any] = {
            f"gradients/{name}": wandb.Histogram(np_histogram=np.histogram(values, bins=64))
            for name, values in finite.items()
        }
        self.log(histograms, step=step)

    def finish(self, record: Record) -> None:
        if self._wandb_run is None:
            return
        wandb_run, failures = self._wandb_run, list[str]()
        steps: list[Callable[[], None]] = [lambda: log_samples(wandb_run, self.run)]
        if self.mode == "online":
            steps.append(lambda: log_artifacts(wandb_run, self.run, record))
        for step in steps:
            try:
                call_within(self.run.options.patience_sec, step)
            except Exception as error:
                failures.append(one_line(error))
        try:
            self._end(record)
        except Exception as error:
            self.discard()
            failures.insert(0, one_line(error))
        if failures:
            self._warn(f"W&B lacks a part of the run ({failures[0]}): `bench sync` sends it again")

    def _end(self, record: Record) -> None:
        self._wandb_run.summary.update({**summary_of(record), RECORD: fingerprint(record)})
        file, entity = self._file, self._wandb_run.entity
        self._close(int(record.status == "diverged"))
        if self.mode == "offline" and not becomes_complete(file):
            raise OSError(f"{file} is incomplete, the disk may be full")
        if self.mode == "online":
            self._check_arrived(record, entity)

    def _check_arrived(self, record: Record, entity: str) -> None:
        options = self.run.options
        server = WandbServer(
            entity, project_of(options), folder=self.run.folder, timeout_sec=options.patience_sec
        )
        num_rows = len(self._steps)
        missing = server.missing(self.run.name, record, num_rows, wait_sec=options.patience_sec)
        if missing:
            raise OSError(f"its server lacks {missing}")

    def abandon(self) -> None:
        if self._wandb_run is not None:
            self._close(1)  # left open, its service would wait for more

    def _close(self, exit_code: int) -> None:
        # Its service ends by itself after `finish_timeout`, unless it hangs.
        wandb_run, self._wandb_run = self._wandb_run, None
        patience_sec = self.run.options.patience_sec
        call_within(2 * patience_sec, lambda: wandb_run.finish(exit_code=exit_code))

    def discard(self) -> None:
        import wandb

        self._wandb_run = None
        with suppress(Exception):  # its service may be dead: the next run starts another
            wandb.teardown()
