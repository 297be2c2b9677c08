"""Parallel corpora: pairs of sentences by split, as text and as ids; pairs of files, checked.

A line that is bad on either side takes its pair with it. Two files of different lengths cannot be
told apart from two whose lines have slipped, so that such a pair of files is bad as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen
from bench.data.decoding import Strictness, UnreadableError
from bench.data.lines import Lines, read_lines
from bench.data.rows import Rows
from bench.translation.data.segmentation import Form, Segmenter
from bench.translation.metrics import BleuProtocol

ProblemKind = Literal["misaligned", "unreadable", "encoding", "empty", "overlong"]


class Problem(Frozen, frozen=True, kw_only=True):
    """Pair of lines, or of files where `line` is None, that cannot be used."""

    split: str
    kind: ProblemKind
    file: str
    line: int | None = None
    """Number, from 1."""
    detail: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}, line {self.line:,}"
        return f"{self.kind}: {where}: {self.detail}"


@dataclass(frozen=True, kw_only=True, eq=False)
class PairSplit:
    """Usable pairs of a split, side by side.

    `source_text`, `target_text`: as in the file. `source_words`, `target_words`: words of the
    protocol between blanks, on which tokenised BLEU is counted. `source`, `target`: ids, no end.
    """

    source_text: Sequence[str]
    target_text: Sequence[str]
    source_words: Sequence[str]
    target_words: Sequence[str]
    source: Rows
    target: Rows

    def __len__(self) -> int:
        return len(self.source)


class Splits(Mapping[str, PairSplit]):
    """Train, valid and test, and further tests that are read at their first use.

    Raises BenchError where a further test is missing or bad, and for an unknown name.
    """

    def __init__(
        self, read: Mapping[str, PairSplit], further: Mapping[str, Callable[[], PairSplit]]
    ) -> None:
        self._read, self._further = dict(read), further

    def __getitem__(self, name: str) -> PairSplit:
        if name not in self._read:
            if name not in self._further:
                raise BenchError(f"no split {name!r}, {nearest(name, list(self))}")
            self._read[name] = self._further[name]()
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._read or name in self._further

    def __iter__(self) -> Iterator[str]:
        yield from ("train", "valid", "test", *self._further)

    def __len__(self) -> int:
        return 3 + len(self._further)


@dataclass(frozen=True, kw_only=True, eq=False)
class ParallelCorpus:
    """Corpus of a translation task.

    `skipped`: pairs that `on_bad: skip` left out of train, valid and test; a number measured
    without them is not the protocol's, and its signature says so. `checksums`: sha256 of each file
    of these (of each split's text when generated) and of both vocabularies. `bleu`: definition of
    the metric. `bound`: BLEU of a perfect system, for generated text. `distinctions`: facts that a
    user's own text adds to signatures.
    """

    source: Segmenter
    target: Segmenter
    splits: Mapping[str, PairSplit]
    checksums: Mapping[str, str]
    bleu: BleuProtocol
    segmentation: str
    skipped: tuple[Problem, ...] = ()
    bound: Mapping[str, float] | None = None
    distinctions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Lines side by side, both plain or both cut into words."""

    source: Lines
    target: Lines
    form: Form = "plain"

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadPairs:
    """Contents of a split's files: usable pairs by pair of files, and the problems."""

    parts: tuple[Pairs, ...]
    problems: tuple[Problem, ...]
    num_lines: int
    """Lines of a side, bad ones included; of misaligned files the source's."""

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def read_pairs(
    split: str,
    files: Sequence[tuple[str, str]],
    paths: Mapping[str, Path],
    *,
    tokenised: Sequence[str] = (),
    longest_words: int,
    strictness: Strictness = "text",
) -> ReadPairs:
    """Read the pairs of files of a split; `paths` has the path of each name."""
    parts, problems, num_lines = [], [], 0
    for pair in files:
        source, target = (paths[name] for name in pair)
        form: Form = "words" if pair[0] in tokenised else "plain"
        try:
            sides = _aligned(source, target)
        except _MisalignedError as error:
            problems.append(
                Problem(split=split, kind=error.kind, file=error.file, detail=str(error))
            )
            num_lines += error.num_lines
            continue
        num_lines += len(sides[0])
        bad = _bad_lines(sides, longest_words, strictness)
        for place, (side, kind, detail) in sorted(bad.items()):
            file = str((source, target)[side])
            problems.append(
                Problem(split=split, kind=kind, file=file, line=place + 1, detail=detail)
            )
        keep = np.ones(len(sides[0]), bool)
        keep[list(bad)] = False
        places = np.flatnonzero(keep)
        parts.append(Pairs(source=sides[0].take(places), target=sides[1].take(places), form=form))
    return ReadPairs(parts=tuple(parts), problems=tuple(problems), num_lines=num_lines)


_Fault: TypeAlias = tuple[int, ProblemKind, str]
"""Side, kind, detail."""


class _MisalignedError(Exception):
    """Two files cannot be set side by side."""

    def __init__(self, kind: ProblemKind, file: Path, detail: str, num_lines: int = 0) -> None:
        super().__init__(detail)
        self.kind, self.file, self.num_lines = kind, str(file), num_lines


def _aligned(source: Path, target: Path) -> tuple[Lines, Lines]:
    sides = []
    for path in (source, target):
        try:
            sides.append(read_lines(path))
        except UnreadableError as error:
            raise _MisalignedError("unreadable", path, str(error)) from error
    if len(sides[0]) != len(sides[1]):
        detail = f"{len(sides[0]):,} lines beside {len(sides[1]):,} of {target}"
        raise _MisalignedError("misaligned", source, detail, len(sides[0]))
    return sides[0], sides[1]


def _bad_lines(
    sides: tuple[Lines, Lines], longest_words: int, strictness: Strictness
) -> dict[int, _Fault]:
    """Fault of each bad line by place; the source's where both sides have one."""
    bad: dict[int, _Fault] = {}
    for side in (1, 0):
        lines = sides[side]
        undecodable = lines.undecodable(strictness)
        bad.update({place: (side, "encoding", fault) for place, fault in undecodable.items()})
        # A word and the blank behind it take two bytes at least, so few lines are counted.
        may_be_long_N = (lines.end_N - lines.first_N > 2 * longest_words).tolist()
        for place, may_be_long in enumerate(may_be_long_N):
            if place in undecodable:
                continue
            text = lines[place]
            if not text or text.isspace():
                bad[place] = (side, "empty", "only blanks" if text else "no text")
            elif may_be_long and (num_words := len(text.split())) > longest_words:
                detail = f"{num_words:,} words, more than {longest_words:,}"
                bad[place] = (side, "overlong", detail)
    return bad
