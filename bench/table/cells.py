"""What stands in the cells of a table for people: rounding, marks, notes."""

from __future__ import annotations

from collections.abc import Callable

from bench.table.column import APART, BY_SPREAD, UNVERIFIED, Maker, Notes, Rounding, mean_std
from bench.table.layout import setting
from bench.table.rows import Row

# Columns of what is reported beside the metric: measured, and in brackets what was printed.


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


def comparison_makers(block: list[Row], rounding: Rounding = BY_SPREAD) -> list[Maker]:
    """Published beside measured."""

    def measured(row: Row, _: Notes) -> str:
        if row.verdict == "bound":
            return f"{row.bound:.{_decimals(row, rounding)}f}"
        mark = APART[row.tested.over] if row.tested and row.tested.is_apart else ""
        return mean_std(row.measured, row.metric, rounding) + mark

    def signed(value: Callable[[Row], float | None]) -> Callable[[Row, Notes], str]:
        return lambda row, _: _signed(value(row), _decimals(row, rounding))

    return [
        Maker(name="model", heading="Model", kind="text", cell=lambda row, _: row.label),
        Maker(name="published", heading="Published", cell=_published),
        Maker(name="measured", heading="Measured", cell=measured, marks="best"),
        Maker(name="n", heading="n", cell=_seeds),
        Maker(name="diverged", heading="Diverged", cell=lambda row, _: str(row.num_diverged or "")),
        Maker(name="difference", heading="Difference", cell=signed(lambda row: row.difference)),
        Maker(name="gap-to-bound", heading="Gap to bound", cell=signed(lambda row: row.excess)),
        *beside_makers(block, rounding),
        Maker(name="verdict", heading="Verdict", kind="text", cell=_verdict),
        Maker(name="protocol", heading="Protocol", kind="text", cell=_protocol),
        Maker(name="source", heading="Source", kind="text", cell=lambda row, _: source(row)),
    ]


def further_makers(rows: list[Row]) -> list[Maker]:
    """Columns that are shown only where they are asked for: the citation, and every setting."""

    def of_setting(key: str) -> Callable[[Row, Notes], str]:
        return lambda row, _: setting(row.config, key)

    keys = sorted({key for row in rows for key in row.config})
    return [
        Maker(name="cite", heading="Cite", kind="text", cell=lambda row, _: row.cite or ""),
        *(Maker(name=key, heading=key, kind="text", cell=of_setting(key)) for key in keys),
    ]


def source(row: Row) -> str:
    """Citation key, place, and where the number was read."""
    if row.where is None:
        return ""
    return f"{row.cite or 'untraced'}, {row.where} ({row.verified})"


def _published(row: Row, _: Notes) -> str:
    if row.published is None:
        return ""
    return f"{row.published}{UNVERIFIED if row.verified == 'memory' else ''}"


def _seeds(row: Row, _: Notes) -> str:
    if row.measured is None:
        return "0" if row.num_diverged else ""
    return str(row.measured.n)


def _signed(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:+.{decimals}f}"


def _verdict(row: Row, notes: Notes) -> str:
    return f"{row.verdict} {notes.mark(row.why)}" if row.why else row.verdict


def _protocol(row: Row, notes: Notes) -> str:
    if row.protocol is None or row.protocol == "same":
        return row.protocol or ""
    return f"differs {notes.mark(row.protocol)}"


def _decimals(row: Row, rounding: Rounding) -> int:
    return rounding.decimals_of(row.measured, row.metric)
