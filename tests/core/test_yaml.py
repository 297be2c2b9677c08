"""Strict YAML: every fault names file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.core.yaml import read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5E+2", 150.0),
        ("-.5", -0.5),
        ("20", 20),
        ("2.0", 2.0),
        ("yes-please", "yes-please"),
        ("1.2.3", "1.2.3"),
        ("null", None),
    ],
)
def test_scalars_read_as_people_write_them(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"key: {text}\n")
    read = read_yaml(path)["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a: 1\nb: 2\na: 3\n", "line 3: key 'a' is given twice"),
        (b"optim:\n  lr: 1\n  lr: 2\n", "line 3: key 'lr' is given twice"),
        (b"a: [1, 2\n", "line 2"),
        (b"- 1\n- 2\n", "expected a mapping"),
        (b"a: \xff\n", "not UTF-8 at byte 3"),
    ],
)
def test_a_fault_names_file_and_place(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "faulty.yaml"
    path.write_bytes(content)
    with pytest.raises(BenchError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"nowhere\.yaml: there is no such file"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_python_objects_are_not_built(tmp_path: Path) -> None:
    path = tmp_path / "evil.yaml"
    path.write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(BenchError, match="line 1"):
        read_yaml(path)
