"""Storages: addresses, messages, retries, the lock and process identities."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.exc import OperationalError, ProgrammingError
from tiny_sweep import write_sweep

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.sweep.status import has_exited, process_identity
from bench.sweep.storage import default_url, open_storage, retry

REFUSED = {
    "nonsense": "--storage nonsense: not a database address, as sqlite:///",
    "mysql://me@host/db": "'mysql' is not supported, use sqlite:///",
    "sqlite://": "workers cannot share memory, name a file",
    "sqlite:///:memory:": "workers cannot share memory, name a file",
    "postgresql+nothing://me@host/db": "the driver is missing .* pip install",
    "postgresql+psycopg://me:secret@127.0.0.1:1/db": "psycopg://[*]+@127.0.0.1:1/db: .*connection",
    "postgresql+psycopg://me:se@cr/secret@127.0.0.1:1/db": "psycopg://[*]+@127.0.0.1",
    "postgresql+psycopg://me:secret//x@127.0.0.1:1/db": "psycopg://[*]+@127.0.0.1",
    "me:secret@host//db": "--storage [*]+@host//db: not a database address",
    "//me:secret@host/db": "--storage //[*]+@host/db: not a database address",
    "me:secret@host/db": "--storage [*]+@host/db: not a database address",
    "sqlite://me:secret@/": "--storage sqlite://[*]+@/: workers cannot share memory",
    "postgresql://me:secret@host:port/db": "--storage postgresql://[*]+@host:port/db: not a",
    "sqlite:////proc/no/such.db": "--storage /proc/no/such.db: cannot write there",
}


@pytest.mark.parametrize("address", REFUSED)
def test_a_bad_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(BenchError, match=REFUSED[address]) as refusal:
        open_storage(address)
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_no_database_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, and longer than a header of one would be " * 40)
    before = path.read_bytes()
    with pytest.raises(BenchError, match=r"notes\.txt: file is not a database"):
        open_storage(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_missing_file_is_not_created_for_reading(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"a/b\.db: no sweep has begun there"):
        open_storage(f"sqlite:///{tmp_path}/a/b.db", missing="refuse")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["plain", "with blank", "{braces}", "50%"])
def test_the_default_file_is_in_artifacts(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    open_storage(default_url(Suite(folder=folder), "mine"))
    path = folder / "artifacts" / "sweeps" / "mine.db"
    assert sqlite3.connect(path).execute("select count(*) from studies").fetchone() == (0,)


def test_an_unreachable_storage_is_tried_again() -> None:
    answers = iter([1, 1, 0])

    def sometimes() -> str:
        if next(answers):
            raise OperationalError("select 1", {}, sqlite3.OperationalError("database is locked"))
        return "there"

    assert retry(sometimes, timeout_sec=60) == "there"


def test_retrying_ends() -> None:
    def never() -> None:
        raise OperationalError("select 1", {}, sqlite3.OperationalError("database is locked"))

    with pytest.raises(BenchError, match=r"out of reach for 0 s \(database is locked\)"):
        retry(never, timeout_sec=0)


def test_the_lock_of_a_killed_process_is_released(tmp_path: Path) -> None:
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
    with storage.lock():
        pass
    holder.communicate()


def test_a_killed_process_has_exited_even_before_it_is_reaped() -> None:
    code = (
        "import sys; from bench.sweep.status import process_identity; "
        "print(process_identity(), flush=True)"
    )
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
    )
    assert child.stdout is not None
    identity = child.stdout.readline().strip()
    assert has_exited(identity) is False
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet reaped
    assert has_exited(identity) is True
    child.communicate()
    assert has_exited(identity) is True
    assert has_exited(process_identity()) is False


@pytest.mark.parametrize("process", [None, "another-boot/pid:[1]/77/5"])
def test_a_process_elsewhere_is_unknown(process: str | None) -> None:
    assert has_exited(process) is None


def test_a_request_that_is_wrong_is_not_repeated() -> None:
    calls: list[int] = []

    def wrong() -> None:
        calls.append(1)
        raise ProgrammingError("select", {}, sqlite3.OperationalError("no such table"))

    with pytest.raises(ProgrammingError):
        retry(wrong, timeout_sec=60)
    assert calls == [1]


def test_waiting_is_said_once_and_so_is_the_return(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 2.0)
    monkeypatch.setattr("bench.sweep.storage.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("bench.sweep.storage.time.sleep", lambda _: None)
    answers, lines, resets = iter([1] * 20 + [0]), list[str](), list[int]()

    def sometimes() -> str:
        if next(answers):
            raise OperationalError("select 1", {}, sqlite3.OperationalError("terminated"))
        return "there"

    found = retry(sometimes, timeout_sec=1000, say=lines.append, reset=lambda: resets.append(1))
    assert found == "there"
    assert [line.partition(" (")[0] for line in lines[:1]] == ["the storage is out of reach"]
    assert lines[1].startswith("the storage is back after ")
    assert len(lines) == 2
    assert len(resets) == 20
