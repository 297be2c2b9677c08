"""Sections of columns as Markdown, LaTeX and text for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.table.column import Column

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$",
    "†": r"\textsuperscript{\textdagger}", "≥": r"$\geq$",
}  # fmt: skip


# What a narrow terminal can do without, the first first.
_DISPENSABLE = ("Details", "Runs", "Source", "Protocol", "Gap to bound", "g", "Resolves")
_READABLE_NAME = 28
_NARROWEST_NAME = 12


@dataclass(frozen=True, kw_only=True)
class Section:
    """Columns of equal length under a title."""

    title: str
    columns: list[Column]

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
        alignment = "".join("r" if column.is_number else "l" for column in section.columns)
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
        parts.append(f"{_wrap(_sentence(section.title), width)}\n\n{_grid(columns, width)}")
    notes = [f"Not shown at this width: {', '.join(dropped)}."] if dropped else []
    parts.append("\n".join(_wrap(line, width) for line in (*legend, *notes)))
    return "\n\n".join(part for part in parts if part) + "\n"


def escape_latex(text: str) -> str:
    """`text` with every special character made ordinary; what stands in backquotes as code."""
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", escaped)


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


def _grid(columns: list[Column], width: int | None) -> str:
    """Aligned lines under a rule; the first column is wrapped into the room that others leave."""
    widths = [_width(column) for column in columns]
    if width is not None:
        widths[0] = max(
            _NARROWEST_NAME, min(widths[0], width - sum(widths[1:]) - 2 * len(widths[1:]))
        )
    lines = [[column.name for column in columns], ["-" * w for w in widths]]
    for name, *cells in zip(*(column.cells for column in columns), strict=True):
        first, *more = textwrap.wrap(name, widths[0]) or [""]
        lines.append([first, *cells])
        lines += [[part, *([""] * len(cells))] for part in more]
    return "\n".join("  ".join(_justified(line, columns, widths)).rstrip() for line in lines)


def _width(column: Column) -> int:
    return max(len(column.name), *map(len, column.cells))


def _wrap(text: str, width: int | None) -> str:
    return text if width is None else textwrap.fill(text, width)


def _justified(line: list[str], columns: list[Column], widths: list[int]) -> list[str]:
    return [
        cell.rjust(width) if column.is_number else cell.ljust(width)
        for cell, column, width in zip(line, columns, widths, strict=True)
    ]


def _latex_cell(column: Column, cell: str) -> str:
    if column.name == "Source":
        key, comma, place = cell.partition(", ")
        cited = rf"\cite{{{key}}}" if comma and key != "untraced" else escape_latex(key)
        return cited + comma + escape_latex(place)
    if column.is_number and re.match(r"[+-]\d", cell):
        return f"${cell}$"
    return escape_latex(cell)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
