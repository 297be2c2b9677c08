"""Text of one's own: encodings, reserved words and compressed files, by file and line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.data.corpora import load_corpus
from bench.data.identity import data_identity
from bench.text.baselines.arpa import write_arpa
from bench.text.baselines.ngram import NGram
from bench.text.data.corpus import TextCorpus

CARD = Suite(folder=Path()).card("text")
LINES = "the cat sat on a mat\na dog ran to the red house\n"


def write(folder: Path, train: bytes, *, name: str = "train.txt") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(train)
    for split in ("valid", "test"):
        (folder / f"{split}.txt").write_text(LINES)
    return folder


def load(folder: Path) -> TextCorpus:
    corpus = load_corpus(CARD, DataConfig(path=str(folder)))
    assert isinstance(corpus, TextCorpus)
    return corpus


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINES.encode("utf-16-le"), "utf-16le"),
        (LINES.encode("utf-16"), "UTF-16"),
        (LINES.encode() + b"\0" * 4096, r"line 3: it holds a null byte"),
        (LINES.replace("cat", "c\ufffdt").encode(), r"line 1: a character was lost"),
        (LINES.replace("\n", "\r").encode(), r"line 1: it holds a carriage return"),
        (LINES.encode() + "\ufeffmore\n".encode(), r"line 3: it holds a byte-order mark"),
        (LINES.encode() + b"a \x1b[31m cat\n", r"line 3: .*U\+001B"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BenchError, match=message) as refused:
        load(write(tmp_path, content))
    assert "train.txt" in str(refused.value)


def test_a_fault_far_into_a_file_is_named_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.text.data.corpus.BLOCK_BYTES", 64)
    with pytest.raises(BenchError, match="line 201: "):
        load(write(tmp_path, LINES.encode() * 100 + b"a \x07 b\n"))


@pytest.mark.parametrize("word", ["<s>", "</s>", "<eos>"])
def test_words_that_stand_for_the_ends_of_sentences_are_refused(tmp_path: Path, word: str) -> None:
    content = (LINES + f"a {word} cat\n").encode()
    with pytest.raises(BenchError, match=f"line 3: the text holds '{word}'"):
        load(write(tmp_path, content))


def test_words_that_only_hold_these_marks_are_words(tmp_path: Path) -> None:
    corpus = load(write(tmp_path, (LINES + "a x<s>y z<eos> cat\n").encode()))
    assert {"x<s>y", "z<eos>"} <= set(corpus.vocabulary.symbols)


def test_the_unknown_word_stands_for_itself(tmp_path: Path) -> None:
    folder = write(tmp_path, (LINES + "a <unk> cat\n").encode())
    (folder / "test.txt").write_text("a zebra\n")
    corpus = load(folder)
    assert corpus.vocabulary.symbols[int(corpus.splits["test"][1])] == "<unk>"


def test_arpa_refuses_a_vocabulary_with_its_own_marks(tmp_path: Path) -> None:
    corpus = load(write(tmp_path, LINES.encode()))
    model = NGram(order=2)
    end = corpus.vocabulary.index["<eos>"]
    model.fit(
        corpus.splits["train"],
        valid=corpus.splits["valid"],
        vocabulary_size=len(corpus.vocabulary),
        end_of_sentence=end,
    )
    words = list(corpus.vocabulary.symbols)
    write_arpa(model, words, tmp_path / "good.arpa")
    words[words.index("cat")] = "<s>"
    with pytest.raises(BenchError, match="'<s>', which ARPA puts in"):
        write_arpa(model, words, tmp_path / "bad.arpa")


def test_a_compressed_file_is_the_same_text(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain", LINES.encode() * 5)
    packed = write(tmp_path / "packed", gzip.compress(LINES.encode() * 5), name="train.txt.gz")
    assert load(packed).checksums == load(plain).checksums
    assert load(packed).splits["train"].tolist() == load(plain).splits["train"].tolist()
    first, second = (data_identity(CARD, DataConfig(path=str(path))) for path in (plain, packed))
    assert first == second


def test_a_damaged_compressed_file_is_named(tmp_path: Path) -> None:
    content = gzip.compress(LINES.encode() * 500)[:-30]
    with pytest.raises(BenchError, match=r"train\.txt\.gz.*cannot be decompressed"):
        load(write(tmp_path, content, name="train.txt.gz"))


def test_another_compression_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="is compressed"):
        load(write(tmp_path, b"x", name="train.txt.xz"))
