"""Sweep files, `sweeps/*.yaml`, read and checked before anything runs.

task: ptb
models: [srn, scrn]
fixed: {trainer.max_epochs: 5}
space:
  optim.lr: {type: float, low: 1.0e-3, high: 1.0e-2, log: true}
  model.context_size: {type: int, low: 10, high: 80, step: 10, when: {model.name: scrn}}
budget: {trials: 8, parameters: 2.8M}
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from bench.core.config import WITHOUT_EFFECT, Scalar, dotted
from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen, to_struct
from bench.core.suite import Suite
from bench.core.yaml import read_yaml
from bench.domains import all_baselines
from bench.models import MODELS
from bench.runs.resolve import resolve
from bench.sweep.definition import READ_BY, Sweep
from bench.sweep.dimension import KINDS, Choice, Dimension, FloatRange, extremes, same
from bench.sweep.space import MODEL, model_space, prerequisites, tree_of

SIZE = "model.hidden_size"
LARGEST = 1e15
"""Largest bound of a range: whole numbers up to here are exact in floating point."""
COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12, "P": 10**15}
SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}
MOST = 10**30
"""Largest quantity of a budget."""
_QUANTITY = re.compile(
    r"(?P<number>[0-9][0-9_]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?) ?(?P<unit>[a-zA-Z]*)"
)


class _File(Frozen, frozen=True, kw_only=True):
    """Keys of a sweep file before quantities and dimensions are parsed."""

    task: str
    model: str | None = None
    models: list[str] | None = None
    fixed: dict[str, Any] = msgspec.field(default_factory=dict)
    space: dict[str, dict[str, Any]]
    budget: dict[str, Any]
    sampler: dict[str, Any] = msgspec.field(default_factory=dict)
    pruner: dict[str, Any] = msgspec.field(default_factory=dict)
    seeds: list[int] = msgspec.field(default_factory=lambda: [1])
    repeat_best: int = 0
    start: list[dict[str, Any]] = msgspec.field(default_factory=list)


def load_sweep(suite: Suite, name: str, *, fixed: Mapping[str, Any] | None = None) -> Sweep:
    """Load a sweep by file or shipped name, and check it against its task and models.

    `fixed`, a tree or dotted keys, overrides the file's own. Raises BenchError naming the file and
    the key at fault.
    """
    path = suite.sweep_path(name)
    sweep = read_sweep(path, fixed=fixed)
    check_settings(sweep, suite, str(path))
    return sweep


def read_sweep(path: Path, *, fixed: Mapping[str, Any] | None = None) -> Sweep:
    """Read a sweep file and check what does not depend on its task."""
    where = str(path)
    file = to_struct(read_yaml(path), _File, where=where)
    parts = {
        "name": path.stem,
        "task": file.task,
        "models": _models(file, where),
        "fixed": {**_dotted(file.fixed), **_dotted(fixed or {})},
        "budget": _budget(file.budget, where),
        "sampler": _strategy("sampler", file.sampler, where),
        "pruner": _strategy("pruner", file.pruner, where),
        "seeds": file.seeds,
        "repeat_best": file.repeat_best,
        "start": [_dotted(point) for point in file.start],
    }
    space = {_key(key): _dimension(key, entry, where) for key, entry in file.space.items()}
    without_space = to_struct({**parts, "space": {}}, Sweep, where=where)
    sweep = msgspec.structs.replace(without_space, space=space)
    _check_form(sweep, where)
    return sweep


def _key(key: str) -> str:
    return key.replace("-", "_")


def _dotted(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {_key(key): value for key, value in dotted(tree).items()}


def _models(file: _File, where: str) -> list[str]:
    if (file.model is None) == (file.models is None):
        raise BenchError(f"{where}: expected either `model: NAME` or `models: [NAME, ...]`")
    models = [file.model] if file.model is not None else file.models
    if not models:
        raise BenchError(f"{where}: models: name one at least")
    return models


def _budget(entries: Mapping[str, Any], where: str) -> dict[str, float]:
    parsers: dict[str, Callable[..., float]] = {
        "trials": parse_count,
        "seconds": parse_seconds,
        "flops": parse_amount,
        "parameters": parse_count,
    }
    for key in entries:
        if key not in parsers:
            raise BenchError(f"{where}: unknown key 'budget.{key}', {nearest(key, parsers)}")
    return {
        key: parsers[key](value, where=f"{where}: budget.{key}") for key, value in entries.items()
    }


def _strategy(part: str, entries: dict[str, Any], where: str) -> dict[str, Any]:
    """Entries of `sampler` or `pruner`, without keys that the named one would ignore."""
    name = entries.get("name", "without a name")
    for key in entries:
        readers = READ_BY.get(f"{part}.{key}", (name,))
        if name not in readers:
            raise BenchError(
                f"{where}: {part}.{key}: only for {part} {' or '.join(readers)}, not {name!r}"
            )
    return entries


def _dimension(key: str, entry: dict[str, Any], where: str) -> Dimension:
    place = f"{where}: space.{key}"
    kind = entry.get("type")
    if kind not in KINDS:
        hint = nearest(str(kind), KINDS) if kind is not None else f"one of {', '.join(KINDS)}"
        what = f"{kind!r} is none of {', '.join(KINDS)}" if kind is not None else "expected"
        raise BenchError(f"{place}.type: {what}, {hint}")
    when = entry.get("when", {})
    if not isinstance(when, Mapping):
        raise BenchError(f"{place}.when: expected {{key: value}}, not {when!r}")
    conditions = {
        _key(str(name)): values if isinstance(values, list) else [values]
        for name, values in dotted(when).items()
    }
    try:
        return to_struct(
            {**entry, "when": conditions}, KINDS[kind], where=where, prefix=f"space.{key}."
        )
    except BenchError as error:
        # msgspec names no path for a missing field.
        raise BenchError(str(error).replace(f"{where}: object", f"{place}: the entry", 1)) from None


def parse_count(value: object, *, where: str) -> int:
    """Whole number such as 2800000, 2.8e6 or 2.8M; `where` begins the error message."""
    amount = _parse(value, COUNTS, where)
    if amount.denominator != 1:
        raise BenchError(f"{where}: expected a whole number, not {value!r}")
    return int(amount)


def parse_amount(value: object, *, where: str) -> float:
    """Number such as 1e15 or 1P."""
    return float(_parse(value, COUNTS, where))


def parse_seconds(value: object, *, where: str) -> float:
    """Seconds of a duration such as 7200, 120min or 2h."""
    return float(_parse(value, SECONDS, where))


def _parse(value: object, units: Mapping[str, int], where: str) -> Fraction:
    found = None if isinstance(value, bool) else _QUANTITY.fullmatch(str(value))
    if found is None or found["unit"] not in units:
        examples = "1000, 1e6" + "".join(f", 2{unit}" for unit in units if unit)
        raise BenchError(f"{where}: expected a number such as {examples}, not {value!r}")
    result = Fraction(found["number"].replace("_", "")) * units[found["unit"]]
    if not 0 < result <= MOST:
        raise BenchError(f"{where}: expected a number above 0 and up to {MOST:g}, not {value!r}")
    return result


# Checks of a whole sweep; each error names the file and the key.


def _check_form(sweep: Sweep, where: str) -> None:
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
    known = [*MODELS, *all_baselines()]
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
        _check_choices(dimension, where)
        return
    low, high, step = dimension.low, dimension.high, dimension.step
    for name, value in (("low", low), ("high", high), ("step", step)):
        if value is not None and not abs(value) <= LARGEST:
            raise BenchError(f"{where}.{name}: {value} must be finite, up to {LARGEST:g}")
    if low > high:
        raise BenchError(f"{where}: low {low:g} is above high {high:g}")
    if dimension.log and low <= 0:
        raise BenchError(f"{where}: log needs a low above 0, not {low:g}")
    if dimension.log and step not in (None, 1):
        raise BenchError(f"{where}: log and step exclude each other, leave one out")
    if step is not None and high not in dimension:
        raise BenchError(f"{where}: high {high:g} is not low plus whole steps of {step:g}")


def _check_choices(dimension: Choice, where: str) -> None:
    if len({(type(value), value) for value in dimension.choices}) < len(dimension.choices):
        raise BenchError(f"{where}.choices: one is given twice")
    for value in dimension.choices:
        if isinstance(value, float) and not math.isfinite(value):
            raise BenchError(f"{where}.choices: {value} must be finite")


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
            if value not in possible:
                raise BenchError(f"{place}: {value!r} is none of its values, so it never holds")
    if not any(key in model_space(sweep.space, model) for model in sweep.models):
        raise BenchError(f"{where}: space.{key}.when: its conditions never hold together")


def _check_budget(sweep: Sweep, where: str) -> None:
    budget = sweep.budget
    if budget.trials is None and budget.seconds is None and budget.flops is None:
        raise BenchError(f"{where}: budget: give trials, seconds or flops, or the sweep never ends")
    if sweep.sampler.name == "grid":
        for key, dimension in sweep.space.items():
            if isinstance(dimension, FloatRange) and dimension.values is None:
                raise BenchError(f"{where}: space.{key}: sampler grid needs a step or choices here")
    if budget.parameters is None:
        return
    for part, keys in (("fixed", sweep.fixed), ("space", sweep.space)):
        if SIZE in keys:
            raise BenchError(f"{where}: {part}.{SIZE}: budget.parameters decides it, leave one out")
    for model in sweep.models:
        if model in all_baselines():
            raise BenchError(
                f"{where}: budget.parameters: the baseline {model!r} has no hidden size"
            )


def _check_start(sweep: Sweep, point: dict[str, Scalar], where: str) -> None:
    for key, value in point.items():
        if key not in sweep.space:
            raise BenchError(f"{where}: {key} is not in the space, {nearest(key, sweep.space)}")
        if value not in sweep.space[key]:
            raise BenchError(f"{where}: {key}: {value!r} is not one of the values in the space")
    if not any(_is_possible(sweep, point, model) for model in sweep.models):
        raise BenchError(f"{where}: no model has all of its keys at once, see their conditions")


def _is_possible(sweep: Sweep, point: dict[str, Scalar], model: str) -> bool:
    """True if a model has keys of the point and none of its values excludes another."""
    known = {**point, MODEL: model}
    space = model_space(sweep.space, model)
    return not space.keys().isdisjoint(point) and all(
        name not in known or any(same(known[name], value) for value in values)
        for key in space.keys() & point.keys()
        for name, values in space[key].when.items()
    )


def check_settings(sweep: Sweep, suite: Suite, where: str) -> None:
    """Resolve every fixed setting and the extremes of every key with the task and each model."""
    for model in sweep.models:
        for settings in _extreme_settings(sweep, model):
            overrides = tree_of({**sweep.fixed, **settings})
            try:
                resolve(suite, sweep.task, model=model, overrides=overrides)
            except BenchError as error:
                raise BenchError(f"{where}: {_without_source(error, model, sweep)}") from None


def _extreme_settings(sweep: Sweep, model: str) -> Iterator[dict[str, Scalar]]:
    """Settings of a model that together take every key to its extremes."""
    yield {}
    for key, dimension in model_space(sweep.space, model).items():
        for value in extremes(dimension):
            yield {**prerequisites(sweep.space, key, model), key: value}


def _without_source(error: BenchError, model: str, sweep: Sweep) -> str:
    """Error message without the source of the setting, which here is the sweep file."""
    message = str(error).removeprefix("command line: ").removeprefix("configuration: ")
    is_chosen = any(f"unknown key {key!r}" in message for key in sweep.space)
    if len(sweep.models) > 1 and f"model {model!r}: " in message and is_chosen:
        message += f" (a key that some models lack needs `when: {{{MODEL}: ...}}`)"
    return message
