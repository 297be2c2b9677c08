"""Learning by gradient: an objective around a recurrence, trained, then read once on test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytorch_lightning as pl

from bench.data.corpus import Corpus
from bench.objectives import objective_class
from bench.objectives.objective import DivergedError, Objective
from bench.outcome import Outcome
from bench.provenance import peak_memory_bytes
from bench.record import Cost, Divergence, Point
from bench.resolve import Resolved
from bench.stages import runs_before
from bench.track import Tracker
from bench.training.checkpoint import LAST, WEIGHTS, save_weights
from bench.training.clock import Clock
from bench.training.fit import evaluate, fit
from bench.training.progress import ProgressCallback, Style
from bench.training.report import PrunedError, Report, ReportCallback
from bench.training.warm_start import warm_start


def train(
    resolved: Resolved,
    corpus: Corpus,
    folder: Path,
    *,
    style: Style,
    tracker: Tracker,
    splits: Sequence[str] = ("valid", "test"),
    report: Report | None = None,
) -> Outcome:
    """Train to the end, keep the best weights by validation, and measure them on `splits`.

    `report` is told of every validation; where it ends the training, the best of them is kept.
    """
    config = resolved.config
    pl.seed_everything(config.seed, verbose=False)
    objective = objective_class(resolved.objective)(config, corpus)
    if config.init and not (folder / LAST).exists():
        init = runs_before(resolved, folder.parent, weights=WEIGHTS)
        warm_start(objective, init, folder.parent)
    callbacks = [
        ProgressCallback(style, metric=objective.metric),
        TrackCallback(tracker),
        *([ReportCallback(report)] if report else []),
    ]
    clock, metrics, divergence, pruned = Clock(), dict[str, float](), None, False
    beside: dict[str, dict[str, float]] = {}
    try:
        fit(objective, folder, clock=clock, callbacks=callbacks)
        save_weights(objective.state_dict(), folder)
        for split in splits:
            metrics[split] = evaluate(objective, split, keep=folder)
            for signature, value in objective.beside_metric().items():
                beside.setdefault(signature, {})[split] = value
    except PrunedError:
        metrics, pruned = {"valid": _best_valid(objective, resolved)}, True
    except DivergedError as error:
        divergence = Divergence(
            epoch=error.epoch, step=error.step, gradient_norm=error.gradient_norm
        )
    return Outcome(
        metrics=metrics,
        metric=objective.metric,
        signature=objective.signature,
        bound=objective.bound,
        cost=_cost(objective, clock, num_units=_num_units(objective, divergence)),
        curve=[msgspec.convert(point, Point, strict=False) for point in objective.curve],
        divergence=divergence,
        pruned=pruned,
        products=objective.products_in_effect,
        extra=_extra(objective),
        beside=beside,
    )


def _best_valid(objective: Objective, resolved: Resolved) -> float:
    best = {"min": min, "max": max}[resolved.card.metric.direction]
    return float(best(point["valid"] for point in objective.curve))


def _num_units(objective: Objective, divergence: Divergence | None) -> int:
    """Units trained on, those of a last epoch that diverged among them."""
    begun = objective.train_units if divergence else 0
    return objective.num_train_units * len(objective.curve) + begun


def _extra(objective: Objective) -> dict[str, float]:
    share = objective.clipped_share
    return {} if share is None else {"clipped_share": round(share, 6)}


class TrackCallback(pl.Callback):
    """Sends each validation, and every hundredth step's loss, to the tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, *_: Any) -> None:
        if trainer.global_step % 100 == 0:
            numbers = {
                "train/loss": float(outputs["loss"]),
                "train/gradient_norm": module.last_gradient_norm,
            }
            self.tracker.log(numbers, step=trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        point = module.curve[-1]
        shown = {key: value for key, value in point.items() if value is not None}
        named = {f"epoch/{key}": value for key, value in shown.items() if key != "step"}
        self.tracker.log(named, step=trainer.global_step)


def _cost(objective: Objective, clock: Clock, *, num_units: int) -> Cost:
    flops_per_unit = 3 * objective.flops_per_unit()  # the backward pass takes two forwards
    return Cost(
        num_parameters=sum(parameter.numel() for parameter in objective.parameters()),
        unit=objective.unit,
        flops_per_token=flops_per_unit,
        flops=flops_per_unit * num_units,
        seconds=round(clock.total_sec, 1),
        tokens_per_sec=round(num_units / clock.training_sec, 1) if clock.training_sec else None,
        peak_memory_bytes=peak_memory_bytes(),
    )
