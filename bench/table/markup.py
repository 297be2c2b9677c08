"""Sections of columns as Markdown, LaTeX and text for a terminal."""

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


# What a narrow terminal can do without, the first first.
_DISPENSABLE = (
    "Details", "Runs", "Source", "Protocol", "Gap to bound", "g", "Resolves", "TFLOP", "Memory",
    "Of limit",
)  # fmt: skip
_READABLE_NAME = 28
# A longer text is broken into lines of a LaTeX column that has a width.
_LONGEST_UNBROKEN = 40
_NARROWEST_NAME = 12


@dataclass(frozen=True, kw_only=True)
class Section:
    """Columns of equal length under a title."""

    title: str
    columns: list[Column]
    headings: dict[int, str] = field(default_factory=dict)
    """Place of a row -> the name of the group that begins there."""

    def lines(self, write: Callable[[Column, str], str], best: str) -> list[list[str]]:
        """The cells line by line, each put through `write`; the best ones fill `{}` in `best`."""
        written = [
            [
                best.replace("{}", write(column, cell)) if i in column.best else write(column, cell)
                for i, cell in enumerate(column.cells)
            ]
            for column in self.columns
        ]
        return [list(line) for line in zip(*written, strict=True)]


def as_markdown(sections: list[Section], legend: list[str]) -> str:
    """Pipe tables whose pipes stand under one another, and the legend as a list."""
    parts = []
    for section in sections:
        lines = section.lines(lambda _, cell: escape_markdown(cell), best="**{}**")
        for place, name in reversed(section.headings.items()):
            lines.insert(place, [f"*{escape_markdown(name)}*", *[""] * (len(section.columns) - 1)])
        widths = [
            max(3, len(column.name), *(len(line[i]) for line in lines))
            for i, column in enumerate(section.columns)
        ]
        rules = [
            "-" * (width - 1) + (":" if column.is_number else "-")
            for column, width in zip(section.columns, widths, strict=True)
        ]
        table = [[column.name for column in section.columns], rules, *lines]
        rows = [f"| {' | '.join(_justified(line, section.columns, widths))} |" for line in table]
        parts.append(_sentence(section.title) + "\n\n" + "\n".join(rows) + "\n")
    if legend:
        parts.append("".join(f"- {line}\n" for line in legend))
    return "\n".join(parts)


def as_latex(sections: list[Section], legend: list[str], *, title: str, label: str) -> str:
    """A float for each section, for the package booktabs; the legend stands under the last."""
    parts = []
    for number, section in enumerate(sections, start=1):
        header = " & ".join(escape_latex(column.name) for column in section.columns)
        cells = section.lines(_latex_cell, best=r"\textbf{{}}")
        lines = [" & ".join(line) + r" \\" for line in cells]
        for place, name in reversed(section.headings.items()):
            emphasised = rf"\emph{{{escape_latex(name)}}}"
            heading = rf"\multicolumn{{{len(section.columns)}}}{{l}}{{{emphasised}}} \\"
            lines[place:place] = [*([r"\midrule"] if place else []), heading]
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


def as_text(sections: list[Section], legend: list[str], *, title: str, width: int | None) -> str:
    """Aligned columns; where `width` is given, nothing is wider as long as a name can give way."""
    parts = [_wrap(title, width)]
    dropped: list[str] = []
    for section in sections:
        columns = _fitting([_starred(column) for column in section.columns], width)
        kept = {column.name for column in columns}
        dropped += [c.name for c in section.columns if c.name not in kept and c.name not in dropped]
        parts.append(
            f"{_wrap(_sentence(section.title), width)}\n\n{_grid(columns, section.headings, width)}"
        )
    notes = [f"Not shown at this width: {', '.join(dropped)}."] if dropped else []
    parts.append("\n".join(_wrap(line, width) for line in (*legend, *notes)))
    return "\n\n".join(part for part in parts if part) + "\n"


def escape_latex(text: str) -> str:
    """`text` with every special character made ordinary; what stands in backquotes as code."""
    escaped = "".join(_LATEX.get(character, character) for character in text)
    # A signature has no blanks: it may be broken behind each of its parts.
    return re.sub(
        r"`([^`]*)`",
        lambda found: rf"\texttt{{{found[1]}}}".replace(r"\textbar{}", r"\textbar\allowbreak{}"),
        escaped,
    )


def escape_markdown(text: str) -> str:
    """`text` with the characters that would be read as markup or end a cell made ordinary."""
    return re.sub(r"([\\|*<`])", r"\\\1", text)


def _fitting(columns: list[Column], width: int | None) -> list[Column]:
    """The columns without the least needed ones that a narrow terminal has no room for."""
    kept = list(columns)
    for dispensable in _DISPENSABLE:
        name, *others = map(_width, kept)
        if width is not None and min(name, _READABLE_NAME) + sum(others) + 2 * len(others) > width:
            kept = [column for column in kept if column.name != dispensable]
    return kept


def _starred(column: Column) -> Column:
    """The column with a star behind its best cells; the digits stay under one another."""
    if not column.best:
        return column
    cells = [f"{cell}{' *' if i in column.best else '  '}" for i, cell in enumerate(column.cells)]
    return replace(column, cells=cells)


def _grid(columns: list[Column], headings: dict[int, str], width: int | None) -> str:
    """Aligned lines under a rule; the first column is wrapped into the room that others leave."""
    widths = [_width(column) for column in columns]
    if width is not None:
        widths[0] = max(
            _NARROWEST_NAME, min(widths[0], width - sum(widths[1:]) - 2 * len(widths[1:]))
        )

    def written(line: list[str]) -> str:
        return "  ".join(_justified(line, columns, widths)).rstrip()

    lines = [written([column.name for column in columns]), written(["-" * w for w in widths])]
    for place, (name, *cells) in enumerate(zip(*(c.cells for c in columns), strict=True)):
        if place in headings:
            lines += ["", headings[place]]
        first, *more = textwrap.wrap(name, widths[0]) or [""]
        lines.append(written([first, *cells]))
        lines += [written([part, *([""] * len(cells))]) for part in more]
    return "\n".join(lines)


def _width(column: Column) -> int:
    return max(len(column.name), *map(len, column.cells))


def _wrap(text: str, width: int | None) -> str:
    return text if width is None else textwrap.fill(text, width)


def _justified(line: list[str], columns: list[Column], widths: list[int]) -> list[str]:
    return [
        cell.rjust(width) if column.is_number else cell.ljust(width)
        for cell, column, width in zip(line, columns, widths, strict=True)
    ]


def _latex_alignment(column: Column) -> str:
    if column.is_number:
        return "r"
    return r"p{.35\linewidth}" if _width(column) > _LONGEST_UNBROKEN else "l"


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
