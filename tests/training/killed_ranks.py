"""Carries out a small run in two processes, of which one is killed at chosen moments.

Started as a program of its own by test_shared_resume.py, with a folder, a job of `killed.py` in
JSON and the kinds of moments, all of them where none is named.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from forked import in_processes
from killed import Moments, carry_out, case_of, watch
from objective_cases import Case, make_suite

import bench.speech.objectives.speech
import bench.training.process_group
from bench.core.errors import LostProcessError
from bench.core.ranks import Rank
from bench.core.suite import Suite
from bench.launch.ranks import EXIT_PEER_LOST
from bench.runs.run import run_worker

VICTIMS = {
    0: ("training", "validation", "half a checkpoint", "before naming"),
    1: ("training", "validation"),
}
"""Process -> the kinds of moments at which it is killed, each in the middle of the run."""
EVALUATION_FRAMES = 150
"""Of speech, so that each process has batches to validate."""
PATIENCE = timedelta(seconds=10)
"""With a process that is frozen instead."""


def in_two(
    folder: Path,
    case: Case,
    *,
    victim: int | None = None,
    fatal: int | None = None,
    by: signal.Signals = signal.SIGKILL,
) -> dict[str, Any]:
    """How both processes ended, what the survivor said, and what the first one reported."""
    make_suite(folder)
    report, said, second = folder / "report", folder / "said", folder / "pid"
    for path in (report, said):
        path.write_text("")

    def work(rank: Rank) -> None:
        moment = fatal if rank.number == victim else None
        if by != signal.SIGKILL:
            bench.training.process_group.PATIENCE = PATIENCE
        try:
            if rank.is_first:
                with report.open("w") as file:
                    carry_out(folder, case, moment, file.fileno())
            else:
                second.write_text(str(os.getpid()))
                follow(folder, case, Moments(moment, by=by), rank)
        except LostProcessError as error:
            said.write_text(str(error))
            if by == signal.SIGSTOP:  # the other one is still there
                os.kill(int(second.read_text()), signal.SIGKILL)
            os._exit(EXIT_PEER_LOST)  # as the command line does

    codes = in_processes(2, work)
    content = report.read_text()
    return {
        "codes": codes,
        "said": said.read_text(),
        "report": json.loads(content) if content else None,
    }


def follow(folder: Path, case: Case, moments: Moments, rank: Rank) -> None:
    torch.set_num_threads(1)
    suite = Suite(folder=folder)
    resolved = case.resolved(suite)
    watch(moments, resolved)
    run_worker(resolved, suite, rank)
    (folder / "kinds").write_text(json.dumps(moments.kinds))


def middle(kinds: list[str], kind: str) -> int:
    places = [place for place, each in enumerate(kinds) if each == kind]
    return places[len(places) // 2]


def main() -> None:
    folder, asked = Path(sys.argv[1]), sys.argv[3:]
    case = case_of(json.loads(sys.argv[2])).but(trainer={"devices": 2})
    bench.speech.objectives.speech.EVALUATION_FRAMES = EVALUATION_FRAMES
    calm = in_two(folder / "calm", case)
    kinds = {
        0: calm["report"]["moments"],
        1: json.loads((folder / "calm" / "kinds").read_text()),
    }
    killed = {}
    for victim, wanted in VICTIMS.items():
        for kind in asked or wanted:
            place = folder / f"{victim}-{kind.replace(' ', '-')}"
            fatal = middle(kinds[victim], kind)
            stopped = in_two(place, case, victim=victim, fatal=fatal)
            killed[f"{victim} at {kind}"] = [victim, stopped, in_two(place, case)]
    if not asked:
        place, fatal = folder / "1-frozen", middle(kinds[1], "training")
        frozen = in_two(place, case, victim=1, fatal=fatal, by=signal.SIGSTOP)
        killed["1 frozen"] = [1, frozen, in_two(place, case)]
    print(json.dumps({"calm": calm, "killed": killed}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
