"""What can be wrong with an utterance, and what is done about it: refuse, or skip when told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from bench.errors import BenchError
from bench.structs import Frozen

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
OnBad = Literal["refuse", "skip"]
NUM_SHOWN = 3


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
    kinds = Counter(problem.kind for problem in problems)
    counted = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    shown = "; ".join(map(str, problems[:NUM_SHOWN]))
    more = f"; and {len(problems) - NUM_SHOWN} more" if len(problems) > NUM_SHOWN else ""
    plural = "s" if len(problems) > 1 else ""
    return f"{len(problems)} bad utterance{plural} ({counted}): {shown}{more}"


def settle(problems: Sequence[Problem], on_bad: OnBad, *, task: str) -> None:
    """Refuse the corpus for its bad utterances, in one line; with `skip` they are left out."""
    if problems and on_bad == "refuse":
        raise BenchError(
            f"{task}: {summary(problems)}; put the original files in their place, or leave what is "
            "bad out with --data.on-bad skip"
        )
