"""Which published rows are meant: patterns over labels, models and recipes."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Sequence

from bench.core.cards import Card
from bench.core.errors import BenchError
from bench.core.published import PublishedRow


def select_rows(
    card: Card, rows: Sequence[PublishedRow], patterns: Sequence[str]
) -> list[PublishedRow]:
    """The rows that fit any pattern, in their order; all of them without a pattern.

    A pattern such as `scrn*` is compared with a row's label, its model and its recipe, upper and
    lower case alike. Raises BenchError for one that fits nothing, with the nearest names.
    """
    names = [names_of(card, row) for row in rows]
    for pattern in patterns:
        if not any(_fits(pattern, name) for found in names for name in found):
            raise BenchError(
                f"--rows {pattern!r} fits no published row of {card.task}{_nearest(pattern, names)}"
            )
    return [
        row
        for row, found in zip(rows, names, strict=True)
        if not patterns or any(_fits(pattern, name) for pattern in patterns for name in found)
    ]


def names_of(card: Card, row: PublishedRow) -> list[str]:
    """What a row may be called: its label, its model and the recipe that trains it."""
    model = str(row.match["model.name"]) if row.match else None
    recipe = row.recipe or (model if model in card.recipes else None)
    return list(dict.fromkeys(name for name in (row.label, model, recipe) if name))


def _fits(pattern: str, name: str) -> bool:
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())


def _nearest(pattern: str, names: Sequence[Sequence[str]]) -> str:
    known = {name.lower(): name for found in names for name in found}
    close = difflib.get_close_matches(pattern.lower().strip("*?"), known, n=3, cutoff=0.4)
    hint = " or ".join(repr(known[name]) for name in close)
    return f", did you mean {hint}?" if hint else ": its labels are those of `bench table`"
