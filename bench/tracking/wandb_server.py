"""What W&B's server has of a run: the only thing that is believed about what was sent."""

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
from bench.tracking.options import PROJECT, Mode, TrackOptions
from bench.tracking.tracker import fingerprint

# The W&B library in this process: silent, sending nothing of its own, never asking for a login.


REPORTING = "WANDB_ERROR_REPORTING"


class NoKeyError(Exception):
    """W&B is to be online and has no key."""

    def __init__(self) -> None:
        super().__init__("no key: set WANDB_API_KEY, or log in with `wandb login`")


def open_wandb(mode: Mode, folder: Path) -> Any:
    """The library, in `mode`, with its log files in `folder`/wandb.

    Raises NoKeyError where it is online and nobody has logged in.
    """
    # Its service measures itself and sends the figures, offline, too.
    os.environ.setdefault(REPORTING, "false")
    import wandb

    # What its threads have to say of a dead service goes to its log files, not to the terminal.
    logging.getLogger("wandb").addHandler(logging.NullHandler())
    wandb.setup(settings=wandb.Settings(silent=True, mode=mode, root_dir=str(folder)))
    if mode == "online" and not wandb.login(prompt=False, verify=False):
        raise NoKeyError
    return wandb


def mode_of(options: TrackOptions) -> Mode:
    """Offline unless asked: being logged in is not being asked."""
    said = options.mode or os.environ.get("WANDB_MODE", "offline")
    modes: dict[str, Mode] = {"online": "online", "disabled": "disabled"}
    return modes.get(said, "offline")


def project_of(options: TrackOptions) -> str:
    """The project that a run belongs to."""
    return options.project or os.environ.get("WANDB_PROJECT") or PROJECT


def entity_of(options: TrackOptions) -> str | None:
    """The user or team that a run belongs to; None for the account's own."""
    return options.entity or os.environ.get("WANDB_ENTITY") or None


RECORD = "record"
"""Key of the summary under which a mirrored run carries its record's fingerprint."""
POLL_SEC = 0.5
_STATES = {"finished": "finished", "pruned": "finished", "diverged": "failed"}
"""A record's status -> the state of its run."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the server has of a run."""

    state: str
    num_rows: int
    summary: dict[str, Any]

    def lacks(self, record: Record, num_rows: int) -> str | None:
        """What is missing of a record that logged so many rows; None where nothing is."""
        if self.num_rows < num_rows:
            return f"{self.num_rows} of {num_rows} rows of its history"
        if self.summary.get(RECORD) != fingerprint(record):
            return "its final numbers"
        if self.state != _STATES[record.status]:
            return f"its end: it is {self.state}"
        return None


class WandbServer:
    """Asks about the runs of one project."""

    def __init__(
        self, entity: str | None, project: str, *, folder: Path, timeout_sec: float
    ) -> None:
        """Log files go to `folder`.

        Raises BenchError where there is no key, no server, or where the key is refused.
        """
        try:
            wandb = open_wandb("online", folder)
            self._api: Any = wandb.Api(timeout=max(1, round(timeout_sec)))
            self.entity = entity or str(self._api.default_entity)
        except NoKeyError as error:
            raise BenchError(f"W&B has {error}") from None
        except Exception as error:
            raise BenchError(f"W&B does not answer ({one_line(error)})") from None
        self.project = project

    def known(self, name: str) -> Known | None:
        """What the server has of the run `name`; None where it has nothing."""
        from wandb.apis.public.runs import RunNotFoundError

        self._api.flush()  # of what it was told before
        try:
            run = self._api.run(f"{self.entity}/{self.project}/{name}")
        except Exception as error:
            # The library passes it on as the cause of an error of communication.
            if isinstance(getattr(error, "exc", error), RunNotFoundError):
                return None
            raise BenchError(f"W&B does not answer ({one_line(error)})") from None
        return Known(
            state=str(run.state),
            num_rows=int(run.history_line_count or 0),
            summary=dict(run.summary_metrics),
        )

    def lacks(self, name: str, record: Record, num_rows: int, *, wait_sec: float) -> str | None:
        """What the server still lacks of a record after `wait_sec`; None where nothing."""
        until = time.monotonic() + wait_sec
        while True:
            known = self.known(name)
            missing = "all of it" if known is None else known.lacks(record, num_rows)
            if missing is None or time.monotonic() >= until:
                return missing
            time.sleep(POLL_SEC)
