"""Storages by their address: what is refused, and how it is said."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError
from tiny_sweep import write_sweep

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.sweep.status import identity, is_gone
from bench.sweep.storage import default_url, open_storage, patiently

REFUSED = {
    "nonsense": "--storage nonsense: not a database address, as sqlite:///",
    "mysql://me@host/db": "'mysql' is not supported, use sqlite:///",
    "sqlite://": "workers cannot share memory, name a file",
    "sqlite:///:memory:": "workers cannot share memory, name a file",
    "postgresql+nothing://me@host/db": "the driver is missing .* pip install",
    "postgresql+psycopg://me:secret@127.0.0.1:1/db": "me:[*]+@127.0.0.1:1/db: .*connection",
    "sqlite:////proc/no/such.db": "--storage /proc/no/such.db: cannot write there",
}


@pytest.mark.parametrize("address", REFUSED)
def test_a_bad_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(BenchError, match=REFUSED[address]) as refusal:
        open_storage(address)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, and longer than a header of one would be " * 40)
    before = path.read_bytes()
    with pytest.raises(BenchError, match=r"notes\.txt: file is not a database"):
        open_storage(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_looking_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"a/b\.db: no sweep has begun there"):
        open_storage(f"sqlite:///{tmp_path}/a/b.db", missing="refuse")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["plain", "with blank", "{braces}", "50%"])
def test_the_usual_file_lies_with_the_artifacts(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    open_storage(default_url(Suite(folder=folder), "mine"))
    path = folder / "artifacts" / "sweeps" / "mine.db"
    assert sqlite3.connect(path).execute("select count(*) from studies").fetchone() == (0,)


def test_a_storage_out_of_reach_is_asked_again() -> None:
    answers = iter([1, 1, 0])

    def sometimes() -> str:
        if next(answers):
            raise OperationalError("select 1", {}, sqlite3.OperationalError("database is locked"))
        return "there"

    assert patiently(sometimes, patience_sec=60) == "there"


def test_patience_ends() -> None:
    def never() -> None:
        raise OperationalError("select 1", {}, sqlite3.OperationalError("database is locked"))

    with pytest.raises(BenchError, match="the storage is out of reach: database is locked"):
        patiently(never, patience_sec=0)


def test_one_at_a_time_across_processes(tmp_path: Path) -> None:
    """The lock of an SQLite file ends with its holder, even when that is killed."""
    suite = write_sweep(tmp_path)
    url = default_url(suite, "small")
    storage = open_storage(url)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, filelock\n"
            "with filelock.FileLock(sys.argv[1]):\n"
            "    print('held', flush=True)\n"
            "    time.sleep(60)",
            f"{sqlalchemy.make_url(url).database}.lock",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    with storage.alone():
        pass
    holder.communicate()


def test_a_process_is_known_to_be_gone_even_before_it_is_waited_for() -> None:
    code = "import os, sys; from bench.sweep.status import identity; print(identity(), flush=True)"
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
    )
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    assert is_gone(name) is False
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet reaped
    assert is_gone(name) is True
    child.communicate()
    assert is_gone(name) is True
    assert is_gone(identity()) is False


@pytest.mark.parametrize("process", [None, "another-boot/pid:[1]/77/5"])
def test_of_a_process_elsewhere_nothing_is_known(process: str | None) -> None:
    assert is_gone(process) is None
