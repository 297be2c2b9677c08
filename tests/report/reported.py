"""Working folder of a report: synthetic runs, a sweep and diagnoses."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
from record_tree import write_tree

from bench.core.record import Record, write_record
from bench.core.suite import Suite
from bench.sweep.definition import Budget, Sweep
from bench.sweep.dimension import Choice, FloatRange
from bench.sweep.outcome import summarise, write_result
from bench.sweep.trial import TrialResult
from bench.text.diagnoses import Diagnosis, diagnosis_path, write_diagnosis

TASK = "toy"
NUM_RUNS = 100
PROTOCOL = "One stream a split."


def make_suite(folder: Path, *, num_runs: int = NUM_RUNS) -> Suite:
    """Runs, a sweep and two diagnoses of the task `toy`."""
    suite = write_tree(folder, num_runs)
    card = folder / "tasks" / f"{TASK}.yaml"
    card.write_text(card.read_text().replace("protocol: ''", f"protocol: {PROTOCOL}"))
    records = suite.records(TASK)
    for record in records[:2]:
        write_diagnosis(diagnosis_path(suite, record), diagnosis(record))
    sweep = Sweep(
        name="toy-sweep",
        task=TASK,
        models=["srn", "lstm"],
        space={
            "optim.lr": FloatRange(low=0.001, high=0.1, log=True),
            "objective.output": Choice(choices=["full", "classes"]),
        },
        budget=Budget(trials=6),
    )
    write_result(summarise(sweep, suite.card(TASK), list(trials())), suite)
    return suite


def trials() -> Iterator[TrialResult]:
    """Six trials of each model."""
    for model, worse in (("srn", 20.0), ("lstm", 0.0)):
        for number in range(6):
            yield TrialResult(
                number=number,
                model=model,
                chosen={
                    "optim.lr": 0.001 * 2**number,
                    "objective.output": ("full", "classes")[number % 2],
                },
                status="finished",
                value=150.0 + worse - 3 * number,
                seconds=60.0,
                flops=1e12,
            )


def diagnosis(record: Record) -> Diagnosis:
    """A gradient that vanishes, and a metric that longer histories improve."""
    return Diagnosis(
        run=record.id,
        metric="perplexity",
        hidden_gradient=[0.9**k for k in range(30)],
        input_gradient=[0.8**k for k in range(30)],
        state_gradients=[],
        jacobian=None,
        recurrent_matrices={},
        clipped_share=None,
        context={1: 200.0, 5: 150.0, 20: 120.0},
        whole_context=119.5,
        num_positions=10,
    )


def add_run(suite: Suite, *, seed: int) -> Record:
    """One more seed of the first configuration."""
    first = suite.records(TASK)[0]
    record = msgspec.structs.replace(first, id=f"{first.id.rpartition('-s')[0]}-s{seed}", seed=seed)
    write_record(record, suite.record_path(TASK, record.id).parent)
    return record


class Rows(HTMLParser):
    """The cells of a page's tables by the name of the table: text without the marks of notes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._table: list[list[str]] | None = None
        self._cell: list[str] | None = None
        self._skipped = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "table" and "rows" in (named.get("class") or "").split():
            self._table = self.tables.setdefault(str(named["id"]), [])
        elif self._table is not None and tag == "tr":
            is_line = "line" in (named.get("class") or "").split()
            self._table.append([]) if is_line else None
        elif self._table is not None and "data-column" in named and tag in ("td", "th"):
            self._cell = []
        elif tag == "a" and named.get("class") == "mark":
            self._skipped += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._table = None
        elif tag == "a" and self._skipped:
            self._skipped -= 1
        elif tag in ("td", "th") and self._table is not None and self._cell is not None:
            self._table[-1].append("".join(self._cell).strip())
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None and not self._skipped:
            self._cell.append(data)


def markdown_tables(text: str) -> list[list[list[str]]]:
    """The cells of the pipe tables of `bench table`, without its marks for bold and for notes."""
    tables: list[list[list[str]]] = []
    for lines in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines.splitlines()]
        tables.append([[_plain(cell) for cell in row] for row in rows[2:]])
    return tables


def _plain(cell: str) -> str:
    text = re.sub(r"\\([\\|*<`])", r"\1", cell.strip().replace("**", ""))
    return html.unescape(re.sub(r" ?\[\d+\]", "", text))
