"""Pages of runs: settings, provenance, results, and the command that repeats the run."""

from __future__ import annotations

import shlex
from typing import Any

from bench.core.config import dotted
from bench.core.record import Record, evaluated_runs, mixed_runs
from bench.report.content import (
    TaskContent,
    format_bytes,
    format_duration,
    format_number,
    format_setting,
    split_label,
)

Facts = list[tuple[str, str]]

_NAMED = frozenset(("task", "seed", "model.name", "objective.name"))
_SEARCH_OPTIONS = {"beam_size": "beam", "length_penalty": "length-penalty", "alpha": "alpha"}


def run_pages(content: TaskContent) -> list[dict[str, Any]]:
    """Build a page for each record of a task."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in content.records:
        groups.setdefault(_configuration(record), []).append(record)
    return [_page(content, record, groups[_configuration(record)]) for record in content.records]


def _configuration(record: Record) -> tuple[str, str]:
    return record.digest or record.id, record.signature


def _page(content: TaskContent, record: Record, group: list[Record]) -> dict[str, Any]:
    name, label_settings = split_label(content.label_of(record))
    return {
        "record": record,
        "name": name,
        "label_settings": label_settings,
        "rows": content.rows_of.get(record.id, []),
        "siblings": sorted((r for r in group if r is not record), key=lambda r: r.seed),
        "command": rerun_command(record),
        "settings": _settings(record),
        "cost": _cost(record),
        "provenance": _provenance(record),
        "hardware": _hardware(record),
        "extra": [(name, format_number(value)) for name, value in record.extra.items()],
    }


def _settings(record: Record) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Parts of the configuration: keys, values, and whether the caller chose them."""
    parts = []
    for part, tree in record.config.items():
        settings = [
            (key.removeprefix(f"{part}."), format_setting(value), key in record.set_by_caller)
            for key, value in dotted({part: tree}).items()
        ]
        if settings:
            parts.append((part, settings))
    return parts


def _cost(record: Record) -> Facts:
    cost = record.cost
    facts = {
        "parameters": format_number(cost.num_parameters),
        f"FLOPs per {cost.unit}": format_number(cost.flops_per_token),
        "FLOPs in all": f"{cost.flops:.3g}" if cost.flops else "",
        "training and validation": format_duration(cost.seconds),
        f"{cost.unit}s per second": format_number(cost.tokens_per_sec),
        "peak memory": format_bytes(cost.peak_memory_bytes),
    }
    return [(name, text) for name, text in facts.items() if text]


def _provenance(record: Record) -> Facts:
    made = record.provenance
    state = " with changes" if made.dirty else ""
    facts = {
        "commit": f"{made.commit[:12]}{state}" if made.commit else "",
        "started": record.started.replace("T", " "),
        "finished": record.finished.replace("T", " "),
        "python": made.python,
        **made.packages,
    }
    return [(name, text) for name, text in facts.items() if text]


def _hardware(record: Record) -> Facts:
    made = record.provenance
    facts = {"platform": made.platform, **made.hardware, "products": made.products}
    return [
        (name.removesuffix("_bytes"), format_bytes(float(value)))
        if name.endswith("_bytes")
        else (name.replace("_", " "), str(value))
        for name, value in facts.items()
    ]


def rerun_command(record: Record) -> str:
    """Command line that carries out the same configuration."""
    if record.model == "mix":
        words = _mix_words(record)
    elif "evaluation" in record.config.get("objective", {}):
        words = _evaluate_words(record)
    else:
        words = _run_words(record)
    return shlex.join(["bench", *words])


def _run_words(record: Record) -> list[str]:
    values, chosen = dotted(record.config), record.set_by_caller
    words = ["run", "--task", record.task]
    # A recipe of the model's own name and the card's default are selected without an option.
    is_named = record.recipe not in ("default", record.model)
    if is_named:
        words += ["--recipe", record.recipe]
    if not is_named or "model.name" in chosen:
        words += ["--model", record.model]
    if "objective.name" in chosen:
        words += ["--objective", str(values["objective.name"])]
    for key in chosen:
        if key not in _NAMED and values.get(key) is not None:
            words += _option(key, values[key])
    return [*words, "--seed", str(record.seed)]


def _mix_words(record: Record) -> list[str]:
    cache = str(record.config["model"].get("cache", "none"))
    caches = ["--cache", *cache.split("+")] if cache != "none" else []
    return ["mix", record.task, *mixed_runs(record), *caches]


def _evaluate_words(record: Record) -> list[str]:
    objective = record.config["objective"]
    words = ["evaluate", *evaluated_runs(record), "--mode", str(objective["evaluation"])]
    if "evaluation_models" in objective:
        for key, name in _SEARCH_OPTIONS.items():
            if f"objective.{key}" in record.set_by_caller:
                words += _option(name, objective[key])
        return words
    for key, value in objective.items():
        name = key.removeprefix("evaluation_")
        if name not in (key, "of") and value not in (None, "tuned"):
            words += _option(name, value)
    return [*words, "--tune"] if "tuned" in objective.values() else words


def _option(name: str, value: Any) -> list[str]:
    return [f"--{name.replace('_', '-')}", format_setting(value)]
