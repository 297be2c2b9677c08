"""The corpus part of a card: strict about what it says, and the facts of the cards themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Union

import msgspec
import pytest

from bench.core.cards import read_card
from bench.domains import all_domains
from bench.text.data.specification import SyntheticTextSpec, TextSpec

SPECS: Any = Union[tuple(spec for domain in all_domains() for spec in domain.specs)]  # noqa: UP007
TASKS = Path(__file__).parents[2] / "tasks"
TEXT_TASKS = ("ptb", "ptb-char", "text", "text8", "wikitext-2")
FILE = {"path": "a.txt"}
GOOD: dict[str, Any] = {
    "kind": "text",
    "unit": "word",
    "licence": "none",
    "end_of_sentence": "<eos>",
    "folder": "tiny",
    "files": {"train": FILE, "valid": FILE, "test": FILE},
}


def test_a_small_card() -> None:
    spec = msgspec.convert(GOOD, SPECS)
    assert isinstance(spec, TextSpec)
    assert spec.vocabulary.policy == "closed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "txet"}, "txet"),
        ({"unti": "word"}, "unti"),
        ({"unit": "syllable"}, "unit"),
        ({"folder": None}, "folder"),
        ({"vocabulary": {"policy": "open"}}, "unknown"),
        ({"vocabulary": {"minimum_count": 2}}, "policy: open"),
        ({"vocabulary": {"splits": ["training"]}}, "'training' is not one of train, valid, test"),
        ({"unit": "char", "end_of_sentence": None}, "end_of_sentence"),
        ({"files": {"trian": FILE}}, "'trian' is not one of train, valid, test"),
        ({"files": {"train": {"path": "../a"}}}, "relative"),
        ({"files": {"train": {"path": "/a"}}}, "relative"),
        ({"files": {"train": {"path": "a", "sha256": "12ab"}}}, "sha256 must be 64"),
        ({"files": {"train": {"path": "a", "md5": "G" * 32}}}, "md5 must be 32"),
        ({"mirrors": [{"url": "file:///a", "members": {}}]}, "https://"),
        ({"mirrors": [{"url": "https://a/", "members": {"x": "x"}}]}, "'x' is not one of `files`"),
        ({"ranges": {"train": {"file": "x", "first_byte": 0, "num_bytes": 1}}}, "'x' is not one"),
    ],
)
def test_invalid_cards_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({**GOOD, **change}, SPECS)


@pytest.mark.parametrize("task", TEXT_TASKS)
def test_a_text_task_names_its_twin_and_what_can_be_fetched_is_checked(task: str) -> None:
    card = read_card(TASKS / f"{task}.yaml")
    assert isinstance(card.corpus, TextSpec)
    assert card.twin == "synthetic-text"
    assert card.corpus.licence
    for mirror in card.corpus.mirrors:
        assert all(card.corpus.files[name].digest() for name in mirror.members)


def test_characters_and_words_read_the_same_penn_treebank() -> None:
    words, characters = (read_card(TASKS / f"{task}.yaml").corpus for task in ("ptb", "ptb-char"))
    assert isinstance(words, TextSpec)
    assert isinstance(characters, TextSpec)
    assert (words.folder, words.files, words.mirrors) == (
        characters.folder,
        characters.files,
        characters.mirrors,
    )


def test_text8_is_cut_into_parts_that_meet() -> None:
    spec = read_card(TASKS / "text8.yaml").corpus
    assert isinstance(spec, TextSpec)
    parts = [spec.ranges[split] for split in ("train", "valid", "test")]
    assert [part.first_byte for part in parts] == [0, 98_000_000, 99_000_000]
    assert [part.first_byte + part.num_bytes for part in parts] == [98 * 10**6, 99 * 10**6, 10**8]


def test_the_twin_reads_no_file() -> None:
    assert isinstance(read_card(TASKS / "synthetic-text.yaml").corpus, SyntheticTextSpec)


def test_reading_a_card_imports_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from pathlib import Path; from bench.core.cards import read_card;"
        f"read_card(Path({str(TASKS / 'ptb.yaml')!r}));"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
