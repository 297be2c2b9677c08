"""What a sweep may not be, found before anything runs; each error names the file and the key."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.config import WITHOUT_EFFECT, Scalar
from bench.core.errors import BenchError, nearest
from bench.core.suite import Suite
from bench.models import MODELS
from bench.runs.resolve import resolve
from bench.sweep.definition import Sweep
from bench.sweep.dimension import Choice, Dimension, FloatRange, same
from bench.sweep.space import MODEL, activating, space_of, tree_of
from bench.training.baselines import BASELINES

SIZE = "model.hidden_size"


def check_form(sweep: Sweep, where: str) -> None:
    """What can be told from the file alone."""
    _check_models(sweep, where)
    _check_keys(sweep, where)
    earlier: dict[str, Dimension] = {}
    for key, dimension in sweep.space.items():
        _check_range(dimension, f"{where}: space.{key}")
        _check_conditions(sweep, key, earlier, where)
        earlier[key] = dimension
    _check_budget(sweep, where)
    for number, point in enumerate(sweep.start, start=1):
        _check_start(sweep, point, f"{where}: start point {number}")


def _check_models(sweep: Sweep, where: str) -> None:
    known = [*MODELS, *BASELINES]
    for model in sweep.models:
        if model not in known:
            raise BenchError(f"{where}: unknown model {model!r}, {nearest(model, known)}")
    if len(set(sweep.models)) < len(sweep.models):
        raise BenchError(f"{where}: models: one of {', '.join(sweep.models)} is given twice")
    if len(set(sweep.seeds)) < len(sweep.seeds) or not sweep.seeds:
        raise BenchError(f"{where}: seeds: expected different seeds, one at least")


def _check_keys(sweep: Sweep, where: str) -> None:
    if not sweep.space:
        raise BenchError(f"{where}: space: nothing to choose; one configuration is `bench run`")
    for part, keys in (("fixed", sweep.fixed), ("space", sweep.space)):
        if MODEL in keys or "model" in keys:
            raise BenchError(f"{where}: {part}.{MODEL}: name the models under `models`")
        if "seed" in keys:
            raise BenchError(f"{where}: {part}.seed: give the seeds under `seeds`")
    for key in sweep.space:
        if key in sweep.fixed:
            raise BenchError(f"{where}: {key} is both fixed and in the space, keep one of them")
        if key in WITHOUT_EFFECT:
            raise BenchError(f"{where}: space.{key}: it does not change a result, leave it out")


def _check_range(dimension: Dimension, where: str) -> None:
    if isinstance(dimension, Choice):
        if len({(type(value), value) for value in dimension.choices}) < len(dimension.choices):
            raise BenchError(f"{where}.choices: one is given twice")
        return
    low, high, step = dimension.low, dimension.high, dimension.step
    if low > high:
        raise BenchError(f"{where}: low {low:g} is above high {high:g}")
    if dimension.log and low <= 0:
        raise BenchError(f"{where}: log needs a low above 0, not {low:g}")
    if dimension.log and step not in (None, 1):
        raise BenchError(f"{where}: log and step exclude each other, leave one out")
    if step is not None and not dimension.holds(high):
        raise BenchError(f"{where}: high {high:g} is not low plus whole steps of {step:g}")


def _check_conditions(sweep: Sweep, key: str, earlier: dict[str, Dimension], where: str) -> None:
    for name, values in sweep.space[key].when.items():
        place = f"{where}: space.{key}.when.{name}"
        if name == MODEL:
            possible: Dimension = Choice(choices=list(sweep.models))
        elif name in earlier:
            possible = earlier[name]
        elif name in sweep.space:
            raise BenchError(f"{place}: it is chosen later, move {name} before {key}")
        else:
            raise BenchError(
                f"{place}: no such key in the space, {nearest(name, [MODEL, *earlier])}"
            )
        for value in values:
            if not possible.holds(value):
                raise BenchError(f"{place}: {value!r} is none of its values, so it never holds")
    if not any(key in space_of(sweep.space, model) for model in sweep.models):
        raise BenchError(f"{where}: space.{key}.when: its conditions never hold together")


def _check_budget(sweep: Sweep, where: str) -> None:
    budget = sweep.budget
    if budget.trials is None and budget.seconds is None and budget.flops is None:
        raise BenchError(f"{where}: budget: give trials, seconds or flops, or the sweep never ends")
    endless = [
        key
        for key, dimension in sweep.space.items()
        if isinstance(dimension, FloatRange) and dimension.values is None
    ]
    if sweep.sampler.name == "grid" and endless:
        raise BenchError(f"{where}: space.{endless[0]}: sampler grid needs a step or choices here")
    if budget.parameters is None:
        return
    for part, keys in (("fixed", sweep.fixed), ("space", sweep.space)):
        if SIZE in keys:
            raise BenchError(f"{where}: {part}.{SIZE}: budget.parameters decides it, leave one out")
    for model in sweep.models:
        if model in BASELINES:
            raise BenchError(
                f"{where}: budget.parameters: the baseline {model!r} has no hidden size"
            )


def _check_start(sweep: Sweep, point: dict[str, Scalar], where: str) -> None:
    for key, value in point.items():
        if key not in sweep.space:
            raise BenchError(f"{where}: {key} is not in the space, {nearest(key, sweep.space)}")
        if not sweep.space[key].holds(value):
            raise BenchError(f"{where}: {key}: {value!r} is not one of the values in the space")
    if not any(_fits(sweep, point, model) for model in sweep.models):
        raise BenchError(f"{where}: no model has all of its keys at once, see their conditions")


def _fits(sweep: Sweep, point: dict[str, Scalar], model: str) -> bool:
    """Whether a model has keys of the point, and no value of the point rules another out."""
    known = {**point, MODEL: model}
    mine = {key: sweep.space[key] for key in space_of(sweep.space, model) if key in point}
    return bool(mine) and all(
        name not in known or any(same(known[name], value) for value in values)
        for dimension in mine.values()
        for name, values in dimension.when.items()
    )


def check_settings(sweep: Sweep, suite: Suite, where: str) -> None:
    """Every fixed setting and the extremes of every key, as the task and the models take them."""
    for model in sweep.models:
        for settings in _probes(sweep, model):
            overrides = tree_of({**sweep.fixed, **settings})
            try:
                resolve(suite, sweep.task, model=model, overrides=overrides)
            except BenchError as error:
                raise BenchError(f"{where}: {_without_layer(error, model, sweep)}") from None


def _probes(sweep: Sweep, model: str) -> Iterator[dict[str, Scalar]]:
    """Choices of a model that together take every key to its ends."""
    yield {}
    for key, dimension in space_of(sweep.space, model).items():
        for value in dimension.extremes:
            yield {**activating(sweep.space, key, model), key: value}


def _without_layer(error: BenchError, model: str, sweep: Sweep) -> str:
    """The message without the name of the layer, which here is the sweep file."""
    message = str(error).removeprefix("command line: ").removeprefix("configuration: ")
    chosen = any(f"unknown key {key!r}" in message for key in sweep.space)
    if len(sweep.models) > 1 and f"model {model!r}: " in message and chosen:
        message += f" (a key that some models lack needs `when: {{{MODEL}: ...}}`)"
    return message
