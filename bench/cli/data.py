"""`bench data`: find, verify and fetch a task's files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def data(
    task: str,
    *,
    path: Path | None = None,
    fetch: Annotated[bool, Parameter(negative=())] = False,
    suite: Path = Path(),
) -> None:
    """Say where a task's files are and whether they are the right bytes.

        bench data ptb
        bench data ptb --fetch

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    path
        Folder with a corpus of your own, for the task `text`: counted, not verified.
    fetch
        Download what is missing from the card's mirrors, checked before it is kept.
    suite
        Folder with further `tasks/`.
    """
    from bench.data.corpus import load_corpus
    from bench.data.specification import SyntheticTextSpec
    from bench.listing import files
    from bench.suite import Suite

    card = Suite.at(suite).card(task)
    if found := files(card, path):
        print(found)
    corpus = load_corpus(
        card.corpus,
        task=task,
        twin=card.twin,
        path=path,
        download="missing" if fetch else "never",
        progress=_progress(),
    )
    sizes = {split: len(tokens) for split, tokens in corpus.splits.items()}
    counts = ", ".join(f"{split} {size:,}" for split, size in sizes.items())
    generated = isinstance(card.corpus, SyntheticTextSpec)
    checked = "generated" if generated else "counted" if path else "verified"
    print(f"{task}: {checked}; {len(corpus.vocabulary.symbols):,} types; tokens: {counts}")


def _progress() -> Callable[[str, int, int | None], None]:
    """One line for each tenth of a file."""
    shown: dict[str, int] = {}

    def report(name: str, num_bytes: int, total_bytes: int | None) -> None:
        tenth = 10 * num_bytes // total_bytes if total_bytes else 0
        if shown.get(name) != tenth:
            shown[name] = tenth
            print(f"fetching {name}: {num_bytes / 1e6:.1f} MB", file=sys.stderr)

    return report
