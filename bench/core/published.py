"""Published rows: what papers printed, read strictly from `results/<task>/published.yaml`.

    rows:
      - label: SCRN, 100 hidden, 40 context
        cite: mikolov2014longer        # key in results/references.bib; null if untraced
        where: Table 2
        metrics: {test: 115}           # as printed: its digits are its precision
        protocol: same                 # or the difference from the card's protocol
        beside: {bleu-1: {test: 63}}   # optional: secondary scores of the same outputs
        verified: lecture              # source in which the number was read, see `Verified`
        match: {model: scrn, model.hidden_size: 100, model.context_size: 40}
        recipe: scrn                   # optional: recipe that `bench reproduce` uses

A run whose configuration contains `match` measures the row. `match: null` means that nothing does,
for the reason in `why`, which may also explain a `match` that has not been run.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench.core.config import RunConfig, Scalar
from bench.core.errors import BenchError, nearest
from bench.core.splits import SPLITS
from bench.core.structs import Frozen, to_struct
from bench.core.suite import Suite
from bench.core.yaml import read_yaml

Verified = Literal["paper", "lecture", "secondary", "memory"]
"""Read in the paper itself, in a lecture, in another source that quotes it, or only remembered."""


class PublishedRow(Frozen, frozen=True, kw_only=True):
    """A published number, its source, and the configuration that measures it."""

    label: str
    cite: str | None
    where: str
    metrics: dict[str, int | float]
    """Split -> value; empty if only secondary scores were printed."""
    protocol: str
    """`same` as the card's, or a sentence on the difference."""
    verified: Verified
    match: dict[str, Any] | None
    """Settings of a run that measures the row: dotted key -> value."""
    recipe: str | None = None
    """Recipe of the card under `match` if not that of the model; for a mixture, the recipe of its
    component of that model."""
    why: str | None = None
    """Reason why nothing is measured."""
    beside: dict[str, dict[str, int | float]] = msgspec.field(default_factory=dict)
    """Secondary score -> split -> value printed besides the card's metric, or without it."""

    def secondary_scores(self, split: str) -> dict[str, int | float]:
        """Secondary score -> value on a split."""
        return {name: values[split] for name, values in self.beside.items() if split in values}

    def __post_init__(self) -> None:
        for name in ("label", "cite", "where", "protocol", "recipe", "why"):
            text = getattr(self, name)
            if text is not None and not text.strip():
                raise ValueError(f"{name} is empty")
        if not self.metrics and not self.beside:
            raise ValueError("metrics is empty: give a split and its value")
        _check_values("metrics", self.metrics)
        for name, values in self.beside.items():
            if not values:
                raise ValueError(f"beside: {name} is empty, give a split and its value")
            _check_values(f"beside: {name}", values)
        if self.match is None and self.why is None:
            raise ValueError("match: null needs a why that says why nothing is measured")
        if self.match is not None:
            _check_match(self.match)
        elif self.recipe is not None:
            raise ValueError("recipe: a row without a match is not run, leave it out")


def read_published(path: Path) -> list[PublishedRow]:
    """Read the rows in `path`, in order; raises BenchError naming file, row and key."""
    tree = read_yaml(path)
    for key in tree:
        if key != "rows":
            raise BenchError(f"{path}: unknown key {key!r}, the only one is 'rows'")
    entries = tree.get("rows")
    if not isinstance(entries, list):
        raise BenchError(f"{path}: expected a list under 'rows'")
    rows = [_read_row(entry, f"{path}: row {i}") for i, entry in enumerate(entries, start=1)]
    seen: set[str] = set()
    for row in rows:
        if row.label in seen:
            raise BenchError(f"{path}: label {row.label!r} is given twice, tell the rows apart")
        seen.add(row.label)
    return rows


def load_published(suite: Suite, task: str) -> list[PublishedRow]:
    """Load the published rows of `task`; empty if there is no such file."""
    path = suite.published_path(task)
    return [] if path is None else read_published(path)


def _read_row(entry: Any, where: str) -> PublishedRow:
    if not isinstance(entry, dict):
        raise BenchError(f"{where}: expected keys and values, not {entry!r}")
    if entry.get("label"):
        where = f"{where} ({entry['label']!r})"
    tree = dict(entry)
    if isinstance(tree.get("match"), dict):
        tree["match"] = {
            "model.name" if key == "model" else key: value for key, value in tree["match"].items()
        }
        if len(tree["match"]) < len(entry["match"]):
            raise BenchError(f"{where}: match has both 'model' and 'model.name', keep one of them")
    return to_struct(tree, PublishedRow, where=where)


def _check_values(where: str, values: dict[str, int | float]) -> None:
    for split, value in values.items():
        if split not in SPLITS:
            raise ValueError(f"{where}: {split!r} is not a split, {nearest(split, SPLITS)}")
        if not math.isfinite(value):
            raise ValueError(f"{where}: {split} is {value}, expected a finite number")


def _check_match(match: dict[str, Any]) -> None:
    """Reject keys that no configuration has; options of models and objectives are free."""
    if "model.name" not in match:
        raise ValueError("match names no model")
    parts = {field.name: field for field in msgspec.structs.fields(RunConfig)}
    for key, value in match.items():
        part, _, option = key.partition(".")
        if part not in parts or part in ("task", "seed") or not option:
            known = [name for name in parts if name not in ("task", "seed")]
            raise ValueError(f"match: {key!r} is not PART.OPTION with PART one of {known}")
        struct = parts[part].type
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
            names = struct.__struct_fields__
            if option not in names:
                raise ValueError(f"match: unknown key {key!r}, {nearest(option, names)}")
        if not isinstance(value, Scalar):
            raise ValueError(f"match: {key} is {value!r}, expected one value")
