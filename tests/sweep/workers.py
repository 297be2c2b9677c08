"""Runs the workers of a sweep as forked processes and kills them at random moments.

A separate program: torch is imported once, and no thread has started before the forks.
Each line of its input is a JSON object, answered by one when all workers have ended:

    folder, url     the suite with its sweep, and the storage
    workers         how many at a time
    kills           how many times one of them gets SIGKILL, and is replaced
    pause_sec       a kill comes at most so long after something was done
    training        "stub" or "real"
    remote          whether each worker appears to be on another machine: only heartbeats count
    heartbeat_sec
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

import bench.models.srn
import bench.runs.run
import bench.sweep.status

# Imported before the forks, so that workers begin at once.
import bench.text.baselines.ngram
import bench.text.objective
from bench.core.suite import Suite
from bench.runs.run import RunOptions
from bench.sweep.specification import load_sweep
from bench.sweep.storage import open_storage
from bench.sweep.study import open_studies
from bench.sweep.worker import Worker


def carry_out(task: dict[str, Any]) -> None:
    """Run one worker."""
    torch.set_num_threads(1)
    if task["training"] == "stub":
        from stub_training import stub_train

        setattr(bench.runs.run, "train", stub_train)  # noqa: B010
    if task["remote"]:
        setattr(bench.sweep.status, "has_exited", lambda _: None)  # noqa: B010
    suite = Suite(folder=Path(task["folder"]))
    storage = open_storage(task["url"], heartbeat_sec=task["heartbeat_sec"])
    studies = open_studies(load_sweep(suite, "small"), suite, storage)
    Worker(studies, suite, run_options=RunOptions(), log=lambda _: None).run()


def start(task: dict[str, Any]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            carry_out(task)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def progress(folder: Path) -> int:
    """Number that changes with every checkpoint."""
    return sum(path.stat().st_mtime_ns for path in folder.glob("artifacts/tiny/*/*.ckpt"))


def wait_for_a_moment(task: dict[str, Any], draw: random.Random, alive: set[int]) -> None:
    """Wait mostly a little beyond the next checkpoint, sometimes just a little."""
    folder = Path(task["folder"])
    before, started = progress(folder), time.monotonic()
    limit_sec = draw.choice([1.0, 20.0, 20.0, 20.0])
    while progress(folder) == before and time.monotonic() - started < limit_sec:
        time.sleep(0.02)
        if any(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) for pid in alive):
            return
    time.sleep(draw.uniform(0, task["pause_sec"]))


def reap(alive: set[int], codes: list[int], *, flags: int) -> None:
    for child in sorted(alive):
        ended, state = os.waitpid(child, flags)
        if ended:
            alive.remove(child)
            codes.append(os.waitstatus_to_exitcode(state))


def kill_and_replace(task: dict[str, Any]) -> dict[str, Any]:
    """Run a sweep's workers; return the number of kills and the other workers' exit codes."""
    draw, kills, codes = random.Random(task["kills"]), 0, list[int]()
    alive = {start(task) for _ in range(task["workers"])}
    while alive and kills < task["kills"]:
        wait_for_a_moment(task, draw, alive)
        reap(alive, codes, flags=os.WNOHANG)
        if alive:
            victim = draw.choice(sorted(alive))
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            alive.remove(victim)
            alive.add(start(task))
            kills += 1
    reap(alive, codes, flags=0)
    return {"kills": kills, "codes": codes}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(kill_and_replace(json.loads(line))), flush=True)
