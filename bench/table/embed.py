"""Tables inside documents, and the bibliography of a table.

A document marks the place of a table, which is then filled from the records:

    <!-- table: ptb -->
    ... the measured rows, as Markdown ...
    <!-- end of table -->

Options after the task: `published` for the measured published rows alone, `columns` with the names
of columns: `<!-- table: flickr8k, published, columns model cider n -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.core.errors import BenchError, nearest
from bench.core.record import write_atomically
from bench.core.suite import Suite
from bench.table.build import Table, measured_rows, published_rows
from bench.table.formats import render
from bench.table.layout import DEFAULT_LAYOUT, Layout

_PLACE = re.compile(
    r"(?P<begin><!-- table: (?P<task>[\w-]+)(?P<options>(?:, [^\n]*?)?) -->\n).*?"
    r"(?P<end><!-- end of table -->)",
    re.S,
)
_ENTRY = re.compile(r"^@(?!comment|string|preamble)\w+\{([^,\s]+),", re.M | re.I)


def update_tables(path: Path, suite: Suite) -> None:
    """Update the tables inside the file `path` from the records."""
    from bench.table import task_table

    text = path.read_text(encoding="utf-8")
    tables = {task: task_table(suite, task) for task in embedded_tasks(text)}
    new = fill_tables(text, tables)
    if new != text:
        write_atomically(path, new.encode())


def embedded_tasks(text: str) -> list[str]:
    """Tasks whose tables `text` has marks for."""
    return [place["task"] for place in _PLACE.finditer(text)]


def fill_tables(text: str, tables: dict[str, Table]) -> str:
    """Return `text` with the measured rows of each table between its marks."""

    def fill(place: re.Match[str]) -> str:
        table, layout = measured_rows(tables[place["task"]]), DEFAULT_LAYOUT
        for option in place["options"].split(", ")[1:]:
            word, *names = option.split()
            if word == "published" and not names:
                table = published_rows(table)
            elif word == "columns" and names:
                layout = Layout(columns=tuple(names))
            else:
                raise BenchError(
                    f"{place['begin'].strip()}: after the task comes `published` or `columns` "
                    f"with their names, not {option!r}"
                )
        return f"{place['begin']}\n{render(table, 'md', layout=layout).strip()}\n\n{place['end']}"

    return _PLACE.sub(fill, text)


def bibliography(suite: Suite, table: Table) -> str:
    """BibTeX entries of `results/references.bib` cited by the rows of `table`, sorted by key.

    Entries of the working folder take precedence over shipped ones. Raises BenchError for a key
    that neither file has.
    """
    known: dict[str, str] = {}
    for folder in reversed(suite.folders):
        path = folder / "results" / "references.bib"
        if path.is_file():
            known.update(bibtex_entries(path.read_text(encoding="utf-8")))
    cited = sorted({row.cite for row in table.rows if row.cite})
    for key in cited:
        if key not in known:
            raise BenchError(
                f"results/references.bib has no {key!r}, which a row of {table.task} cites, "
                f"{nearest(key, known)}"
            )
    return "\n\n".join(known[key] for key in cited) + ("\n" if cited else "")


def bibtex_entries(text: str) -> dict[str, str]:
    """Entries of a BibTeX file by key, each verbatim."""
    return {found[1]: _entry_at(text, found.start()) for found in _ENTRY.finditer(text)}


def _entry_at(text: str, start: int) -> str:
    """Entry from `start` to its closing brace."""
    depth = 0
    for i in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start : i + 1]
    raise BenchError(f"results/references.bib: {text[start:].splitlines()[0]!r} is never closed")
