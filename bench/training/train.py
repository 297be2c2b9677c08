"""Learning by gradient: an objective around a recurrence, trained, then read once on test."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import pytorch_lightning as pl
import torch

from bench.core.config import TrainerConfig, num_processes
from bench.core.outcome import Outcome
from bench.core.record import Cost, Divergence, Point
from bench.data.corpora import Corpus
from bench.layers.products import Products
from bench.runs.lineage import runs_before
from bench.runs.provenance import peak_memory_bytes
from bench.runs.resolve import Resolved
from bench.tracking.tracker import NoTracker, Tracker
from bench.training.arithmetic import counted_flops_per_unit, product_rate
from bench.training.callbacks import (
    Clock,
    EnergyCallback,
    PrunedError,
    Report,
    ReportCallback,
    TrackCallback,
)
from bench.training.checkpoint import LAST, WEIGHTS, save_weights, warm_start
from bench.training.fit import evaluate, fit
from bench.training.objective import DivergedError, Objective
from bench.training.precision import precision_in_effect, uses_cuda
from bench.training.process_group import ProcessGroup
from bench.training.progress import ProgressCallback, Style

Flops = Literal["formula", "counted"]
"""`counted` measures the operations of training on a few batches as well."""


def train(
    resolved: Resolved,
    corpus: Corpus,
    folder: Path,
    *,
    style: Style,
    tracker: Tracker,
    splits: Sequence[str] = ("valid", "test"),
    report: Report | None = None,
    flops: Flops = "formula",
    process_group: ProcessGroup | None = None,
) -> Outcome:
    """Train to the end, keep the best weights by validation, and measure them on `splits`.

    `report` is told of every validation; where it ends the training, the best of them is kept.
    The other processes of a `crew` are called to `train_worker`; they leave when training is over.
    """
    process_group = process_group or ProcessGroup()
    process_group.call()
    objective = _begin(resolved, corpus, folder)
    clock, energy = Clock(), EnergyCallback()
    shown = ProgressCallback(style, metric=objective.metric.name)
    callbacks = [energy, shown, TrackCallback(tracker)]
    callbacks += [ReportCallback(report)] if report else []
    divergence, pruned = None, False
    metrics, beside = dict[str, float](), dict[str, dict[str, float]]()
    try:
        fit(objective, folder, clock=clock, callbacks=callbacks, process_group=process_group)
        save_weights(objective.state_dict(), folder)
        metrics, beside = _measure(objective, splits, folder)
    except PrunedError:
        metrics, pruned = {"valid": _best_valid(objective, resolved)}, True
    except DivergedError as error:
        divergence = Divergence(
            epoch=error.epoch, step=error.step, gradient_norm=error.gradient_norm
        )
    return Outcome(
        metrics=metrics,
        metric=objective.metric.name,
        signature=objective.metric.signature,
        bound=objective.bound,
        cost=_cost(
            objective, clock, energy, num_units=_num_units(objective, divergence), flops=flops
        ),
        curve=[msgspec.convert(point, Point, strict=False) for point in objective.curve],
        divergence=divergence,
        pruned=pruned,
        products=precision_in_effect(objective.config.trainer, objective.products_in_effect),
        hardware=_processes(objective.config.trainer),
        extra=_extra(objective),
        beside=beside,
    )


def train_worker(
    resolved: Resolved, corpus: Corpus, folder: Path, process_group: ProcessGroup
) -> None:
    """The part of a process that is not the first in a training, which that one records."""
    objective = _begin(resolved, corpus, folder)
    with contextlib.suppress(DivergedError):
        fit(objective, folder, callbacks=[TrackCallback(NoTracker())], process_group=process_group)


def _begin(resolved: Resolved, corpus: Corpus, folder: Path) -> Objective:
    """The objective as training begins, the same in all processes."""
    config = resolved.config
    pl.seed_everything(config.seed, verbose=False)
    objective = resolved.objective_class()(config, corpus)
    if config.init and not (folder / LAST).exists():
        init = runs_before(resolved, folder.parent, weights=WEIGHTS)
        warm_start(objective, init, folder.parent)
    return objective


def _measure(
    objective: Objective, splits: Sequence[str], folder: Path
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Split -> metric, and signature -> split -> what is reported beside it."""
    metrics, beside = dict[str, float](), dict[str, dict[str, float]]()
    for split in splits:
        score = evaluate(objective, split, keep=folder)
        metrics[split] = score.value
        for signature, value in score.beside.items():
            beside.setdefault(signature, {})[split] = value
    return metrics, beside


def _best_valid(objective: Objective, resolved: Resolved) -> float:
    best = {"min": min, "max": max}[resolved.card.metric.direction]
    return float(best(point["valid"] for point in objective.curve))


def _num_units(objective: Objective, divergence: Divergence | None) -> int:
    """Units trained on, those of a last epoch that diverged among them."""
    begun = objective.train_units if divergence else 0
    return objective.num_train_units * len(objective.curve) + begun


def _extra(objective: Objective) -> dict[str, float]:
    share, trainer = objective.clipped_share, objective.config.trainer
    extra = {} if share is None else {"clipped_share": round(share, 6)}
    if num_processes(trainer) > 1:
        num_steps = len(objective.train_loader(world_size=num_processes(trainer)))
        extra["units_per_step"] = round(objective.num_train_units / num_steps, 1)
    return extra


def _processes(trainer: TrainerConfig) -> dict[str, str | int]:
    if num_processes(trainer) == 1:
        return {}
    return {"processes": num_processes(trainer), "nodes": trainer.num_nodes}


def _cost(
    objective: Objective, clock: Clock, energy: EnergyCallback, *, num_units: int, flops: Flops
) -> Cost:
    peak = peak_memory_bytes()  # of the run, not of what is measured for the record below
    flops_per_unit = 3 * objective.flops_per_unit()  # the backward pass takes two forwards
    units_per_sec = num_units / clock.training_sec if clock.training_sec else None
    limit = _limit(objective.config.trainer)
    joules = energy.joules
    points = clock.seconds_by_point
    return Cost(
        num_parameters=sum(parameter.numel() for parameter in objective.parameters()),
        unit=objective.unit,
        flops_per_token=flops_per_unit,
        counted_flops_per_token=counted_flops_per_unit(objective) if flops == "counted" else None,
        flops=flops_per_unit * num_units,
        seconds=round(clock.total_sec, 1),
        seconds_by_point=points if len(points) == len(objective.curve) else [],
        tokens_per_sec=round(units_per_sec, 1) if units_per_sec else None,
        limit_flops_per_sec=float(f"{limit:.4g}"),
        share_of_limit=round(flops_per_unit * units_per_sec / limit, 4) if units_per_sec else None,
        peak_memory_bytes=peak,
        energy_joules=None if joules is None else round(joules, 1),
        energy_source=energy.source,
    )


def _limit(trainer: TrainerConfig) -> float:
    """The matrix-product rate of all devices that a run has."""
    device = torch.device("cuda" if uses_cuda(trainer) else "cpu")
    # Both half precisions have one rate.
    products: Products = trainer.products if trainer.precision == "32" else "bfloat16"
    rate = product_rate(products, device)
    return rate * trainer.devices * trainer.num_nodes
