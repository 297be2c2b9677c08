"""`bench data` on speech: what there is, every bad utterance, a corpus that is missing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from speech_trees import TINY, tiny_timit

from bench.cli.data import data
from bench.core.errors import BenchError
from bench.data.problems import progress_bar

CARD = {
    "task": "tiny",
    "title": "Four speakers",
    "version": 1,
    "objective": "ctc",
    "description": "Noise.",
    "metric": {"name": "phone-error-rate", "direction": "min"},
    "protocol": "None.",
    "corpus": {"kind": "speech", **msgspec.to_builtins(TINY)},
}


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/tiny.yaml").write_bytes(msgspec.yaml.encode(CARD))
    return tmp_path


def test_what_there_is(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_timit(suite / "data/tiny")
    data("tiny", suite=suite)
    said = capsys.readouterr()
    assert f"{folder}   there" in said.out
    assert said.out.splitlines()[-1] == (
        "tiny: counted; 4 labels; utterances: train 4 (24 phones), valid 2 (12 phones), "
        "test 2 (12 phones)"
    )
    assert said.err.splitlines()[-1] == "features of tiny: 8 of 8"
    data("tiny", suite=suite)
    assert capsys.readouterr().err == ""  # from the cache


def test_every_bad_utterance_is_told(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_timit(suite / "data/tiny")
    (folder / "TRAIN/DR1/FABC0/SX1.WAV").write_bytes(b"")
    (folder / "TEST/DR1/MGHI0/SX1.PHN").unlink()
    with pytest.raises(BenchError, match="2 bad utterances"):
        data("tiny", suite=suite)
    said = capsys.readouterr().out
    assert "empty: " in said
    assert "no transcript: " in said


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "the corpus is missing: get it from nowhere"), ({"fetch": True}, "is not downloaded")],
)
def test_a_corpus_that_is_not_there(suite: Path, settings: dict[str, bool], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        data("tiny", suite=suite, fetch=settings.get("fetch", False))


def test_progress_in_each_style(capsys: pytest.CaptureFixture[str]) -> None:
    for style in ("live", "plain", "quiet"):
        with progress_bar("features", style) as progress:
            for done in range(1, 9):
                progress(done, 8)
        said = capsys.readouterr().err
        assert ("8" in said) == (style != "quiet")
