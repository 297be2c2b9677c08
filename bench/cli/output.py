"""Output of tables: the terminal or a file."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Format = Literal["text", "md", "latex", "csv", "json", "html"]


def chosen_format(format: Format | None, out: Path | None) -> Format:
    """The format asked for; else text on a terminal and md elsewhere."""
    return format or ("text" if sys.stdout.isatty() and out is None else "md")


def terminal_width(format: Format) -> int | None:
    """The width that text has to fit into; None for formats without one."""
    return shutil.get_terminal_size().columns if format == "text" else None


def put(content: str, out: Path | None, *, option: str = "--out") -> None:
    """Print, or write to the file `out`, which the caller named by `option`."""
    from bench.core.record import write_atomically

    if out is None:
        print(content, end="" if content.endswith("\n") else "\n")
        return
    with writing(option, out):
        write_atomically(out, content.encode())


@contextmanager
def writing(option: str, out: Path) -> Iterator[None]:
    """Say which option named the place where nothing can be written."""
    from bench.core.errors import BenchError

    try:
        yield
    except OSError as error:
        raise BenchError(f"{option} {out}: cannot write there ({error.strerror})") from None
