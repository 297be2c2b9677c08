"""Numbers as people write budgets: 2.8M, 1e15, 2h."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from bench.core.errors import BenchError

COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12, "P": 10**15}
SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}
_QUANTITY = re.compile(
    r"(?P<number>[0-9][0-9_]*\.?[0-9]*(?:[eE][-+]?[0-9]+)?) ?(?P<unit>[a-zA-Z]*)"
)


def count(value: object, *, where: str) -> int:
    """A whole number: 2800000, 2.8e6 or 2.8M; `where` begins the message when it is none."""
    amount = _read(value, COUNTS, where)
    if amount.denominator != 1:
        raise BenchError(f"{where}: expected a whole number, not {value!r}")
    return int(amount)


def amount(value: object, *, where: str) -> float:
    """A number such as 1e15 or 1P."""
    return float(_read(value, COUNTS, where))


def seconds(value: object, *, where: str) -> float:
    """A time: 7200 seconds, 120min or 2h."""
    return float(_read(value, SECONDS, where))


def _read(value: object, units: Mapping[str, int], where: str) -> Fraction:
    found = None if isinstance(value, bool) else _QUANTITY.fullmatch(str(value))
    if found is None or found["unit"] not in units:
        examples = "1000, 1e6" + "".join(f", 2{unit}" for unit in units if unit)
        raise BenchError(f"{where}: expected a number such as {examples}, not {value!r}")
    result = Fraction(found["number"].replace("_", "")) * units[found["unit"]]
    if result <= 0:
        raise BenchError(f"{where}: expected a number above 0, not {value!r}")
    return result
