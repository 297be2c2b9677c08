"""`bench data` on captions: what it says of files, splits, features and what is wrong."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from caption_trees import write_features, write_flickr8k, write_karpathy, write_tar

from bench.captioning.data.specification import CaptionsSpec
from bench.cli.data import data
from bench.core.cards import Card, Metric
from bench.core.errors import BenchError


def card_of(spec: CaptionsSpec) -> Card:
    return Card(
        task="tiny",
        title="Tiny",
        version=1,
        objective="captioning",
        description="A few captions.",
        metric=Metric(name="cider", direction="max"),
        protocol="none",
        corpus=spec,
        twin="synthetic-captions",
    )


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite with the card `tiny`, its corpus in $BENCH_DATA."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    write_card(tmp_path, write_flickr8k(tmp_path / "data/tiny"))
    return tmp_path


def write_card(suite: Path, spec: CaptionsSpec) -> None:
    (suite / "tasks").mkdir(exist_ok=True)
    (suite / "tasks/tiny.yaml").write_bytes(msgspec.yaml.encode(card_of(spec)))


def test_what_there_is(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data("tiny", suite=suite)
    said = capsys.readouterr().out.splitlines()
    assert said[-6:] == [
        "no image: lost.jpg.1: captioned, but not among the images",
        "train: 3 images, 6 captions, 20 words, 35.00% unknown",
        "valid: 1 images, 2 captions, 5 words, 20.00% unknown",
        "test: 2 images, 4 captions, 15 words, 46.67% unknown",
        "features given: 7 images, 4 numbers each: numbers",
        "tiny: counted; 4 words",
    ]


def test_features_are_made_and_shown(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tar(suite / "data/tiny/images.tar")
    data("tiny", features="hog", suite=suite)
    said = capsys.readouterr()
    assert "features hog: 7 images, 1764 numbers each: 128 pixels, cells of 16" in said.out
    assert "features of tiny: 7 of 7" in said.err
    data("tiny", features="hog", suite=suite)
    assert capsys.readouterr().err == ""


def test_the_users_own_features_of_karpathys_layout(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_card(suite, write_karpathy(suite / "data/tiny"))
    write_features(suite / "data/tiny", "mine")
    data("tiny", features="mine", suite=suite)
    assert "features mine: 7 images, 4 numbers each: the user's own" in capsys.readouterr().out


def test_bad_captions_are_told_and_refused(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = suite / "data/tiny/captions.txt"
    path.write_text(path.read_text().replace("A cat\n", ".\n").replace("d.jpg#1", "z.jpg#1"))
    with pytest.raises(BenchError, match=r"1 bad caption or image \(1 no words\)"):
        data("tiny", suite=suite)
    said = capsys.readouterr().out
    assert "no words: c.jpg: '.' in " in said
    assert "no image: z.jpg: captioned" in said
    assert "valid: 1 images, 1 captions" in said


def test_a_missing_file_is_named(suite: Path) -> None:
    (suite / "data/tiny/test.txt").unlink()
    with pytest.raises(BenchError, match=r"missing files: test.txt .*synthetic-captions`"):
        data("tiny", suite=suite)


def test_generated_captions(capsys: pytest.CaptureFixture[str]) -> None:
    data("synthetic-captions")
    said = capsys.readouterr().out
    assert "test: 500 images, 2,500 captions, 24,152 words, 0.00% unknown" in said
    assert "features cells: 5,000 images, 351 numbers each" in said
    assert "test: no captioner has a CIDEr above 948.8%" in said


@pytest.mark.parametrize("task", ["synthetic-text"])
def test_features_are_of_captions(task: str) -> None:
    with pytest.raises(BenchError, match="synthetic-text is text, which knows no features"):
        data(task, features="hog")
