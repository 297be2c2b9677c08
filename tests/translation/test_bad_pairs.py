"""Misaligned files, empty lines, other encodings, overlong sentences: counted, refused, skipped."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from cards import card_of
from parallel_trees import OWN, PAIRS, prepare_parallel, write_own

from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.corpora import load_corpus
from bench.data.lines import Lines, read_lines
from bench.translation.data.corpus import read_pairs


def read(folder: Path, source: bytes, target: bytes) -> tuple[list[str], list[str]]:
    """The kinds and details of what is bad, and the sources that are left."""
    (folder / "a.en").write_bytes(source)
    (folder / "a.fr").write_bytes(target)
    paths = {name: folder / name for name in ("a.en", "a.fr")}
    found = read_pairs("train", [("a.en", "a.fr")], paths, longest_words=5)
    left = [line for part in found.parts for line in part.source]
    assert found.num_lines == source.count(b"\n") + (not source.endswith(b"\n"))
    assert len(found) == len(left)
    return [str(problem).replace(f"{folder}/", "") for problem in found.problems], left


# Lines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\n\r\nb\r\n", ["a", "", "b"]),
        (b"\n\n", ["", ""]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        ("a\u2028b\u0085c\x0bd\re\n".encode(), ["a\u2028b\u0085c\x0bd\re"]),
        ("é ".encode() * 3 + b"\nb", ["é é é ", "b"]),
    ],
)
def test_lines_end_with_line_feeds_only(content: bytes, lines: list[str]) -> None:
    found = Lines.split(content)
    assert list(found) == lines == found[:] == [found[k] for k in range(len(found))]
    assert list(Lines.joined([found, Lines.of(["z"]), found])) == [*lines, "z", *lines]
    assert found.sha256() == Lines.of(lines).sha256()


def test_compressed_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress("é\nb\n".encode()))
    assert list(read_lines(tmp_path / "a.gz")) == ["é", "b"]


# Problems ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "problem", "left"),
    [
        (b"a\n\nc\n", b"x\ny\nz\n", "empty: a.en, line 2: no text", ["a", "c"]),
        (b"a\nb\nc\n", b"x\n \t\nz\n", "empty: a.fr, line 2: only blanks", ["a", "c"]),
        (b"a\nb\n", "x\n\u00a0\u3000\n".encode(), "empty: a.fr, line 2: only blanks", ["a"]),
        (b"a\n\nc\n", b"x\n\nz\n", "empty: a.en, line 2: no text", ["a", "c"]),
        (b"a\nb\n", b"x\n" + b" " * 300 + b"\n", "empty: a.fr, line 2: only blanks", ["a"]),
        (
            "a\ncaf\u00e9\nc\n".encode("latin-1"),
            b"x\ny\nz\n",
            "encoding: a.en, line 2: byte 4 of it is not UTF-8",
            ["a", "c"],
        ),
        (
            "a\ncaf\ufffd\n".encode(),
            b"x\ny\n",
            "encoding: a.en, line 2: a character was lost in an earlier conversion (U+FFFD)",
            ["a"],
        ),
        (b"a\nb\0\n", b"x\ny\n", "encoding: a.en, line 2: it holds a null byte", ["a"]),
        (
            b"a\nb\n",
            b"x\ny y y y y y\n",
            "overlong: a.fr, line 2: 6 words, more than 5",
            ["a"],
        ),
        (b"1 2 3 4 5\n", b"x\n", "", ["1 2 3 4 5"]),
        (b"a\nb\n", b"x\n", "misaligned: a.en: 2 lines beside 1 of a.fr", []),
    ],
)
def test_what_is_bad(
    tmp_path: Path, source: bytes, target: bytes, problem: str, left: list[str]
) -> None:
    found, lines = read(tmp_path, source, target)
    assert "; ".join(found).replace(f"{tmp_path}/", "") == problem
    assert lines == left


def test_bad_lines_deep_in_a_long_file_are_found(tmp_path: Path) -> None:
    source = b"a\n" * 40_000
    target = b"x\n" * 20_000 + b"\xe9\n" + b"x\n" * 19_999
    found, lines = read(tmp_path, source, target)
    assert found == ["encoding: a.fr, line 20,001: byte 1 of it is not UTF-8"]
    assert len(lines) == 39_999


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.gz", b"no gzip", "it cannot be decompressed"),
        ("a.gz", gzip.compress(b"a\n" * 1000, mtime=0)[:-9], "it cannot be decompressed"),
        ("a", "a\n".encode("utf-16"), "it is UTF-16"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "b").write_text("x\n")
    paths = {name: tmp_path / name, "b": tmp_path / "b"}
    for pair in ((name, "b"), ("b", name)):
        found = read_pairs("train", [pair], paths, longest_words=9)
        (problem,) = found.problems
        assert problem.kind == "unreadable"
        assert problem.detail.startswith(reason)
        assert problem.file.endswith(f"/{name}")
        assert not len(found)


# What is done about them ------------------------------------------------------------------------


def damage(folder: Path) -> Path:
    write_own(folder, [*PAIRS, ("", "rien"), ("word " * 300, "mot")])
    write_own(folder / "clean")
    for file in (folder / "clean").iterdir():
        if not file.name.startswith("train"):
            (folder / file.name).write_bytes(file.read_bytes())
    for file in (folder / "clean").iterdir():
        file.unlink()
    return folder


def test_bad_pairs_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BenchError) as refusal:
        prepare_parallel(
            OWN, task="own", path=damage(tmp_path), languages="en-fr", cache=tmp_path / "cache"
        )
    assert str(refusal.value) == (
        "own: 2 bad pairs (1 empty, 1 overlong): "
        f"empty: {tmp_path}/train.en, line 5: no text; "
        f"overlong: {tmp_path}/train.en, line 6: 300 words, more than 250; "
        "put the original files in their place, or leave what is bad out with --data.on-bad skip"
    )


def test_bad_pairs_are_left_out_and_counted(tmp_path: Path) -> None:
    corpus = prepare_parallel(
        OWN,
        task="own",
        path=damage(tmp_path),
        languages="en-fr",
        on_bad="skip",
        cache=tmp_path / "cache",
    )
    assert [problem.kind for problem in corpus.skipped] == ["empty", "overlong"]
    train = corpus.splits["train"]
    assert list(zip(train.source_text, train.target_text, strict=True)) == PAIRS
    assert len(train.source) == len(train.target) == len(train.source_words) == len(PAIRS)


@pytest.mark.parametrize("style", ["plain", "quiet"])
def test_a_run_says_what_was_left_out(
    tmp_path: Path, style: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    load_corpus(
        card_of(OWN, task="own"),
        DataConfig(path=str(damage(tmp_path)), languages="en-fr", on_bad="skip"),
        style=style,  # type: ignore[arg-type]
    )
    said = capsys.readouterr().err
    assert ("own: left out 2 bad pairs (1 empty, 1 overlong): " in said) == (style == "plain")


def test_misaligned_files_are_left_out_as_a_whole(tmp_path: Path) -> None:
    folder = write_own(tmp_path)
    (folder / "valid.fr").write_text("un\n")
    settings = {"task": "own", "path": folder, "languages": "en-fr", "cache": tmp_path / "cache"}
    with pytest.raises(BenchError, match=r"1 bad pair \(1 misaligned\): .*valid.en: 4 lines besi"):
        prepare_parallel(OWN, **settings)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="no usable pair is left in the valid split"):
        prepare_parallel(OWN, on_bad="skip", **settings)  # type: ignore[arg-type]
