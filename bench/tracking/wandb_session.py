"""The W&B library in this process: silent, sending nothing of its own, never asking for a login."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from bench.tracking.options import PROJECT, Mode, TrackOptions

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
