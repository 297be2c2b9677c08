"""Published rows: what papers printed, read strictly from `results/<task>/published.yaml`.

    rows:
      - label: SCRN, 100 hidden, 40 context
        cite: mikolov2014longer        # key in results/references.bib; null where none was traced
        where: Table 2
        metrics: {test: 115}           # as printed: its digits are its precision
        protocol: same                 # or what differs from the card's protocol
        beside: {bleu-1: {test: 63}}   # optional: other scores of the same outputs, by name
        verified: lecture              # where the number was read, see `Verified`
        match: {model: scrn, model.hidden_size: 100, model.context_size: 40}
        recipe: scrn                   # optional: what `bench reproduce` trains it by

A run whose configuration contains `match` measures the row. `match: null` says that nothing
does, and `why` says why; `why` may also stand beside a `match` that has not been run.
"""

from __future__ import annotations

import math
import re
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
    """One number of a paper, with where it stands and which configuration measures it."""

    label: str
    cite: str | None
    where: str
    metrics: dict[str, int | float]
    """Split -> value; empty where only other scores were printed."""
    protocol: str
    """`same` as the card's, or a sentence on what differs."""
    verified: Verified
    match: dict[str, Any] | None
    """Dotted keys of a run's configuration -> values."""
    recipe: str | None = None
    """The card's recipe under `match`, where it is not that of the model; of a mixture, that of
    its component of the recipe's model."""
    why: str | None = None
    """Why nothing is measured."""
    beside: dict[str, dict[str, int | float]] = msgspec.field(default_factory=dict)
    """Score -> split -> value of what was printed beside the card's metric, or without it."""

    def beside_of(self, split: str) -> dict[str, int | float]:
        """Score -> value on a split."""
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
    """The rows in `path`, in its order; raises BenchError naming file, row and key."""
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
    """The published rows of `task`; none where nobody wrote some down."""
    path = suite.published_path(task)
    return [] if path is None else read_published(path)


def read_citation_keys(path: Path) -> list[str]:
    """The keys of the entries in a BibTeX file, in its order."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"^@(?!comment|string|preamble)\w+\{([^,\s]+),", text, re.M | re.I)


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
    """Refuse keys that no configuration has; options of models and objectives are free."""
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
