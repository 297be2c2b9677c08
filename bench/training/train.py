"""Learning by gradient: an objective around a recurrence, trained, then read once on test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytorch_lightning as pl

from bench.data.text import TextCorpus
from bench.objectives import objective_class
from bench.objectives.objective import DivergedError, Objective
from bench.outcome import Outcome
from bench.provenance import peak_memory_bytes
from bench.record import Cost, Divergence, Point
from bench.resolve import Resolved
from bench.track import Tracker
from bench.training.checkpoint import LAST, save_weights
from bench.training.fit import Fitted, evaluate, fit
from bench.training.progress import ProgressCallback, Style
from bench.training.warm_start import warm_start


def train(
    resolved: Resolved, corpus: TextCorpus, folder: Path, *, style: Style, tracker: Tracker
) -> Outcome:
    """Train to the end, keep the best weights by validation, and measure them."""
    config = resolved.config
    pl.seed_everything(config.seed, verbose=False)
    objective = objective_class(resolved.card.objective)(config, corpus)
    if config.init and not (folder / LAST).exists():
        warm_start(objective, config.init, folder.parent)
    callbacks = [
        ProgressCallback(style, metric=resolved.card.metric.name),
        TrackCallback(tracker),
    ]
    divergence, fitted, metrics = None, None, {}
    try:
        fitted = fit(objective, folder, callbacks=callbacks)
        save_weights(objective.state_dict(), folder)
        metrics = {split: evaluate(objective, split, keep=folder) for split in ("valid", "test")}
    except DivergedError as error:
        divergence = Divergence(
            epoch=error.epoch, step=error.step, gradient_norm=error.gradient_norm
        )
    return Outcome(
        metrics=metrics,
        signature=objective.signature,
        metric_value=objective.metric_value,
        cost=_cost(objective, fitted),
        curve=[msgspec.convert(point, Point, strict=False) for point in objective.curve],
        divergence=divergence,
        products=objective.products_in_effect,
        extra=_extra(objective),
    )


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
        named = {f"epoch/{key}": value for key, value in point.items() if key != "step"}
        self.tracker.log(named, step=trainer.global_step)


def _cost(objective: Objective, fitted: Fitted | None) -> Cost:
    training_sec = fitted.training_sec if fitted else 0.0
    num_units = objective.num_train_units * (fitted.num_epochs if fitted else 0)
    return Cost(
        num_parameters=sum(parameter.numel() for parameter in objective.parameters()),
        flops_per_token=3 * objective.flops_per_unit(),  # the backward pass takes two forwards
        seconds=round(fitted.total_sec if fitted else 0.0, 1),
        tokens_per_sec=round(num_units / training_sec, 1) if training_sec else None,
        peak_memory_bytes=peak_memory_bytes(),
    )
