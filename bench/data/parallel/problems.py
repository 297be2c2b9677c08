"""What can be wrong with parallel text, and what is done about it: refuse, or skip when told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from bench.errors import BenchError
from bench.structs import Frozen

Kind = Literal["misaligned", "unreadable", "encoding", "empty", "overlong"]
OnBad = Literal["refuse", "skip"]
NUM_SHOWN = 3


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
    counted = ", ".join(f"{number:,} {kind}" for kind, number in kinds(problems).items())
    shown = "; ".join(map(str, problems[:NUM_SHOWN]))
    more = f"; and {len(problems) - NUM_SHOWN:,} more" if len(problems) > NUM_SHOWN else ""
    plural = "s" if len(problems) > 1 else ""
    return f"{len(problems):,} bad pair{plural} ({counted}): {shown}{more}"


def kinds(problems: Sequence[Problem]) -> dict[str, int]:
    """How many of each kind, the commonest first."""
    return dict(Counter(problem.kind for problem in problems).most_common())


def settle(problems: Sequence[Problem], on_bad: OnBad, *, task: str) -> None:
    """Refuse the text for its bad pairs, in one line; with `skip` they are left out."""
    if problems and on_bad == "refuse":
        raise BenchError(
            f"{task}: {summary(problems)}; put the original files in their place, or leave what is "
            "bad out with --data.on-bad skip"
        )
