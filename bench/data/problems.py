"""What is wrong with a corpus in one line, and what is done about it: refuse, or skip when told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, Protocol

from bench.core.errors import BenchError

OnBad = Literal["refuse", "skip"]
NUM_SHOWN = 3


class Fault(Protocol):
    """One thing that cannot be used; as text it begins with its kind."""

    @property
    def kind(self) -> str:
        """What is wrong with it, in a word or two."""
        ...


def kinds(problems: Sequence[Fault]) -> dict[str, int]:
    """How many of each kind, the commonest first."""
    return dict(Counter(problem.kind for problem in problems).most_common())


def summary(problems: Sequence[Fault], *, thing: str) -> str:
    """How many of which kind, and the first few by name, in one line; `thing` in the singular."""
    counted = ", ".join(f"{number:,} {kind}" for kind, number in kinds(problems).items())
    shown = "; ".join(map(str, problems[:NUM_SHOWN]))
    more = f"; and {len(problems) - NUM_SHOWN:,} more" if len(problems) > NUM_SHOWN else ""
    plural = "s" if len(problems) > 1 else ""
    return f"{len(problems):,} bad {thing}{plural} ({counted}): {shown}{more}"


def settle(problems: Sequence[Fault], on_bad: OnBad, *, task: str, thing: str) -> None:
    """Refuse the corpus for what is bad in it, in one line; with `skip` that is left out."""
    if problems and on_bad == "refuse":
        raise BenchError(
            f"{task}: {summary(problems, thing=thing)}; put the original files in their place, or "
            "leave what is bad out with --data.on-bad skip"
        )
