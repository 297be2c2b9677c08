"""What can be wrong with an utterance, and what is done about it: refuse, or skip when told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bench.core.structs import Frozen
from bench.data import problems as corpus_problems
from bench.data.problems import OnBad

Kind = Literal[
    "no audio",
    "no transcript",
    "bad transcript",
    "unknown word",
    "unknown phone",
    "unreadable",
    "empty",
    "silent",
    "truncated",
    "clipped",
    "compressed",
    "encoding",
    "byte order",
    "wrong rate",
    "not mono",
    "too short",
]


class Problem(Frozen, frozen=True, kw_only=True):
    """One utterance that cannot be used; `detail` begins with the file at fault."""

    utterance: str
    split: str | None = None
    """None for a recording that belongs to none."""
    kind: Kind
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class UnusableError(Exception):
    """Why an utterance cannot be used."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind: Kind = kind
        self.detail = detail


def summary(problems: Sequence[Problem]) -> str:
    """How many of which kind, and the first few by name, in one line."""
    return corpus_problems.summary(problems, thing="utterance")


def settle(problems: Sequence[Problem], on_bad: OnBad, *, task: str) -> None:
    """Refuse the corpus for its bad utterances, in one line; with `skip` they are left out."""
    corpus_problems.settle(problems, on_bad, task=task, thing="utterance")
