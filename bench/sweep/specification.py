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

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.core.config import dotted
from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen, to_struct
from bench.core.suite import Suite
from bench.core.yaml import read_yaml
from bench.sweep import quantity
from bench.sweep.checks import check_form, check_settings
from bench.sweep.definition import READ_BY, Sweep, definition_digest
from bench.sweep.dimension import KINDS, Dimension

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
