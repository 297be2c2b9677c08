"""Text corpora: numbering, vocabularies, and an error with file and line for each thing wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.core.cards import read_card
from bench.core.errors import BenchError
from bench.data.files import FileSpec
from bench.text.data import corpus as reading
from bench.text.data.corpus import TextCorpus, load_text
from bench.text.data.specification import Counts, RangeSpec, TextSpec, VocabularySpec

TASKS = Path(__file__).parents[2] / "tasks"
SPEC = TextSpec(
    unit="word",
    licence="none",
    end_of_sentence="<eos>",
    unknown="<unk>",
    folder="tiny",
    files={name: FileSpec(path=f"{name}.txt") for name in ("train", "valid", "test")},
)
OPEN = VocabularySpec(policy="open")
TEXT = {"train": b"b a a\n c b a <unk>\n", "valid": b"a b\n", "test": b"c\n"}


def write(folder: Path, texts: dict[str, bytes]) -> Path:
    for name, content in texts.items():
        (folder / f"{name}.txt").write_bytes(content)
    return folder


def words(corpus: TextCorpus, split: str) -> str:
    return " ".join(corpus.vocabulary.symbols[i] for i in corpus.splits[split])


def load(folder: Path, spec: TextSpec = SPEC, **texts: bytes) -> TextCorpus:
    return load_text(spec, write(folder, {**TEXT, **texts}))


def variant(**changes: object) -> TextSpec:
    return msgspec.structs.replace(SPEC, **changes)


def test_vocabulary_is_by_training_frequency_then_first_occurrence(tmp_path: Path) -> None:
    corpus = load(tmp_path)
    assert corpus.vocabulary.symbols == ("a", "b", "<eos>", "c", "<unk>")
    assert corpus.vocabulary.counts.tolist() == [3, 2, 2, 1, 1]
    assert [corpus.vocabulary.index[s] for s in corpus.vocabulary.symbols] == [0, 1, 2, 3, 4]
    assert words(corpus, "train") == "b a a <eos> c b a <unk> <eos>"
    assert {ids.dtype for ids in corpus.splits.values()} == {np.dtype(np.int64)}
    assert corpus.first_input == 2


def test_ties_keep_the_order_of_the_text(tmp_path: Path) -> None:
    # Enough words that a sort which is not stable would mix them up.
    times = {f"w{(37 * i) % 500}": 2 + i % 3 for i in range(500)}
    text = " ".join(word for word, number in times.items() for _ in range(number))
    corpus = load(tmp_path, train=text.encode(), valid=b"w1", test=b"w2")
    expected = sorted(times, key=lambda word: -times[word])
    assert corpus.vocabulary.symbols == (*expected, "<eos>")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a b\n\nc\n", "a b <eos> <eos> c <eos>"),  # an empty line is a sentence of no words
        (b"a b\nc", "a b <eos> c <eos>"),  # no newline at the end
        (b"a b\nc   \t ", "a b <eos> c <eos>"),
        (b"\xef\xbb\xbfa\r\nb\r\n", "a <eos> b <eos>"),  # as some editors write it
        ("a\u2028b\n".encode(), "a b <eos>"),  # a line ends at a newline and nowhere else
    ],
)
def test_words_and_sentence_ends(tmp_path: Path, content: bytes, expected: str) -> None:
    assert words(load(tmp_path, valid=content), "valid") == expected


def test_no_end_of_sentence(tmp_path: Path) -> None:
    corpus = load(tmp_path, variant(end_of_sentence=None))
    assert words(corpus, "train") == "b a a c b a <unk>"
    assert corpus.first_input == 0


def test_characters_follow_mikolov(tmp_path: Path) -> None:
    spec = variant(unit="char", unknown=None)
    corpus = load(tmp_path, spec, train=b" ab  a\n\xc3\xa9 b \n", valid=b"b a\n", test=b"ab")
    assert words(corpus, "train") == "a b _ a <eos> \u00e9 _ b <eos>"
    assert words(corpus, "test") == "a b <eos>"


@pytest.mark.parametrize("unit", ["word", "char"])
@pytest.mark.parametrize("block_bytes", [1, 2, 5, 64])
def test_blocks_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, block_bytes: int
) -> None:
    text = "".join(f"w{i % 7} \u00e9{i % 3}  x\n" for i in range(40)).encode()
    spec = variant(unit=unit, unknown=None)
    whole = load(tmp_path, spec, train=text, valid=text, test=text)
    monkeypatch.setattr(reading, "BLOCK_BYTES", block_bytes)
    pieces = load_text(spec, tmp_path)
    assert pieces.vocabulary.symbols == whole.vocabulary.symbols
    assert all((pieces.splits[s] == whole.splits[s]).all() for s in whole.splits)


def test_rare_and_unseen_words_become_unknown_in_an_open_vocabulary(tmp_path: Path) -> None:
    spec = variant(vocabulary=VocabularySpec(policy="open", minimum_count=2))
    corpus = load(tmp_path, spec, train=b"a a b b c d\n", valid=b"a e c\n")
    assert corpus.vocabulary.symbols == ("a", "b", "<unk>", "<eos>")
    assert corpus.vocabulary.counts.tolist() == [2, 2, 2, 1]
    assert words(corpus, "train") == "a a b b <unk> <unk> <eos>"
    assert words(corpus, "valid") == "a <unk> <unk> <eos>"


def test_unseen_words_use_the_unknown_symbol_of_the_training_text(tmp_path: Path) -> None:
    corpus = load(tmp_path, variant(vocabulary=OPEN), test=b"z a\n")
    assert words(corpus, "test") == "<unk> a <eos>"


def test_ranges_of_one_file_may_cut_a_word(tmp_path: Path) -> None:
    (tmp_path / "all").write_bytes(b" aa bb aa aa bb cc")
    spec = TextSpec(
        unit="word",
        licence="none",
        unknown="<unk>",
        folder="one",
        files={"all": FileSpec(path="all")},
        ranges={
            "train": RangeSpec(file="all", first_byte=0, num_bytes=8),
            "valid": RangeSpec(file="all", first_byte=8, num_bytes=5),
            "test": RangeSpec(file="all", first_byte=13, num_bytes=5),
        },
        vocabulary=VocabularySpec(policy="open", splits=("train", "valid"), minimum_count=2),
    )
    corpus = load_text(spec, tmp_path)
    # train "aa bb a", valid "a aa", test "bb cc": words are counted in train and valid
    assert corpus.vocabulary.symbols == ("aa", "a", "<unk>")
    assert [words(corpus, s) for s in ("train", "valid", "test")] == [
        "aa <unk> a",
        "a aa",
        "<unk> <unk>",
    ]


@pytest.mark.parametrize(
    ("texts", "changes", "message"),
    [
        ({"test": b"a\nb\nax z\n"}, {}, r"test.txt, line 3: 'ax' is not in the closed vocabulary"),
        (
            {"test": b"a \nz\n"},
            {"vocabulary": OPEN, "unknown": "?"},
            "line 2: 'z'.*--data.minimum-count",
        ),
        ({"valid": b"a\nb \xff\n"}, {}, r"valid.txt, line 2: byte 3 of it is not UTF-8"),
        ({"train": b"a \xe9\n"}, {}, r"train.txt, line 1: byte 3 of it is not UTF-8"),
        ({"valid": b""}, {}, r"valid.txt holds no words"),
        ({"valid": b" \n\n"}, {}, r"valid.txt holds no words"),
        ({"train": b"a\na <eos>\n"}, {}, r"train.txt, line 2: the text holds '<eos>'"),
        ({"train": b"a\na_b\n"}, {"unit": "char"}, r"train.txt, line 2: the text holds '_'"),
        ({}, {"counts": Counts(test=3)}, r"test.txt: 2 words where the card counts 3"),
        ({}, {"counts": Counts(types=6)}, r"train.txt: 5 different words where the card counts 6"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, texts: dict[str, bytes], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        load(tmp_path, variant(**changes), **texts)


@pytest.mark.parametrize("block_bytes", [1, 7, 1000])
def test_the_line_is_right_wherever_blocks_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(reading, "BLOCK_BYTES", block_bytes)
    with pytest.raises(BenchError, match=r"test.txt, line 23: 'z'"):
        load(tmp_path, test=b"a b c\n\n" * 11 + b"a a a a a z\nz\n")


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    write(tmp_path, {name: TEXT[name] for name in ("train", "test")})
    with pytest.raises(BenchError, match=r"valid.txt is missing"):
        load_text(SPEC, tmp_path)


@pytest.mark.parametrize(
    ("task", "counts", "types"),
    [
        ("ptb", (929_589, 73_760, 82_430), 10_000),
        ("ptb-char", (5_017_482, 393_042, 442_423), 50),
    ],
)
def test_penn_treebank(bench_data: Path, task: str, counts: tuple[int, ...], types: int) -> None:
    spec = read_card(TASKS / f"{task}.yaml").corpus
    assert isinstance(spec, TextSpec)
    corpus = load_text(spec, bench_data / "ptb")
    assert tuple(len(corpus.splits[split]) for split in ("train", "valid", "test")) == counts
    assert len(corpus.vocabulary) == types
    lines = (bench_data / "ptb" / "ptb.test.txt").read_text().split("\n")[:-1]
    if task == "ptb":
        expected = [word for line in lines for word in [*line.split(), "<eos>"]]
        assert corpus.vocabulary.symbols[:4] == ("the", "<unk>", "<eos>", "N")
    else:
        expected = [c for line in lines for c in [*"_".join(line.split()), "<eos>"]]
    assert words(corpus, "test").split(" ") == expected
    numbers = Counter(corpus.splits["train"].tolist())
    assert corpus.vocabulary.counts.tolist() == [numbers[i] for i in range(types)]


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("valid", lambda text: text[:-100], r"ptb.valid.txt: truncated: .*ends in line 3,370"),
        ("valid", lambda text: text + b"the \n", r"ptb.valid.txt: altered: 399,787 bytes"),
        ("test", lambda text: text.replace(b" no ", b" on ", 1), r"ptb.test.txt: altered: sha256"),
        ("test", lambda text: text.replace(b" no ", b" nq ", 1), r"ptb.test.txt, line 1: 'nq'"),
        ("train", lambda text: text.replace(b"banknote", b"bankmote"), r"train.txt: altered"),
        ("train", lambda text: text.replace(b"banknote", b"bankn\xf6te"), r"train.txt, line 1: "),
    ],
)
def test_an_altered_penn_treebank_is_refused(
    tmp_path: Path, bench_data: Path, split: str, change: object, message: str
) -> None:
    assert callable(change)
    spec = read_card(TASKS / "ptb.yaml").corpus
    assert isinstance(spec, TextSpec)
    for name, file in spec.files.items():
        content = (bench_data / "ptb" / file.path).read_bytes()
        (tmp_path / file.path).write_bytes(change(content) if name == split else content)
    with pytest.raises(BenchError, match=message):
        load_text(spec, tmp_path)
