"""The works that a table cites, as a BibTeX file of their own."""

from __future__ import annotations

import re

from bench.core.errors import BenchError, nearest
from bench.core.suite import Suite
from bench.table.build import Table

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
