"""`bench list`: what there is to run and what has been run."""

from __future__ import annotations

import ast
import importlib.util
from collections import Counter
from pathlib import Path
from typing import Literal

from bench.core.aligned import aligned
from bench.core.record import Record
from bench.core.suite import Suite
from bench.domains import all_baselines
from bench.models import MODELS


def list_things(
    what: Literal["tasks", "models", "runs"], *, task: str | None = None, suite: Path = Path()
) -> None:
    """List tasks, models or finished runs.

    Names are what the other commands take.

        bench list tasks
        bench list models
        bench list runs --task ptb

    Parameters
    ----------
    what
        tasks, models or runs.
    task
        Of `runs`: only those of this task.
    suite
        Folder with further `tasks/` and with `results/`.
    """
    place = Suite.at(suite)
    if what == "tasks":
        print(_tasks(place))
    elif what == "models":
        print(_models())
    else:
        print(_runs(place, task))


def _tasks(suite: Suite) -> str:
    """Every card: name, objective, metric, title."""
    rows = [
        (card.task, card.objective, f"{card.metric.name} ({card.metric.direction})", card.title)
        for card in suite.cards()
    ]
    return aligned(("task", "objective", "metric", "what"), rows)


def _models() -> str:
    """Every architecture and baseline with the first line of its file."""
    kinds = {"recurrence": MODELS, "baseline": all_baselines()}
    shared = Counter(t.partition(":")[0] for targets in kinds.values() for t in targets.values())
    rows = [
        (name, kind, _headline(target, shared))
        for kind, targets in kinds.items()
        for name, target in targets.items()
    ]
    return aligned(("model", "kind", "what"), rows)


def _runs(suite: Suite, task: str | None = None) -> str:
    """Every record: name, task, metric on validation and test, when."""
    names = [suite.card(task).task] if task else list(suite.card_paths())
    records = [record for name in names for record in suite.records(name)]
    if not records:
        return "no runs yet: bench run --task synthetic-text --model scrn"
    return aligned(("run", "task", "metric", "valid", "test", "finished"), list(map(_row, records)))


def _row(record: Record) -> tuple[str, ...]:
    values = [record.metrics.get(split) for split in ("valid", "test")]
    shown = [record.status if value is None else f"{value:.4g}" for value in values]
    return (record.id, record.task, record.metric, *shown, record.finished)


def _headline(target: str, shared: Counter[str]) -> str:
    """First line of the docstring of a module, of its class where others share the module.

    Read without importing the module.
    """
    module, _, name = target.partition(":")
    package = importlib.util.find_spec(module.rpartition(".")[0])
    if package is None or not package.submodule_search_locations:
        return ""
    path = Path(package.submodule_search_locations[0]) / f"{module.rpartition('.')[2]}.py"
    if not path.is_file():
        return "(not installed)"
    node: ast.Module | ast.ClassDef = ast.parse(path.read_text(encoding="utf-8"))
    if shared[module] > 1:
        classes = [part for part in node.body if isinstance(part, ast.ClassDef)]
        node = next(part for part in classes if part.name == name)
    return (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".")
