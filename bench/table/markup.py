"""Sections of columns as Markdown, LaTeX and plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bench.table.column import Column

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$",
    "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "§": r"$^{\S}$", "≥": r"$\geq$",
}  # fmt: skip
_DISPENSABLE = (
    "Details", "Runs", "Source", "Protocol", "Gap to bound", "g", "Resolves", "TFLOP", "Memory",
    "Of limit",
)  # fmt: skip
"""Columns to drop on a narrow terminal, in this order."""
_MAX_UNBROKEN = 40
"""Longest text, in characters, of a LaTeX column without a width."""
_READABLE_NAME, _MIN_NAME = 28, 12
"""Widths of the first column of text: wanted before columns are dropped, and least."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """Columns of equal length under a title."""

    title: str
    columns: list[Column]
    headings: dict[int, str] = field(default_factory=dict)
    """Index of a row -> name of the group that begins there."""

    def lines(self, write: Callable[[Column, str], str], best: str) -> list[list[str]]:
        """Cells line by line, converted by `write`; the best ones replace `{}` in `best`."""
        converted = [
            [
                (best if i in column.best else "{}").replace("{}", write(column, cell))
                for i, cell in enumerate(column.cells)
            ]
            for column in self.columns
        ]
        return [list(line) for line in zip(*converted, strict=True)]


def to_markdown(sections: list[Section], legend: list[str]) -> str:
    """Aligned pipe tables, and the legend as a list."""
    parts = []
    for section in sections:
        lines = section.lines(lambda _, cell: escape_markdown(cell), best="**{}**")
        for i, name in reversed(section.headings.items()):
            lines.insert(i, [f"*{escape_markdown(name)}*", *[""] * (len(section.columns) - 1)])
        widths = [
            max(3, len(column.name), *(len(line[i]) for line in lines))
            for i, column in enumerate(section.columns)
        ]
        rules = [
            "-" * (width - 1) + (":" if column.is_number else "-")
            for column, width in zip(section.columns, widths, strict=True)
        ]
        table = [[column.name for column in section.columns], rules, *lines]
        rows = [f"| {' | '.join(_justify(line, section.columns, widths))} |" for line in table]
        parts.append(_sentence(section.title) + "\n\n" + "\n".join(rows) + "\n")
    if legend:
        parts.append("".join(f"- {line}\n" for line in legend))
    return "\n".join(parts)


def to_latex(sections: list[Section], legend: list[str], *, title: str, label: str) -> str:
    """One float per section, for the package booktabs; the legend stands under the last."""
    parts = []
    for number, section in enumerate(sections, start=1):
        header = " & ".join(escape_latex(column.name) for column in section.columns)
        cells = section.lines(_latex_cell, best=r"\textbf{{}}")
        lines = [_shield(" & ".join(line)) + r" \\" for line in cells]
        for i, name in reversed(section.headings.items()):
            emphasised = rf"\emph{{{escape_latex(name)}}}"
            heading = rf"\multicolumn{{{len(section.columns)}}}{{l}}{{{emphasised}}} \\"
            lines[i:i] = [*([r"\midrule"] if i else []), heading]
        alignment = "".join(map(_latex_alignment, section.columns))
        notes = legend if section is sections[-1] else []
        parts += [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escape_latex(title)}: {escape_latex(section.title)}.}}",
            rf"\label{{tab:{label}-{number}}}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            rf"{header} \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\footnotesize {escape_latex(note)}" for note in notes),
            r"\end{table}",
        ]
    return "\n".join(parts) + "\n"


def to_text(sections: list[Section], legend: list[str], *, title: str, width: int | None) -> str:
    """Aligned columns, fitted into `width` characters if given by dropping columns and wrapping."""
    parts = [_wrap(title, width)]
    dropped: list[str] = []
    for section in sections:
        columns = _fit_width([_star_best(column) for column in section.columns], width)
        kept = {column.name for column in columns}
        dropped += [c.name for c in section.columns if c.name not in kept and c.name not in dropped]
        parts.append(_wrap(_sentence(section.title), width))
        parts.append(_grid(columns, section.headings, width))
    notes = [f"Not shown at this width: {', '.join(dropped)}."] if dropped else []
    parts.append("\n".join(_wrap(line, width) for line in (*legend, *notes)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _shield(row: str) -> str:
    """Row whose beginning is not taken for an argument of the line end before it."""
    return "{}" + row if row.startswith(("[", "*")) else row


def escape_latex(text: str) -> str:
    """Escape special characters; text in backquotes becomes code, white space a blank."""
    text = " ".join(text.split())
    escaped = "".join(_LATEX.get(character, character) for character in text)
    # A signature has no blanks: allow a line break after each of its parts.
    return re.sub(
        r"`([^`]*)`",
        lambda found: rf"\texttt{{{found[1]}}}".replace(r"\textbar{}", r"\textbar\allowbreak{}"),
        escaped,
    )


def escape_markdown(text: str) -> str:
    """Escape characters that would be markup or end a cell."""
    return re.sub(r"([\\|*<`])", r"\\\1", re.sub(r"[\r\n]+", " ", text))


def _fit_width(columns: list[Column], width: int | None) -> list[Column]:
    """Drop dispensable columns until the rest fits into `width`."""
    kept = list(columns)
    for dispensable in _DISPENSABLE:
        name, *others = map(_width, kept)
        if width is not None and min(name, _READABLE_NAME) + sum(others) + 2 * len(others) > width:
            kept = [column for column in kept if column.name != dispensable]
    return kept


def _star_best(column: Column) -> Column:
    """Append a star to the best cells and blanks to the others, so that digits stay aligned."""
    if not column.best:
        return column
    cells = [f"{cell}{' *' if i in column.best else '  '}" for i, cell in enumerate(column.cells)]
    return replace(column, cells=cells)


def _grid(columns: list[Column], headings: dict[int, str], width: int | None) -> str:
    """Aligned lines under a rule; the first column wraps into the room that others leave."""
    widths = [_width(column) for column in columns]
    if width is not None:
        room = width - sum(widths[1:]) - 2 * len(widths[1:])
        widths[0] = max(_MIN_NAME, min(widths[0], room))

    def joined(line: list[str]) -> str:
        return "  ".join(_justify(line, columns, widths)).rstrip()

    lines = [joined([column.name for column in columns]), joined(["-" * w for w in widths])]
    for i, (name, *cells) in enumerate(zip(*(c.cells for c in columns), strict=True)):
        if i in headings:
            lines += ["", headings[i]]
        first, *more = textwrap.wrap(name, widths[0]) or [""]
        lines.append(joined([first, *cells]))
        lines += [joined([part, *([""] * len(cells))]) for part in more]
    return "\n".join(lines)


def _width(column: Column) -> int:
    return max(len(column.name), *map(len, column.cells))


def _wrap(text: str, width: int | None) -> str:
    return text if width is None else textwrap.fill(text, width)


def _justify(line: list[str], columns: list[Column], widths: list[int]) -> list[str]:
    return [
        cell.rjust(width) if column.is_number else cell.ljust(width)
        for cell, column, width in zip(line, columns, widths, strict=True)
    ]


def _latex_alignment(column: Column) -> str:
    if column.is_number:
        return "r"
    return r"p{.35\linewidth}" if _width(column) > _MAX_UNBROKEN else "l"


def _latex_cell(column: Column, cell: str) -> str:
    if column.name == "Cite" and cell:
        return rf"\cite{{{cell}}}"
    if column.name == "Source":
        key, comma, place = cell.partition(", ")
        cited = rf"\cite{{{key}}}" if comma and key != "untraced" else escape_latex(key)
        return cited + comma + escape_latex(place)
    if column.is_number and re.match(r"[+-]\d", cell):
        return f"${cell}$"
    return escape_latex(cell)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
