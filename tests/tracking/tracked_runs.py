"""Small runs with a tracker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tiny_task import make_suite, settings

from bench.core.record import Record
from bench.core.structs import to_struct
from bench.core.suite import Suite
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import RunOptions, run
from bench.tracking.options import Kind, TrackOptions

LONG: dict[str, dict[str, Any]] = {
    "objective": {"bptt_length": 5},
    "trainer": {"max_epochs": 3},
}
"""Three epochs of 40 steps."""


def resolved(suite: Suite, **groups: dict[str, Any]) -> Resolved:
    return resolve(suite, "tiny", model="srn", overrides=settings(**groups))


def options(**given: Any) -> TrackOptions:
    return to_struct(given, TrackOptions, where="test")


def run_options(kind: Kind = "wandb", *, group: str | None = None, **given: Any) -> RunOptions:
    return RunOptions(track=kind, tracking=options(**given), group=group, tags=("mine", "small"))


def untracked(suite: Suite, **groups: dict[str, Any]) -> Record:
    """Record of the same run in another suite, without a tracker."""
    elsewhere = Suite(folder=make_suite(suite.folder.parent / "untracked"))
    return run(resolved(elsewhere, **groups), elsewhere)


KILL = """
import os, signal, sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from bench.training.callbacks import TrackCallback
from bench.runs.run import run
from bench.core.suite import Suite
from tracked_runs import LONG, run_options, resolved

original = TrackCallback.on_train_epoch_end
def die(self, trainer, module):
    original(self, trainer, module)
    if trainer.current_epoch == 1:
        time.sleep(2)  # its file is written once a second
        os.kill(os.getpid(), signal.SIGKILL)
TrackCallback.on_train_epoch_end = die
suite = Suite(folder=Path(sys.argv[1]))
run(resolved(suite, **LONG), suite, run_options(mode=os.environ["MODE"]))
"""


def start_and_kill(suite: Suite, mode: str) -> None:
    """The first session of a run, killed at the end of its second epoch."""
    here = Path(__file__).resolve()
    paths = [str(here.parents[2]), str(here.parents[1]), str(here.parent)]
    environment = {**os.environ, "MODE": mode, "OMP_NUM_THREADS": "1"}
    environment.pop("WANDB_SERVICE", None)  # of this process, which is another's
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(suite.folder), *paths],
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
