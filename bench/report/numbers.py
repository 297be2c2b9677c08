"""Numbers, sizes and settings as a page writes them; those of tables come from `bench.table`."""

from __future__ import annotations

import math
import re
from typing import Any


def short(value: float | None, digits: int = 4) -> str:
    """Four significant digits, with thousands marked off: 104.9, 2,438,100, 1.432."""
    if value is None:
        return ""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    if not math.isfinite(value):
        return str(value)
    size = math.floor(math.log10(abs(value))) if value else 0
    if size < -4 or size >= 15:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def duration(seconds: float | None) -> str:
    """48 s, 12.3 min, 5.2 h."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size(num_bytes: float | None) -> str:
    """684 MB, 25.3 GB."""
    if num_bytes is None:
        return ""
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes < 1e10 else f"{num_bytes / 1e9:,.1f} GB"


def written(value: Any) -> str:
    """A setting as YAML and the command line write it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def split_label(label: str) -> tuple[str, str]:
    """The name in a row's label, and the settings that follow it, long fractions shortened.

    `SRN, 100 hidden; optim.lr=0.1`, `srn, hidden_size=100` and `large (srn, hidden_size=900)` are
    `SRN, 100 hidden`, `srn` and `large`, each with the rest.
    """
    found = re.fullmatch(r"(.+?)(?:; (.*)| \((\w+, .*=.*)\)(?:; (.*))?|, ((?:[\w.]+=).*))", label)
    if found is None:
        return label, ""
    settings = "; ".join(part for part in found.groups()[1:] if part)
    return found[1], re.sub(r"\d+\.\d{5,}(?:e-?\d+)?", lambda m: f"{float(m[0]):.3g}", settings)


def cut(text: str, length: int) -> str:
    """At most `length` characters, with a sign that something is missing."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip(' ,;')}…"


def day(moment: str) -> str:
    """The day of a time in ISO form."""
    return moment[:10]


def plural(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
