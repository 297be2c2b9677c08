"""W&B's library in this process, and its server's state of a run, which confirms what was sent."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.tracking.guard import one_line
from bench.tracking.options import PROJECT, Mode, TrackOptions, require_wandb
from bench.tracking.tracker import fingerprint

REPORTING = "WANDB_ERROR_REPORTING"
RECORD = "record"
"""Key of the summary that holds the record's fingerprint."""
POLL_SEC = 0.5
_STATES = {"finished": "finished", "pruned": "finished", "diverged": "failed"}
"""State of a run by the status of its record."""


class NoKeyError(Exception):
    """W&B is to be online and there is no key."""

    def __init__(self) -> None:
        super().__init__("no key: set WANDB_API_KEY, or log in with `wandb login`")


def open_wandb(mode: Mode, folder: Path) -> Any:
    """Import and set up the library: silent, without a prompt, log files in `folder`/wandb.

    Raises NoKeyError in mode `online` if nobody has logged in.
    """
    require_wandb("W&B")
    # Its service measures itself and sends the figures, even offline.
    os.environ.setdefault(REPORTING, "false")
    import wandb

    # Messages of its threads about a dead service go to its log files, not to the terminal.
    logging.getLogger("wandb").addHandler(logging.NullHandler())
    wandb.setup(settings=wandb.Settings(silent=True, mode=mode, root_dir=str(folder)))
    if mode == "online" and not wandb.login(prompt=False, verify=False):
        raise NoKeyError
    return wandb


def mode_of(options: TrackOptions) -> Mode:
    """Mode of a run: offline unless asked; being logged in is not asking."""
    mode = options.mode or os.environ.get("WANDB_MODE", "offline")
    modes: dict[str, Mode] = {"online": "online", "disabled": "disabled"}
    return modes.get(mode, "offline")


def project_of(options: TrackOptions) -> str:
    """Project of a run."""
    return options.project or os.environ.get("WANDB_PROJECT") or PROJECT


def entity_of(options: TrackOptions) -> str | None:
    """User or team of a run; None for the account's own."""
    return options.entity or os.environ.get("WANDB_ENTITY") or None


@dataclass(frozen=True, kw_only=True)
class ServerRun:
    """A run as the server has it."""

    state: str
    num_rows: int
    summary: dict[str, Any]

    def missing(self, record: Record, num_rows: int) -> str | None:
        """Part of a record with so many logged rows that is missing; None if there is none."""
        if self.num_rows < num_rows:
            return f"{self.num_rows} of {num_rows} rows of its history"
        if self.summary.get(RECORD) != fingerprint(record):
            return "its final numbers"
        if self.state != _STATES[record.status]:
            return f"its end: it is {self.state}"
        return None


class WandbServer:
    """Queries about the runs of one project.

    Log files go to `folder`. Raises BenchError without a key, without a server, and for a key that
    is refused.
    """

    def __init__(
        self, entity: str | None, project: str, *, folder: Path, timeout_sec: float
    ) -> None:
        try:
            wandb = open_wandb("online", folder)
            self._api: Any = wandb.Api(timeout=max(1, round(timeout_sec)))
            self.entity = entity or str(self._api.default_entity)
        except NoKeyError as error:
            raise BenchError(f"W&B has {error}") from error
        except Exception as error:
            raise BenchError(f"W&B does not answer ({one_line(error)})") from None
        self.project = project

    def find(self, name: str) -> ServerRun | None:
        """The run `name`; None if the server does not have it."""
        from wandb.apis.public.runs import RunNotFoundError

        self._api.flush()  # its cache of earlier answers
        try:
            run = self._api.run(f"{self.entity}/{self.project}/{name}")
        except Exception as error:
            # The library passes it on as the cause of an error of communication.
            if isinstance(getattr(error, "exc", error), RunNotFoundError):
                return None
            raise BenchError(f"W&B does not answer ({one_line(error)})") from None
        return ServerRun(
            state=str(run.state),
            num_rows=int(run.history_line_count or 0),
            summary=dict(run.summary_metrics),
        )

    def missing(self, name: str, record: Record, num_rows: int, *, wait_sec: float) -> str | None:
        """Part of a record that the server still lacks after `wait_sec`; None if there is none."""
        deadline = time.monotonic() + wait_sec
        while True:
            run = self.find(name)
            missing = "all of it" if run is None else run.missing(record, num_rows)
            if missing is None or time.monotonic() >= deadline:
                return missing
            time.sleep(POLL_SEC)
