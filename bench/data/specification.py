"""What the `corpus:` part of a card may say: facts as frozen structs, an unknown key is an error.

Imports neither torch nor numpy: listing tasks reads these and must stay fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from bench.data.speech.specification import SpeechSpec, SyntheticSpeechSpec
from bench.structs import Frozen

SPLITS = ("train", "valid", "test")
DIGEST_LENGTHS = {"sha256": 64, "sha1": 40, "md5": 32}


class FileSpec(Frozen, frozen=True, kw_only=True):
    """One file of a corpus; `path` is relative to the corpus folder.

    A digest that nobody could confirm is left out, never guessed; a file without any digest is
    not downloaded.
    """

    path: str
    size_bytes: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None

    def __post_init__(self) -> None:
        check_relative(self.path)
        check_digests({"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5})

    def digest(self) -> tuple[str, str] | None:
        """The strongest checksum that the card holds, as (algorithm, hexadecimal digits)."""
        if self.sha256:
            return "sha256", self.sha256
        if self.sha1:
            return "sha1", self.sha1
        return ("md5", self.md5) if self.md5 else None


class RangeSpec(Frozen, frozen=True, kw_only=True):
    """A split that is a range of bytes of one file, for corpora that come as a single file."""

    file: str
    first_byte: int
    num_bytes: int


class Mirror(Frozen, frozen=True, kw_only=True):
    """Where files can be fetched: `members` maps the card's file to its path at the mirror.

    Without `unpack` each file lies at `url` + member; with `zip` the archive at `url` holds the
    members, and its own checksum, where the card has one, is checked first.
    """

    url: str
    members: dict[str, str]
    unpack: Literal["zip"] | None = None
    size_bytes: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        check_digests({"sha256": self.sha256})
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"{self.url!r} must begin with https:// or http://")
        for member in self.members.values():
            check_relative(member)


class VocabularySpec(Frozen, frozen=True, kw_only=True):
    """Which symbols a model may predict.

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
    is searched for one file a split. `space` stands for the blank in character corpora.
    """

    unit: Literal["word", "char"]
    licence: str
    end_of_sentence: str | None = None
    unknown: str | None = None
    space: str = "_"
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
    """Text drawn from a known distribution: see `bench.data.synthetic_text` for the symbols."""

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


CorpusSpec = TextSpec | SyntheticTextSpec | SpeechSpec | SyntheticSpeechSpec


def check_digests(digests: dict[str, str | None]) -> None:
    """Refuse a checksum that is not lower-case hexadecimal of its algorithm's length."""
    for algorithm, digits in digests.items():
        length = DIGEST_LENGTHS[algorithm]
        if digits is not None and not re.fullmatch(f"[0-9a-f]{{{length}}}", digits):
            raise ValueError(f"{algorithm} must be {length} lower-case hexadecimal digits")


def check_relative(path: str) -> None:
    """Refuse a path that could leave the folder it is joined to."""
    parts = path.replace("\\", "/").split("/")
    if path.startswith(("/", "\\")) or ":" in parts[0] or ".." in parts or not parts[-1]:
        raise ValueError(f"{path!r} must be a file's path relative to the corpus folder")


def check_splits(names: Iterable[str], where: str) -> None:
    """Refuse names other than train, valid and test."""
    for name in names:
        if name not in SPLITS:
            raise ValueError(f"{where}: {name!r} is not one of {', '.join(SPLITS)}")
