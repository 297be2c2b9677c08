"""Stub of training: epochs with a checkpoint, values by formula, failures on demand.

It writes a line to `<suite>/log` for each start or resumption and for each epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.record import Cost, Divergence, Point, write_atomically
from bench.runs.resolve import Resolved
from bench.text.data.corpus import TextCorpus
from bench.training.callbacks import PrunedError, Report

EPOCH_SEC = 0.02
FLOPS_PER_EPOCH = 1000
FAILING_LR, DIVERGING_LR = 0.0777, 0.0888
"""Learning rates that fail or diverge."""


def stub_train(
    resolved: Resolved,
    _: TextCorpus,
    folder: Path,
    *,
    splits: Sequence[str] = ("valid", "test"),
    report: Report | None = None,
    **__: Any,
) -> Outcome:
    """Stub of `bench.training.train.train`."""
    lr, checkpoint = resolved.config.optim.lr, folder / "stub.ckpt"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    write_log(folder, f"begin {resolved.run_id} after {done}")
    if lr == FAILING_LR:
        raise BenchError("a setting that cannot be")
    curve = [point(lr, epoch, resolved.config.seed) for epoch in range(1, done + 1)]
    if lr == DIVERGING_LR:
        return outcome(curve, {}, divergence=Divergence(epoch=0, step=3, gradient_norm=9.0))
    for epoch in range(done + 1, resolved.config.trainer.max_epochs + 1):
        time.sleep(EPOCH_SEC)
        write_log(folder, f"epoch {resolved.run_id} {epoch}")
        curve.append(point(lr, epoch, resolved.config.seed))
        if report:
            try:
                report(epoch, curve[-1].valid)
            except PrunedError:
                return outcome(curve, {"valid": min(p.valid for p in curve)}, pruned=True)
        write_atomically(checkpoint, str(epoch).encode())
    return outcome(curve, {split: curve[-1].valid + len(split) for split in splits})


def write_log(folder: Path, line: str) -> None:
    with (folder.parents[2] / "log").open("a") as file:
        file.write(line + "\n")


def point(lr: float, epoch: int, seed: int) -> Point:
    valid = 100 + 20 * abs(math.log10(lr) + 2) + 10 / epoch + seed / 8
    return Point(epoch=epoch, step=epoch, train=valid, valid=valid, lr=lr)


def outcome(
    curve: list[Point],
    metrics: dict[str, float],
    *,
    pruned: bool = False,
    divergence: Divergence | None = None,
) -> Outcome:
    cost = Cost(
        num_parameters=7, flops=FLOPS_PER_EPOCH * len(curve), seconds=1.5 * max(1, len(curve))
    )
    return Outcome(
        metrics=metrics,
        signature="stub",
        metric="perplexity",
        cost=cost,
        curve=curve,
        pruned=pruned,
        divergence=divergence,
    )
