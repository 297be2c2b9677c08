"""What can be wrong with parallel text, and what is done about it: refuse, or skip when told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bench.core.structs import Frozen
from bench.data import problems as corpus_problems
from bench.data.problems import OnBad

Kind = Literal["misaligned", "unreadable", "encoding", "empty", "overlong"]


class Problem(Frozen, frozen=True, kw_only=True):
    """One pair of lines, or with `line` None one pair of files, that cannot be used."""

    split: str
    kind: Kind
    file: str
    line: int | None = None
    """From 1."""
    detail: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}, line {self.line:,}"
        return f"{self.kind}: {where}: {self.detail}"


def summary(problems: Sequence[Problem]) -> str:
    """How many of which kind, and the first few by name, in one line."""
    return corpus_problems.summary(problems, thing="pair")


def settle(problems: Sequence[Problem], on_bad: OnBad, *, task: str) -> None:
    """Refuse the text for its bad pairs, in one line; with `skip` they are left out."""
    corpus_problems.settle(problems, on_bad, task=task, thing="pair")
