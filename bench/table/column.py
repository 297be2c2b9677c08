"""A column of a table for people, its notes, and how many decimals a number has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.table.statistics import Measured

UNVERIFIED = "†"
# Decimals where no spread says how many are meaningful; two for any other metric.
_USUAL_DECIMALS = {"perplexity": 1, "bits per character": 3}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its cells as plain text, one for each row of a block."""

    name: str
    cells: list[str]
    kind: Literal["text", "number"]
    best: frozenset[int] = frozenset()
    """The cells that stand out."""

    @property
    def is_number(self) -> bool:
        return self.kind == "number"


class Notes:
    """Numbered notes; the same text has one number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """The mark that refers to `text`: `[1]`."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


def num_decimals(spread: float | None, metric: str) -> int:
    """Decimals that show two significant digits of `spread`; the metric's usual without one."""
    if not spread:
        return _USUAL_DECIMALS.get(metric.replace("-", " ").replace("_", " "), 2)
    exponent = int(f"{spread:.1e}".partition("e")[2])
    return max(0, 1 - exponent)


def mean_std(measured: Measured | None, metric: str) -> str:
    """Mean and spread in the decimals that the spread allows; nothing of nothing."""
    if measured is None:
        return ""
    decimals = num_decimals(measured.std, metric)
    mean = f"{measured.mean:.{decimals}f}"
    return mean if measured.std is None else f"{mean} ± {measured.std:.{decimals}f}"
