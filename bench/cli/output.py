"""Where tables go: the terminal or a file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Literal

Format = Literal["text", "md", "latex", "csv", "json"]


def chosen_format(format: Format | None, out: Path | None) -> Format:
    """The format asked for; else text on a terminal and md elsewhere."""
    return format or ("text" if sys.stdout.isatty() and out is None else "md")


def terminal_width(format: Format) -> int | None:
    """The width that text has to fit into; None for formats without one."""
    return shutil.get_terminal_size().columns if format == "text" else None


def put(content: str, out: Path | None) -> None:
    """Print, or write to the file `out`."""
    from bench.errors import BenchError
    from bench.record import write_atomically

    if out is None:
        print(content, end="" if content.endswith("\n") else "\n")
        return
    try:
        write_atomically(out, content.encode())
    except OSError as error:
        raise BenchError(f"--out {out}: cannot write there ({error.strerror})") from None
