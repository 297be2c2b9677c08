"""Sweep files: `sweeps/*.yaml`, read strictly.

task: ptb
models: [srn, scrn]
fixed: {trainer.max_epochs: 5}
space:
  optim.lr: {type: float, low: 1.0e-3, high: 1.0e-2, log: true}
  model.context_size: {type: int, low: 10, high: 80, step: 10, when: {model.name: scrn}}
budget: {trials: 8, parameters: 2.8M}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
from bench.sweep import specification as quantity
from bench.sweep.definition import READ_BY, Sweep, definition_digest
from bench.sweep.dimension import KINDS, Choice, Dimension, FloatRange, same
from bench.sweep.space import MODEL, activating, space_of, tree_of

# What a sweep may not be, found before anything runs; each error names the file and the key.


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
        if model in all_baselines():
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


# Numbers as people write budgets: 2.8M, 1e15, 2h.


COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12, "P": 10**15}
SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}
_QUANTITY = re.compile(
    r"(?P<number>[0-9][0-9_]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?) ?(?P<unit>[a-zA-Z]*)"
)


def count(value: object, *, where: str) -> int:
    """A whole number: 2800000, 2.8e6 or 2.8M; `where` begins the message when it is none."""
    amount = _read(value, COUNTS, where)
    if amount.denominator != 1:
        raise BenchError(f"{where}: expected a whole number, not {value!r}")
    return int(amount)


def amount(value: object, *, where: str) -> float:
    """A number such as 1e15 or 1P."""
    return float(_read(value, COUNTS, where))


def seconds(value: object, *, where: str) -> float:
    """A time: 7200 seconds, 120min or 2h."""
    return float(_read(value, SECONDS, where))


def _read(value: object, units: Mapping[str, int], where: str) -> Fraction:
    found = None if isinstance(value, bool) else _QUANTITY.fullmatch(str(value))
    if found is None or found["unit"] not in units:
        examples = "1000, 1e6" + "".join(f", 2{unit}" for unit in units if unit)
        raise BenchError(f"{where}: expected a number such as {examples}, not {value!r}")
    result = Fraction(found["number"].replace("_", "")) * units[found["unit"]]
    if result <= 0:
        raise BenchError(f"{where}: expected a number above 0, not {value!r}")
    return result


__all__ = ["Sweep", "definition_digest", "load_sweep", "read_sweep"]


class _File(Frozen, frozen=True, kw_only=True):
    """The keys of a sweep file before its numbers and spaces are read."""

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
    """The sweep called `name`, a shipped one or a file, checked against its task and models.

    `fixed`, a tree or dotted keys, stands above the file's own. Raises BenchError naming the file
    and the key at fault.
    """
    path = suite.sweep_path(name)
    sweep = read_sweep(path, fixed=fixed)
    check_settings(sweep, suite, str(path))
    return sweep


def read_sweep(path: Path, *, fixed: Mapping[str, Any] | None = None) -> Sweep:
    """The sweep in `path`, as far as the file alone can be checked."""
    where = str(path)
    content = read_yaml(path)
    file = to_struct(content, _File, where=where)
    parts = {
        "name": path.stem,
        "task": file.task,
        "models": _models(file, where),
        "fixed": {**_dotted(file.fixed), **_dotted(fixed or {})},
        "budget": _budget(file.budget, where),
        "sampler": _player("sampler", file.sampler, where),
        "pruner": _player("pruner", file.pruner, where),
        "seeds": file.seeds,
        "repeat_best": file.repeat_best,
        "start": [_dotted(point) for point in file.start],
    }
    space = {_key(key): _dimension(key, entry, where) for key, entry in file.space.items()}
    known = to_struct({**parts, "space": {}}, Sweep, where=where)
    sweep = msgspec.structs.replace(known, space=space)
    check_form(sweep, where)
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
    readers = {
        "trials": quantity.count,
        "seconds": quantity.seconds,
        "flops": quantity.amount,
        "parameters": quantity.count,
    }
    for key in entries:
        if key not in readers:
            raise BenchError(f"{where}: unknown key 'budget.{key}', {nearest(key, readers)}")
    return {
        key: readers[key](value, where=f"{where}: budget.{key}") for key, value in entries.items()
    }


def _player(part: str, entries: dict[str, Any], where: str) -> dict[str, Any]:
    """Sampler or pruner; a key that the named one would not read is refused."""
    for key, readers in READ_BY[part].items():
        if key in entries and entries.get("name", "the usual one") not in readers:
            raise BenchError(
                f"{where}: {part}.{key}: read by name {' or '.join(readers)} only, "
                f"not {entries.get('name', 'without a name')!r}"
            )
    return entries


def _dimension(key: str, entry: dict[str, Any], where: str) -> Dimension:
    place = f"{where}: space.{key}"
    kind = entry.get("type")
    if kind not in KINDS:
        hint = nearest(str(kind), KINDS) if kind is not None else f"one of {', '.join(KINDS)}"
        what = f"{kind!r} is none of {', '.join(KINDS)}" if kind is not None else "expected"
        raise BenchError(f"{place}.type: {what}, {hint}")
    entry = {**entry, "when": _conditions(entry.get("when", {}), place)}
    try:
        return to_struct(entry, KINDS[kind], where=where, prefix=f"space.{key}.")
    except BenchError as error:
        # What lacks has no path of its own to be named by.
        raise BenchError(str(error).replace(f"{where}: object", f"{place}: the entry", 1)) from None


def _conditions(when: object, place: str) -> dict[str, Any]:
    """One value, or a list of them, for each key."""
    if not isinstance(when, Mapping):
        raise BenchError(f"{place}.when: expected {{key: value}}, not {when!r}")
    return {
        _key(str(key)): values if isinstance(values, list) else [values]
        for key, values in dotted(when).items()
    }
