"""How a run is carried out again: the command line that its record says it was made by."""

from __future__ import annotations

import shlex
from typing import Any

from bench.core.config import dotted
from bench.core.record import Record
from bench.report.numbers import written
from bench.runs.lineage import evaluated_runs, mixed_runs

_NAMED = frozenset(("task", "seed", "model.name", "objective.name"))
_OF_SEARCH = {"beam_size": "beam", "length_penalty": "length-penalty", "alpha": "alpha"}


def command_of(record: Record) -> str:
    """The command that carries out the same configuration."""
    if record.model == "mix":
        words = _mix(record)
    elif "evaluation" in record.config.get("objective", {}):
        words = _evaluate(record)
    else:
        words = _run(record)
    return shlex.join(["bench", *words])


def _run(record: Record) -> list[str]:
    values, mine = dotted(record.config), record.set_by_caller
    words = ["run", "--task", record.task]
    # A recipe of the model's own name, and the card's default, are what nobody has to ask for.
    is_named = record.recipe not in ("default", record.model)
    if is_named:
        words += ["--recipe", record.recipe]
    if not is_named or "model.name" in mine:
        words += ["--model", record.model]
    if "objective.name" in mine:
        words += ["--objective", str(values["objective.name"])]
    for key in mine:
        if key not in _NAMED and values.get(key) is not None:
            words += [f"--{key.replace('_', '-')}", written(values[key])]
    return [*words, "--seed", str(record.seed)]


def _mix(record: Record) -> list[str]:
    cache = str(record.config["model"].get("cache", "none"))
    caches = ["--cache", *cache.split("+")] if cache != "none" else []
    return ["mix", record.task, *mixed_runs(record), *caches]


def _evaluate(record: Record) -> list[str]:
    objective = record.config["objective"]
    words = ["evaluate", *evaluated_runs(record), "--mode", str(objective["evaluation"])]
    if "evaluation_models" in objective:
        return [*words, *_search(record, objective)]
    for key, value in objective.items():
        name = key.removeprefix("evaluation_")
        if name not in (key, "of") and value not in (None, "tuned"):
            words += [f"--{name.replace('_', '-')}", written(value)]
    return [*words, "--tune"] if "tuned" in objective.values() else words


def _search(record: Record, objective: dict[str, Any]) -> list[str]:
    words = []
    for key, option in _OF_SEARCH.items():
        if f"objective.{key}" in record.set_by_caller:
            words += [f"--{option}", written(objective[key])]
    return words
