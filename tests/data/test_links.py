"""Corpora whose folders are links are read; links in a circle do not hang."""

from __future__ import annotations

from pathlib import Path

from bench.data.files import walk_files


def test_linked_folders_are_walked_once_each(tmp_path: Path) -> None:
    real, root = tmp_path / "real", tmp_path / "root"
    (real / "b").mkdir(parents=True)
    (real / "b" / "x.wav").touch()
    (real / "a.wav").touch()
    root.mkdir()
    (root / "train").symlink_to(real)
    (root / "again").symlink_to(real)
    (real / "b" / "up").symlink_to(root)  # a circle
    found = [str(path.relative_to(root)) for path in walk_files(root)]
    assert found == ["again/a.wav", "again/b/x.wav"]


def test_a_linked_file_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "linked.jpg").symlink_to(tmp_path / "real")
    assert [path.name for path in walk_files(tmp_path / "folder")] == ["linked.jpg"]
