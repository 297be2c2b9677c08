"""Files are written whole, through links, pipes and devices, with the modes that are asked for."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from bench.core.errors import BenchError
from bench.core.record import read_record, write_atomically

ROOT = Path(__file__).parent.parent.parent


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_file_keeps_its_mode_and_a_new_one_has_the_umasks(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("old")
    old.chmod(0o640)
    write_atomically(old, b"new")
    assert mode(old) == 0o640
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "new", b"new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o600


def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"through")
    reader.join(10)
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_atomically(Path("/dev/null"), b"gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_file_below_dev_is_a_file() -> None:
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        return  # no such folder but on Linux
    path = shared / f"bench-test-{os.getpid()}"
    try:
        write_atomically(path, b"a long first content")
        write_atomically(path, b"new")
        assert path.read_bytes() == b"new"
    finally:
        path.unlink(missing_ok=True)


def test_standard_output_under_another_name_is_appended_to(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from bench.core.record import write_atomically\n"
        "print('before', flush=True); write_atomically(Path('/dev/stdout'), b'through')"
    )
    out = tmp_path / "out"
    out.write_text("earlier\n")
    with out.open("ab") as stream:
        subprocess.run([sys.executable, "-c", script], stdout=stream, check=True, cwd=ROOT)
    assert out.read_text() == "earlier\nbefore\nthrough"


def test_what_a_killed_write_left_is_removed_by_the_next(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".table.md.{dead.pid}-abc"
    own = tmp_path / f".table.md.{os.getpid()}-abc"
    other = tmp_path / f".other.md.{dead.pid}-abc"
    for path in (left, own, other):
        path.touch()
    write_atomically(tmp_path / "table.md", b"new")
    assert not left.exists()
    assert own.exists()
    assert other.exists()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_that_the_encoding_lacks_is_replaced(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "table", "synthetic-text"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        cwd=ROOT,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"28.555" in done.stdout


RECORD = next((ROOT / "results" / "ptb" / "runs").glob("*.json"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": None}, "config.model"),
        ({"model": {"name": {}}}, "config.model.name"),
        ({"model": {"name": "srn", "hidden_size": [1]}}, "config.model.hidden_size"),
        ({"optim": 3}, "config.optim"),
    ],
)
def test_a_record_with_a_wrong_type_is_named_by_file_and_field(
    tmp_path: Path, change: dict[str, object], field: str
) -> None:
    tree = msgspec.json.decode(RECORD.read_bytes())
    tree["config"].update(change)
    path = tmp_path / RECORD.name
    path.write_bytes(msgspec.json.encode(tree))
    with pytest.raises(BenchError, match=rf"{RECORD.name}: not a record .*{field}`"):
        read_record(path)


def test_a_record_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"config": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(BenchError, match="not a record"):
        read_record(path)
