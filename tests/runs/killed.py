"""Carries out small runs in forked processes that are killed at chosen moments.

Started as a program of its own by test_resume.py, with a folder and a JSON object of jobs: name ->
a case, with another model or more settings, every how many moments it is killed, and how many times
a run is that is killed again and again. Torch and Lightning are imported once, and nothing has
started a thread before the forks.

A moment is counted before every training batch, before every validation batch, in the middle of
writing a checkpoint, before and after a checkpoint gets its name, and before and after the record
does.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytorch_lightning as pl
import torch
from objective_cases import OBJECTIVE_CASES, Case, make_suite

import bench.core.record
import bench.training.checkpoint
import bench.training.train
from bench.core.suite import Suite
from bench.runs.resolve import Resolved
from bench.runs.run import run

DROPOUT = {"dropout_output": 0.2}
SETTINGS: dict[str, dict[str, Any]] = {
    "language-model": {
        "options": {"hidden_size": 8},
        "objective": {"batch_size": 8, "bptt_length": 20, "dropout_input": 0.2, **DROPOUT},
        "optim": {"schedule": "plateau", "lr": 0.05, "threshold": 0.5, "back_to_best": True},
        "trainer": {"checkpoint_every_steps": 4},
    },
    "ctc": {
        "options": {"direction": "bidirectional"},
        "objective": {**DROPOUT, "weight_noise": 0.05},
    },
    "transducer": {"objective": {**DROPOUT, "weight_noise": 0.05}},
    "next-label": {"objective": {**DROPOUT, "weight_noise": 0.05}},
    "translation": {
        "objective": {
            "batch_tokens": 120,
            "dropout_source": 0.2,
            **DROPOUT,
            "teacher_forcing": "linear",
            "teacher_forcing_steps": 20,
            "choose_by": "loss",
        },
    },
    "captioning": {"objective": DROPOUT},
    "ranking": {},
    "frame-prediction": {
        "options": {"num_layers": 2, "dropout": 0.2},
        "trainer": {"checkpoint_every_steps": 2},
    },
}
"""Whatever draws random numbers in training."""
TRAINER = {"max_epochs": 3, "checkpoint_every_steps": 3, "threads": 1}
CASES = {
    name: case.but(trainer=TRAINER).but(**SETTINGS[name]) for name, case in OBJECTIVE_CASES.items()
}
OFTEN = (7, 9, 4, 12, 6)
"""Moments at which the processes of one run are killed, one after the other."""


class Moments:
    """Counts moments; at the chosen one the process kills itself, with no chance to clean up."""

    def __init__(self, fatal: int | None, *, by: signal.Signals = signal.SIGKILL) -> None:
        self.fatal, self.kinds, self.by = fatal, list[str](), by

    def pass_one(self, kind: str) -> None:
        if len(self.kinds) == self.fatal:
            os.kill(os.getpid(), self.by)
        self.kinds.append(kind)

    def around(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **settings: Any) -> Any:
            self.pass_one(f"before {kind}")
            result = function(*arguments, **settings)
            self.pass_one(f"after {kind}")
            return result

        return wrapped


def watch(moments: Moments, resolved: Resolved) -> None:
    """Put a moment before or around everything that a kill could spoil."""
    kind: Any = resolved.objective_class()
    train, validate = kind.training_step, kind.validation_step
    save = pl.Trainer.save_checkpoint

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        moments.pass_one("training")
        return train(self, batch, batch_idx)

    def validation_step(self: Any, batch: Any, batch_idx: int) -> Any:
        moments.pass_one("validation")
        return validate(self, batch, batch_idx)

    def save_checkpoint(self: pl.Trainer, path: Path, *arguments: Any, **settings: Any) -> None:
        save(self, path, *arguments, **settings)
        if not self.is_global_zero:
            return
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        moments.pass_one("half a checkpoint")
        path.write_bytes(whole)

    kind.training_step, kind.validation_step = training_step, validation_step
    pl.Trainer.save_checkpoint = save_checkpoint  # type: ignore[method-assign, assignment]
    checkpoint = bench.training.checkpoint
    checkpoint.replace_durably = moments.around("naming", checkpoint.replace_durably)
    os.replace = moments.around("replacing", os.replace)


def case_of(job: dict[str, Any]) -> Case:
    return CASES[job["case"]].but(model=job.get("model"), **job.get("settings", {}))


def carry_out(folder: Path, case: Case, fatal: int | None, report: int) -> None:
    """The run of a child process; what it ended with goes to the pipe `report`."""
    torch.set_num_threads(1)
    moments = Moments(fatal)
    suite = Suite(folder=folder)
    resolved = case.resolved(suite)
    watch(moments, resolved)
    record = run(resolved, suite)
    weights = suite.artifacts(record.task, record.id) / "weights.pt"
    tensors = torch.load(weights, weights_only=True)
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].numpy().tobytes())
    result = {
        "weights": digest.hexdigest(),
        "metrics": {split: value.hex() for split, value in record.metrics.items()},
        "curve": msgspec.to_builtins(record.curve),
        "moments": moments.kinds,
    }
    os.write(report, json.dumps(result).encode())


def in_child(folder: Path, case: Case, fatal: int | None) -> dict[str, Any] | None:
    """What a child ended with, None when it was killed on the way."""
    make_suite(folder)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            carry_out(folder, case, fatal, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    return json.loads(content) if content else None


def results(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """What a run left alone ends with, one killed once at each moment, and one killed often."""
    case = case_of(job)
    calm = in_child(folder / "calm", case, None)
    assert calm is not None
    killed: dict[int, Any] = {}
    for fatal in range(0, len(calm["moments"]), job["every"]) if "every" in job else ():
        place = folder / f"killed-{fatal}"
        killed[fatal] = [in_child(place, case, fatal) is None, in_child(place, case, None)]
    moments = OFTEN[: job.get("kills")]
    often = [in_child(folder / "often", case, fatal) is None for fatal in moments]
    last = in_child(folder / "often", case, None)
    return {"calm": calm, "killed": killed, "often": often, "last": last}


def main() -> None:
    folder = Path(sys.argv[1])
    jobs = json.loads(sys.argv[2])
    print(json.dumps({name: results(folder / name, job) for name, job in jobs.items()}))


if __name__ == "__main__":
    main()
