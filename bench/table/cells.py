"""Columns that compare published and measured values, and columns of the configuration."""

from __future__ import annotations

from collections.abc import Callable

from bench.table.column import (
    DEFAULT_ROUNDING,
    SIGNIFICANCE_MARKS,
    UNVERIFIED_MARK,
    ColumnSpec,
    Footnotes,
    Rounding,
    mean_std,
)
from bench.table.groups import value_text
from bench.table.rows import Row, score_name

Cell = Callable[[Row, Footnotes], str]

_SECONDARY = {
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
"""Secondary score -> its heading and a remark for its footnote, in the order of the columns."""


def comparison_columns(block: list[Row], rounding: Rounding = DEFAULT_ROUNDING) -> list[ColumnSpec]:
    """Published and measured values, their difference, verdict, protocol and source."""

    def decimals(row: Row) -> int:
        return rounding.decimals_of(row.measured, row.metric)

    def measured(row: Row, _: Footnotes) -> str:
        if row.verdict == "bound":
            return f"{row.bound:.{decimals(row)}f}"
        test = row.tested
        mark = SIGNIFICANCE_MARKS[test.over] if test and test.is_significant else ""
        return mean_std(row.measured, row.metric, rounding) + mark

    def signed(value: Callable[[Row], float | None]) -> Cell:
        def cell(row: Row, _: Footnotes) -> str:
            number = value(row)
            return "" if number is None else f"{number:+.{decimals(row)}f}"

        return cell

    return [
        ColumnSpec(key="model", name="Model", kind="text", cell=lambda row, _: row.label),
        ColumnSpec(key="published", name="Published", cell=_published),
        ColumnSpec(key="measured", name="Measured", cell=measured, highlight="best"),
        ColumnSpec(key="n", name="n", cell=_num_seeds),
        ColumnSpec(key="diverged", name="Diverged", cell=lambda r, _: str(r.num_diverged or "")),
        ColumnSpec(key="difference", name="Difference", cell=signed(lambda row: row.difference)),
        ColumnSpec(key="gap-to-bound", name="Gap to bound", cell=signed(lambda row: row.excess)),
        *_secondary_columns(block, rounding),
        ColumnSpec(key="verdict", name="Verdict", kind="text", cell=_verdict),
        ColumnSpec(key="protocol", name="Protocol", kind="text", cell=_protocol),
        ColumnSpec(key="source", name="Source", kind="text", cell=lambda row, _: source(row)),
    ]


def _secondary_columns(block: list[Row], rounding: Rounding) -> list[ColumnSpec]:
    """One column per signature of a secondary score; a footnote gives the signature.

    A published value has no signature: it stands in brackets in the first column of its score, or
    in a column of its own.
    """
    signatures = {signature for row in block for signature in row.beside}
    published = {name for row in block for name in row.published_beside}
    unmeasured = published - set(map(score_name, signatures))
    order = list(_SECONDARY)

    def position(signature: str) -> tuple[int, str]:
        score = score_name(signature)
        return (order.index(score) if score in order else len(order), signature)

    specs: list[ColumnSpec] = []
    for signature in sorted(signatures | unmeasured, key=position):
        score = score_name(signature)
        name, remark = _SECONDARY.get(score, (score, ""))
        note = f"{name}: signature `{signature}`{remark}." if signature in signatures else None
        is_first = all(spec.key != score for spec in specs)
        cell = _secondary_cell(signature, score if is_first else None, rounding)
        specs.append(ColumnSpec(key=score, name=name, note=note, cell=cell))
    return specs


def _secondary_cell(signature: str, published: str | None, rounding: Rounding) -> Cell:
    def cell(row: Row, _: Footnotes) -> str:
        measured = mean_std(row.beside.get(signature), score_name(signature), rounding)
        value = row.published_beside.get(published) if published else None
        return measured if value is None else f"{measured} ({value}){_unverified(row)}".lstrip()

    return cell


def extra_columns(rows: list[Row]) -> list[ColumnSpec]:
    """Columns shown only on request: the citation key, and one for each setting."""

    def setting(key: str) -> ColumnSpec:
        return ColumnSpec(
            key=key, name=key, kind="text", cell=lambda row, _: value_text(row.config.get(key, ""))
        )

    keys = sorted({key for row in rows for key in row.config})
    cite = ColumnSpec(key="cite", name="Cite", kind="text", cell=lambda row, _: row.cite or "")
    return [cite, *map(setting, keys)]


def source(row: Row) -> str:
    """Citation key, place in the work, and where the number was read."""
    return "" if row.where is None else f"{row.cite or 'untraced'}, {row.where} ({row.verified})"


def _published(row: Row, _: Footnotes) -> str:
    return "" if row.published is None else f"{row.published}{_unverified(row)}"


def _unverified(row: Row) -> str:
    return UNVERIFIED_MARK if row.verified == "memory" else ""


def _num_seeds(row: Row, _: Footnotes) -> str:
    if row.measured is None:
        return "0" if row.num_diverged else ""
    return str(row.measured.n)


def _verdict(row: Row, notes: Footnotes) -> str:
    return f"{row.verdict} {notes.mark(row.why)}" if row.why else row.verdict


def _protocol(row: Row, notes: Footnotes) -> str:
    if row.protocol is None or row.protocol == "same":
        return row.protocol or ""
    return f"differs {notes.mark(row.protocol)}"
