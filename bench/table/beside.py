"""Columns of what is reported beside the metric: measured, and in brackets what was printed."""

from __future__ import annotations

from collections.abc import Callable

from bench.table.column import BY_SPREAD, UNVERIFIED, Maker, Notes, Rounding, mean_std
from bench.table.rows import Row

# What is reported beside a metric: how it is written, and what a note on it adds.
_NAMES = {
    "cider": ("CIDEr", ""),
    "bleu": ("BLEU", ""),
    **{f"bleu-{n}": (f"BLEU-{n}", "") for n in range(1, 5)},
    "rouge-l": ("ROUGE-L", ""),
    "meteor": ("METEOR", ""),
    "spice": ("SPICE", ""),
    "chrf2": ("chrF2", ""),
    "ter": ("TER", ", lower is better"),
    "cider-plain": ("CIDEr, plain", ""),
    "copies": ("Copies", ", captions that stand in the training data; neither way is better"),
}


def beside_makers(block: list[Row], rounding: Rounding = BY_SPREAD) -> list[Maker]:
    """A column for each signature that was measured beside the metric; a note says which it is.

    What was printed goes by the score's name: it stands in the first of its columns, or in one of
    its own.
    """
    columns: dict[str, str] = {}
    signatures = {name for row in block for name in row.beside}
    printed = {name for row in block for name in row.published_beside}
    found = []
    alone = printed - {signature.partition("|")[0] for signature in signatures}
    for signature in sorted(signatures | alone, key=_place):
        name = signature.partition("|")[0]
        is_first = columns.setdefault(name, signature) == signature
        shown, better = _shown(name)
        note = f"{shown}: signature `{signature}`{better}." if signature in signatures else None
        cell = _cell(signature, name if is_first else None, rounding)
        found.append(Maker(name=name, heading=shown, note=note, cell=cell))
    return found


def _cell(signature: str, printed: str | None, rounding: Rounding) -> Callable[[Row, Notes], str]:
    def cell(row: Row, _: Notes) -> str:
        measured = mean_std(row.beside.get(signature), signature.partition("|")[0], rounding)
        value = row.published_beside.get(printed) if printed else None
        if value is None:
            return measured
        mark = UNVERIFIED if row.verified == "memory" else ""
        return f"{measured} ({value}){mark}".lstrip()

    return cell


def _place(signature: str) -> tuple[int, str]:
    """Known scores in their order, then others by name."""
    known = list(_NAMES)
    name = signature.partition("|")[0]
    return (known.index(name) if name in known else len(known), signature)


def _shown(name: str) -> tuple[str, str]:
    return _NAMES.get(name, (name, ""))
