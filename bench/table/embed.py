"""Tables inside prose: a README shows what the records say.

<!-- table: ptb -->
... the measured rows, as Markdown ...
<!-- end of table -->

After the task may stand `published`, for the measured ones of the published rows alone, and
`columns` with the names of columns: `<!-- table: flickr8k, published, columns model cider n -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from bench.core.errors import BenchError, nearest
from bench.core.record import write_atomically
from bench.core.suite import Suite
from bench.table.build import Table, measured_rows, published_rows
from bench.table.formats import render
from bench.table.layout import PLAIN, Layout

_PLACE = re.compile(
    r"(?P<begin><!-- table: (?P<task>[\w-]+)(?P<wishes>(?:, [^\n]*?)?) -->\n).*?"
    r"(?P<end><!-- end of table -->)",
    re.S,
)


def embedded(text: str, tables: dict[str, Table]) -> str:
    """`text` with the measured rows of each table between its marks."""

    def fill(place: re.Match[str]) -> str:
        table, layout = measured_rows(tables[place["task"]]), PLAIN
        for wish in place["wishes"].split(", ")[1:]:
            word, *names = wish.split()
            if word == "published" and not names:
                table = published_rows(table)
            elif word == "columns" and names:
                layout = Layout(columns=tuple(names))
            else:
                raise BenchError(
                    f"{place['begin'].strip()}: after the task comes `published` or `columns` "
                    f"with their names, not {wish!r}"
                )
        return f"{place['begin']}\n{render(table, 'md', layout=layout).strip()}\n\n{place['end']}"

    return _PLACE.sub(fill, text)


def tasks_embedded(text: str) -> list[str]:
    """The tasks whose tables `text` has marks for."""
    return [place["task"] for place in _PLACE.finditer(text)]


def refresh(path: Path, suite: Suite) -> None:
    """Bring the tables inside the file `path` up to date with the records."""
    from bench.table import task_table

    text = path.read_text(encoding="utf-8")
    tables = {task: task_table(suite, task) for task in tasks_embedded(text)}
    new = embedded(text, tables)
    if new != text:
        write_atomically(path, new.encode())


# The works that a table cites, as a BibTeX file of their own.


_ENTRY = re.compile(r"^@(?!comment|string|preamble)\w+\{([^,\s]+),", re.M | re.I)


def bibliography(suite: Suite, table: Table) -> str:
    """The entries of `results/references.bib` that the rows of `table` cite, by key.

    A working folder's own file stands before the shipped one. Raises BenchError for a key that
    neither has.
    """
    known: dict[str, str] = {}
    for folder in reversed(suite.folders):
        path = folder / "results" / "references.bib"
        if path.is_file():
            known.update(entries(path.read_text(encoding="utf-8")))
    cited = sorted({row.cite for row in table.rows if row.cite})
    for key in cited:
        if key not in known:
            raise BenchError(
                f"results/references.bib has no {key!r}, which a row of {table.task} cites, "
                f"{nearest(key, known)}"
            )
    return "\n\n".join(known[key] for key in cited) + ("\n" if cited else "")


def entries(text: str) -> dict[str, str]:
    """Key -> entry of a BibTeX file, each as it stands there."""
    return {found[1]: _whole(text, found.start()) for found in _ENTRY.finditer(text)}


def _whole(text: str, start: int) -> str:
    """The entry that begins at `start`, to the brace that closes it."""
    depth = 0
    for place in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start : place + 1]
    raise BenchError(f"results/references.bib: {text[start:].splitlines()[0]!r} is never closed")
