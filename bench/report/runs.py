"""One page for each run: what was set, where it ran, what came of it, how to run it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.core.config import dotted
from bench.core.record import Record, evaluated_runs, mixed_runs
from bench.report.content import TaskContent, duration, short, size, split_label, written
from bench.table import Row

# How a run is carried out again: the command line that its record says it was made by.


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


Facts = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A line of the configuration."""

    key: str
    value: str
    by_caller: bool


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """What the page of a run shows."""

    record: Record
    name: str
    chosen: str
    """The settings that the table calls it by."""
    rows: list[Row]
    siblings: list[Record]
    """The same configuration with other seeds."""
    command: str
    settings: list[tuple[str, list[Setting]]]
    """By part of the configuration."""
    cost: Facts
    provenance: Facts
    hardware: Facts
    extra: Facts


def run_pages(content: TaskContent) -> list[RunPage]:
    """A page for each record of a task."""
    kin: dict[tuple[str, str], list[Record]] = {}
    for record in content.records:
        kin.setdefault((record.digest or record.id, record.signature), []).append(record)
    return [
        _page(content, record, kin[record.digest or record.id, record.signature])
        for record in content.records
    ]


def _page(content: TaskContent, record: Record, kin: list[Record]) -> RunPage:
    name, chosen = split_label(content.label_of(record))
    return RunPage(
        record=record,
        name=name,
        chosen=chosen,
        rows=content.rows_of.get(record.id, []),
        siblings=sorted((r for r in kin if r is not record), key=lambda r: r.seed),
        command=command_of(record),
        settings=_settings(record),
        cost=_cost(record),
        provenance=_provenance(record),
        hardware=[_fact(name, value) for name, value in _hardware(record)],
        extra=[(name, short(value)) for name, value in record.extra.items()],
    )


def _settings(record: Record) -> list[tuple[str, list[Setting]]]:
    mine = set(record.set_by_caller)
    parts = []
    for part, tree in record.config.items():
        leaves = dotted({part: tree})
        lines = [
            Setting(key=key.removeprefix(f"{part}."), value=written(value), by_caller=key in mine)
            for key, value in leaves.items()
        ]
        if lines:
            parts.append((part, lines))
    return parts


def _cost(record: Record) -> Facts:
    cost = record.cost
    facts = {
        "parameters": short(cost.num_parameters),
        f"FLOPs per {cost.unit}": short(cost.flops_per_token),
        "FLOPs in all": f"{cost.flops:.3g}" if cost.flops else "",
        "training and validation": duration(cost.seconds),
        f"{cost.unit}s per second": short(cost.tokens_per_sec),
        "peak memory": size(cost.peak_memory_bytes),
    }
    return [(name, text) for name, text in facts.items() if text]


def _provenance(record: Record) -> Facts:
    made = record.provenance
    state = {True: " with changes", False: "", None: ""}[made.dirty]
    facts = {
        "commit": f"{made.commit[:12]}{state}" if made.commit else "",
        "started": record.started.replace("T", " "),
        "finished": record.finished.replace("T", " "),
        "python": made.python,
        **made.packages,
    }
    return [(name, text) for name, text in facts.items() if text]


def _hardware(record: Record) -> Iterator[tuple[str, str | int]]:
    yield "platform", record.provenance.platform
    yield from record.provenance.hardware.items()
    yield "products", record.provenance.products


def _fact(name: str, value: str | int) -> tuple[str, str]:
    if name.endswith("_bytes"):
        return name.removesuffix("_bytes"), size(float(value))
    return name.replace("_", " "), str(value)
