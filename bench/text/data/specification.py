"""Specifications of text in a card's `corpus:`: frozen structs, an unknown key is an error.

Imports neither torch nor numpy: listing tasks reads these and must stay fast.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.core.splits import check_splits
from bench.core.structs import Frozen
from bench.data.files import FileSpec, Mirror


class RangeSpec(Frozen, frozen=True, kw_only=True):
    """A split that is a range of bytes of one file, for corpora that come as a single file."""

    file: str
    first_byte: int
    num_bytes: int


class VocabularySpec(Frozen, frozen=True, kw_only=True):
    """Vocabulary of the symbols that a model may predict.

    Symbols seen at least `minimum_count` times in `splits`. `closed`: any other symbol is an error
    that names file and line; `open`: it becomes the card's `unknown` symbol.
    """

    policy: Literal["closed", "open"] = "closed"
    splits: tuple[str, ...] = ("train",)
    minimum_count: int = 1

    def __post_init__(self) -> None:
        check_splits(self.splits, "vocabulary.splits")
        if self.minimum_count < 1:
            raise ValueError("vocabulary.minimum_count must be at least 1")
        if self.policy == "closed" and self.minimum_count > 1:
            raise ValueError("a closed vocabulary cannot drop rare words: use `policy: open`")


class Counts(Frozen, frozen=True, kw_only=True):
    """Symbols per split (ends of sentence included) and types; what is not known is left out."""

    train: int | None = None
    valid: int | None = None
    test: int | None = None
    types: int | None = None


class TextSpec(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="text"):
    """Text in files: one sentence a line, words between white space.

    `folder` is looked up in $BENCH_DATA and in the cache; without `files` the user's own folder
    is searched for one file a split. `space` stands for the blank in character corpora. `reserved`
    words, which n-gram tools put in, are refused in texts of words, as the end of sentence is;
    `unknown` in a text stands for itself.
    """

    unit: Literal["word", "char"]
    licence: str
    end_of_sentence: str | None = None
    unknown: str | None = None
    space: str = "_"
    reserved: tuple[str, ...] = ("<s>", "</s>")
    vocabulary: VocabularySpec = msgspec.field(default_factory=VocabularySpec)
    folder: str | None = None
    files: dict[str, FileSpec] = msgspec.field(default_factory=dict)
    ranges: dict[str, RangeSpec] = msgspec.field(default_factory=dict)
    counts: Counts = msgspec.field(default_factory=Counts)
    mirrors: tuple[Mirror, ...] = ()

    def __post_init__(self) -> None:
        if self.vocabulary.policy == "open" and self.unknown is None:
            raise ValueError("an open vocabulary needs the name of its `unknown` symbol")
        if self.unit == "char" and self.end_of_sentence is None:
            raise ValueError("a character corpus needs an `end_of_sentence` for its line ends")
        if self.files and self.folder is None:
            raise ValueError("a corpus with `files` needs the name of its `folder`")
        if self.files:
            check_splits(self.ranges or self.files, "ranges" if self.ranges else "files")
        named = [part.file for part in self.ranges.values()]
        named += [name for mirror in self.mirrors for name in mirror.members]
        for name in named:
            if name not in self.files:
                raise ValueError(f"{name!r} is not one of `files`: {', '.join(self.files)}")


class SyntheticTextSpec(Frozen, frozen=True, kw_only=True, tag_field="kind", tag="synthetic-text"):
    """Text drawn from a known distribution: symbols: `bench.text.data.synthetic`."""

    unit: Literal["word"] = "word"
    end_of_sentence: str = "<eos>"
    seed: int = 1
    num_topics: int
    topic_length_mean: float
    num_train_tokens: int
    num_valid_tokens: int
    num_test_tokens: int
    licence: str = "generated: no licence is needed"

    def __post_init__(self) -> None:
        if self.num_topics < 1 or self.topic_length_mean < 1:
            raise ValueError("num_topics and topic_length_mean must be at least 1")
        if min(self.num_train_tokens, self.num_valid_tokens, self.num_test_tokens) < 1:
            raise ValueError("every split needs at least one token")
