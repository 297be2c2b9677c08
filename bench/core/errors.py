"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(ValueError):
    """Bad input: what was wrong, where, and what to do, in one line.

    The command line prints it without a traceback and exits with 2.
    """


class LostProcessError(BenchError):
    """Another process of a run has ended; the same command goes on from the last checkpoint."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word closest to `word`, or all of them when none is close."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(sorted(names))
