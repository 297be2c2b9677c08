"""METEOR and SPICE where pycocoevalcap and Java are: a package of the same form stands for it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.captioning import scoring as toolkit
from bench.captioning.scoring import available, toolkit_scores, toolkit_version

SCORER = """\
class {name}:
    def compute_score(self, gts, res):
        assert gts == {{0: ["a dog", "the dog"], 1: ["a cat"]}}
        assert res == {{0: ["a dog"], 1: ["."]}}
        {body}
"""
CAPTIONS = [["a", "dog"], []]
REFERENCES = [[["a", "dog"], ["the", "dog"]], [["a", "cat"]]]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, java: bool, body: str) -> Path:
    """A package with both scorers, and a command called java."""
    package = folder / "pycocoevalcap"
    for name in ("Meteor", "Spice"):
        part = package / name.lower()
        part.mkdir(parents=True)
        (part / f"{name.lower()}.py").write_text(SCORER.format(name=name, body=body))
    (package / "spice" / "lib").mkdir()
    command = folder / "bin" / "java"
    command.parent.mkdir()
    if java:
        command.write_text("#!/bin/sh\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    monkeypatch.syspath_prepend(folder)
    forget()
    return package


def add_models(package: Path) -> None:
    for name in ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar"):
        (package / "spice" / "lib" / name).touch()


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pycocoevalcap"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("java", "models", "expected"),
    [
        (True, False, {"meteor": 20.0}),
        (True, True, {"meteor": 20.0, "spice": 20.0}),
        (False, True, {}),
    ],
)
def test_what_is_installed_is_computed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    java: bool,
    models: bool,
    expected: dict[str, float],
) -> None:
    package = install(tmp_path, monkeypatch, java=java, body="return 0.2, [0.2, 0.2]")
    if models:  # SPICE would download them unasked
        add_models(package)
    assert available() == list(expected)
    assert toolkit_scores(CAPTIONS, REFERENCES) == pytest.approx(expected)
    forget()


def test_without_the_package_nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkit, "_PACKAGE", "no_such_package")
    assert toolkit_scores(CAPTIONS, REFERENCES) == {}
    assert toolkit_version() == "no_such_package-unknown"


def test_a_score_that_fails_is_left_out_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, java=True, body="raise OSError('broken pipe')")
    with pytest.warns(UserWarning, match="meteor is left out: pycocoevalcap failed with OSError"):
        assert toolkit_scores(CAPTIONS, REFERENCES) == {}
    forget()
