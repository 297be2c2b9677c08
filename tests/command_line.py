"""Calling the command line from tests: inside this process, or as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main


@dataclass(frozen=True, kw_only=True)
class Said:
    """Exit status and output of one call."""

    status: int
    out: str
    err: str

    @property
    def only_line(self) -> str:
        """The one line on stderr of a call that was refused; nothing else was printed."""
        assert self.status == 2, self
        assert self.out == "", self
        assert self.err.endswith("\n"), self
        assert self.err.count("\n") == 1, self
        assert self.err.startswith("bench: "), self
        return self.err


class CommandLine:
    """Calls `bench` in this process, where torch needs to be imported once only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: object) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
        self._capsys.readouterr()
        status: Any = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        out, err = self._capsys.readouterr()
        return Said(status=status, out=out, err=err)


def program(
    *arguments: object, folder: Path, script: str | None = None, **environment: str
) -> Said:
    """`python -m bench`, or a script, as a process of its own in `folder`."""
    program = ["-m", "bench"] if script is None else ["-c", script]
    done = subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        cwd=folder,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Said(status=done.returncode, out=done.stdout, err=done.stderr)


def surroundings(**environment: str) -> dict[str, str]:
    """The environment of a child: this checkout importable, one thread."""
    root = Path(__file__).resolve().parents[1]
    return {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", **environment}
