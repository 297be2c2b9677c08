"""Carries out one small run in forked processes that are killed at chosen moments.

Started as a program of its own by test_resume.py: torch and Lightning are imported once, and
nothing has started a thread before the forks.

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
import tiny_frames
import tiny_speech
import tiny_translation
import torch

import bench.core.record
import bench.training.checkpoint
import bench.training.train
from bench.core.config import merge
from bench.core.suite import Suite
from bench.runs.resolve import Resolved, resolve
from bench.runs.run import run

OVERRIDES: dict[str, dict[str, Any]] = {
    "text": {
        "model": {"hidden_size": 8},
        "objective": {
            "batch_size": 4,
            "bptt_length": 5,
            "dropout_input": 0.2,
            "dropout_output": 0.2,
        },
        "optim": {"schedule": "plateau", "lr": 0.05, "threshold": 0.5, "back_to_best": True},
        "trainer": {"max_epochs": 3, "checkpoint_every_steps": 4, "threads": 1},
    },
    "tiny-speech": {
        "model": {"direction": "bidirectional"},
        "objective": {"dropout_output": 0.2, "weight_noise": 0.05},
        "trainer": {"max_epochs": 3, "checkpoint_every_steps": 3, "threads": 1},
    },
    "tiny-frames": {
        "model": {"num_layers": 2, "dropout": 0.2},
        "trainer": {"max_epochs": 3, "checkpoint_every_steps": 2, "threads": 1},
    },
    "tiny-translation": {
        "objective": {
            "batch_tokens": 120,
            "dropout_source": 0.2,
            "dropout_output": 0.2,
            "teacher_forcing": "linear",
            "teacher_forcing_steps": 20,
            "choose_by": "loss",
        },
        "trainer": {"max_epochs": 3, "checkpoint_every_steps": 3, "threads": 1},
    },
}


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


GENERATED: dict[str, Callable[[Path], object]] = {
    "tiny-frames": tiny_frames.make_suite,
    "tiny-speech": tiny_speech.make_suite,
    "tiny-translation": tiny_translation.make_suite,
}


def resolved_in(suite: Suite, corpus: str, model: str) -> Resolved:
    """The run: of a generated task, or of the text in a folder."""
    more = json.loads(os.environ.get("MORE_OVERRIDES", "{}"))
    if corpus in GENERATED:
        if not (suite.folder / "tasks").exists():  # which a process beside this one may read
            GENERATED[corpus](suite.folder)
        return resolve(suite, corpus, model=model, overrides=merge(OVERRIDES[corpus], more))
    overrides = merge(OVERRIDES["text"], {"data": {"path": corpus}}, more)
    return resolve(suite, "text", model=model, overrides=overrides)


def carry_out(folder: Path, corpus: str, model: str, fatal: int | None, report: int) -> None:
    """The run of a child process; what it ended with goes to the pipe `report`."""
    torch.set_num_threads(1)
    moments = Moments(fatal)
    suite = Suite(folder=folder)
    resolved = resolved_in(suite, corpus, model)
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


def in_child(folder: Path, corpus: str, model: str, fatal: int | None) -> dict[str, Any] | None:
    """What a child ended with, None when it was killed on the way."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            carry_out(folder, corpus, model, fatal, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    return json.loads(content) if content else None


def main() -> None:
    folder, corpus, model = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    every = int(sys.argv[4])
    calm = in_child(folder / "calm", corpus, model, None)
    assert calm is not None
    killed: dict[int, Any] = {}
    for fatal in range(0, len(calm["moments"]), every):
        place = folder / f"killed-{fatal}"
        survived = in_child(place, corpus, model, fatal)
        killed[fatal] = [survived is None, in_child(place, corpus, model, None)]
    often = folder / "often"
    for fatal in (7, 9, 4, 12, 6):
        in_child(often, corpus, model, fatal)
    last = in_child(often, corpus, model, None)
    print(json.dumps({"calm": calm, "killed": killed, "often": last}))


if __name__ == "__main__":
    main()
