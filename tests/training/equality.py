"""Trains cases in one process and in two, and leaves losses and weights of both.

Started as a program of its own by test_equality.py, with the folder for what it leaves and the
names of the cases.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from forked import in_processes
from objective_cases import OBJECTIVE_CASES, Case, make_suite

from bench.core.config import merge
from bench.core.ranks import Rank
from bench.core.suite import Suite
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of, run, run_worker
from bench.training.fit import fit
from bench.training.process_group import ProcessGroup

NUM_STEPS = 50
SGD = {"name": "sgd", "lr": 0.1, "clip_at": 1.0}
TEXT = OBJECTIVE_CASES["language-model"].but(objective={"batch_size": 6, "bptt_length": 11})
RANKING = OBJECTIVE_CASES["ranking"].but(optim={"lr": 0.05, "clip_at": 100.0})
EACH_OBJECTIVE = {
    **OBJECTIVE_CASES,
    "language-model": TEXT,
    "translation": OBJECTIVE_CASES["translation"].but(objective={"attention": "additive"}),
    "ranking": RANKING.but(objective={"negatives": "hardest"}),
    "frame-prediction": OBJECTIVE_CASES["frame-prediction"].but(model="gru"),
}
VARIANTS = {
    "language-model-adaptive": TEXT.but(model="lstm", objective={"output": "adaptive"}),
    "language-model-sum": TEXT.but(
        model="gru", objective={"batch_size": 4, "bptt_length": 9, "loss_scale": "stream"}
    ),
    "ranking-regions": RANKING.but(
        model="lstm",
        objective={"similarity": "regions"},
        optim={"lr": 0.005},
        data={"features": "grid"},
    ),
    "optimiser-divided": TEXT.but(
        model="lstm", optim={"name": "adamw", "lr": 0.01}, trainer={"strategy": "zero"}
    ),
    "sparse-gradients": TEXT.but(model="srn", optim={"embedding_gradients": "sparse"}),
    "accumulated": TEXT.but(objective={"batch_size": 12}, trainer={"accumulate": 3}),
    "accumulated-labels": OBJECTIVE_CASES["next-label"].but(trainer={"accumulate": 2}),
}
CASES = EACH_OBJECTIVE | VARIANTS
"""What is trained, dropout off; the batches are ragged, so that the parts are unequal."""

EVALUATION_SIZES = {
    "speech.objectives.speech:EVALUATION_FRAMES": 150,
    "translation.objective:EVALUATION_TOKENS": 50,
    "captioning.objectives.ranking:EVALUATION_TOKENS": 60,
    "frames.objective:EVALUATION_SEQUENCES": 4,
}
"""With these the split is evaluated in an odd number of batches: shares are unequal. Captioning has
all in one batch, so that the second process has none."""

RUNS: dict[str, dict[str, Any]] = {
    "stopped-early": {"optim": {**SGD, "lr": 20.0}, "trainer": {"stop_after": 2}},
    "diverged": {"optim": {**SGD, "lr": 1e9, "clip": "none"}, "trainer": {}},
}
"""Runs that end before their time, which all processes must notice at once."""


class Steps(pl.Callback):
    """Ends the training after `NUM_STEPS` steps; notes the epoch's sums and the weights.

    Of each validation the loss, the count and the places in the split, and how many batches this
    process has had.
    """

    def __init__(self) -> None:
        self.evaluations: list[tuple[list[float], list[list[int]]]] = []
        self.num_evaluated = 0
        self.sums: list[list[float]] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.state_size = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        self.sums.append([*module.train_sums.tolist(), module.train_units])
        if len(self.sums) in (1, NUM_STEPS):
            self.weights.append({k: v.clone() for k, v in module.state_dict().items()})
            self.state_size = state_size(trainer.optimizers[0])
        if len(self.sums) == NUM_STEPS:
            trainer.should_stop = True
            trainer.fit_loop.epoch_loop.max_steps = NUM_STEPS

    def on_validation_batch_end(self, *_: Any) -> None:
        self.num_evaluated += 1

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        score = module.metric.compute()  # remembered since the epoch's end
        places = [sorted(found) for found in module.metric._keyed]
        self.evaluations.append(([score.loss, score.num_units], places))


def state_size(optimizer: Any) -> int:
    """Numbers that an optimiser keeps in this process."""
    own = getattr(optimizer, "optim", optimizer)
    states = own.state.values()
    return sum(value.numel() for state in states for value in state.values())


def resolved_in(suite: Suite, case: Case) -> Resolved:
    usual = {"optim": SGD, "trainer": {"max_epochs": 100, "threads": 1, "devices": 2}}
    return replace(case, settings=merge(usual, case.settings)).resolved(suite)


def train(suite: Suite, name: str, rank: Rank) -> None:
    torch.set_num_threads(1)
    resolved = resolved_in(suite, CASES[name])
    corpus = corpus_of(resolved)
    pl.seed_everything(resolved.config.seed, verbose=False)
    objective = resolved.objective_class()(resolved.config, corpus)
    steps = Steps()
    folder = suite.folder / f"{name}-{rank.size}"
    fit(objective, folder, callbacks=[steps], process_group=ProcessGroup(rank))
    (folder / f"num-evaluated-{rank.number}").write_text(str(steps.num_evaluated))
    if rank.is_first:
        left = {
            "sums": steps.sums,
            "curve": objective.curve,
            "evaluations": steps.evaluations,
            "clipped": objective.num_clipped,
            "state_size": steps.state_size,
            "first_weights": steps.weights[0],
            "weights": steps.weights[1],
        }
        torch.save(left, folder / "left.pt")


def record(suite: Suite, name: str, rank: Rank) -> None:
    """Carry out a whole run, the first process with a record."""
    torch.set_num_threads(1)
    trainer = {"max_epochs": 30, "threads": 1, "devices": rank.size, **RUNS[name]["trainer"]}
    case = OBJECTIVE_CASES["language-model"].but(model="lstm")
    resolved = case.resolved(suite, optim=RUNS[name]["optim"], trainer=trainer)
    if rank.is_first:
        (suite.folder / f"{name}-{rank.size}").write_text(run(resolved, suite).id)
    else:
        run_worker(resolved, suite, rank)


def main() -> None:
    suite = make_suite(Path(sys.argv[1]))
    for name, size in EVALUATION_SIZES.items():
        module, constant = name.split(":")
        setattr(importlib.import_module(f"bench.{module}"), constant, size)
    work = dict.fromkeys(CASES, train) | dict.fromkeys(RUNS, record)
    for name in sys.argv[2:]:
        for size in (1, 2):
            codes = in_processes(size, partial(work[name], suite, name))
            assert codes == [0] * size, f"{name} in {size} processes: {codes}"


if __name__ == "__main__":
    main()
