"""`bench data` on parallel text: what there is, every bad pair, what is missing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from parallel_trees import PAIRS, tiny_spec, write_own

from bench.cli.data import data
from bench.core.errors import BenchError
from bench.data.files import FileSpec, Mirror, digest_of
from bench.translation.data.specification import ParallelSpec


def card_of(spec: ParallelSpec) -> dict[str, object]:
    return {
        "task": "tiny",
        "title": "Cats and dogs",
        "version": 1,
        "objective": "translation",
        "description": "Four sentences.",
        "metric": {"name": "bleu", "direction": "max"},
        "protocol": "None.",
        "corpus": {"kind": "parallel", **msgspec.to_builtins(spec)},
    }


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite with one card, whose further test `more` nobody has."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    folder = write_own(tmp_path / "data/tiny")
    files = {
        path.name: FileSpec(path=path.name, sha256=digest_of(path, "sha256"))
        for path in sorted(folder.iterdir())
    }
    more = {name: FileSpec(path=name, sha256="0" * 64) for name in ("more.en", "more.fr")}
    spec = tiny_spec({**files, **more}, obtain="a shelf")
    spec = msgspec.structs.replace(spec, splits={**spec.splits, "more": (("more.en", "more.fr"),)})
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/tiny.yaml").write_bytes(msgspec.yaml.encode(card_of(spec)))
    return tmp_path


def test_what_there_is(suite: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data("tiny", suite=suite)
    said = capsys.readouterr().out.splitlines()
    assert any(row.split()[0] == "train.en" and "verified" in row for row in said)
    assert said[-9:-5] == ["train: 4 pairs", "valid: 4 pairs", "test: 4 pairs", "more: missing"]
    assert said[-5] == "train: source 21 tokens; target 22 tokens"
    assert said[-1].startswith(
        "tiny: verified; segmentation words: 17 source and 17 target symbols; metric bleu|"
    )
    data("tiny", segmentation="bpe", suite=suite)
    assert "segmentation bpe: " in capsys.readouterr().out


def test_every_bad_pair_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = write_own(tmp_path / "own", [*PAIRS, ("", "rien"), ("x " * 300, "y")])
    with pytest.raises(BenchError, match=r"6 bad pairs \(3 empty, 3 overlong\)"):
        data("parallel-text", path=own, languages="en-fr")
    said = capsys.readouterr().out
    assert "train: 4 pairs; bad: 1 empty, 1 overlong" in said
    assert f"empty: {own}/valid.en, line 5: no text" in said
    assert said.count("overlong: ") == 3


def test_own_text_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = write_own(tmp_path / "own", PAIRS)
    data("parallel-text", path=own, languages="en-fr", segmentation="words")
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith("parallel-text: counted; segmentation words: ")
    assert "tok:13a" in said


def test_missing_splits_are_named_after_those_found(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (suite / "data/tiny/train.fr").unlink()
    with pytest.raises(BenchError) as refusal:
        data("tiny", suite=suite)
    assert str(refusal.value).startswith("tiny: missing files: train.fr (sha256 ")
    assert "get them from a shelf and put them in" in str(refusal.value)
    said = capsys.readouterr().out.splitlines()
    assert said[-4:] == ["train: missing", "valid: 4 pairs", "test: 4 pairs", "more: missing"]


def test_files_are_fetched_from_a_mirror(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny_spec(
        {n: FileSpec(path=n) for n in ("train.en", "train.fr", "valid.en", "valid.fr")}
        | {n: FileSpec(path=n) for n in ("test.en", "test.fr")},
        mirrors=(Mirror(url="https://example.org/", members={"train.en": "train.en"}),),
    )
    (suite / "tasks/tiny.yaml").write_bytes(msgspec.yaml.encode(card_of(spec)))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(BenchError, match=r"the card holds no checksum of train\.en"):
        data("tiny", fetch=True, suite=suite)


def test_generated_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    data("synthetic-translation")


@pytest.mark.parametrize("setting", ["segmentation", "languages"])
def test_settings_of_translation_are_refused_elsewhere(setting: str) -> None:
    with pytest.raises(BenchError, match=f"is text, which knows no {setting}"):
        data("synthetic-text", **{setting: "words"})  # type: ignore[arg-type]
