"""A parallel corpus: pairs of sentences by split, as text and as ids of each side's symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen
from bench.data import problems as corpus_problems
from bench.data.lines import Lines, UnreadableError, read_lines
from bench.data.problems import OnBad
from bench.data.rows import Rows
from bench.translation.data.segmentation import Form, Segmenter
from bench.translation.metrics import BleuProtocol

# What can be wrong with parallel text, and what is done about it: refuse, or skip when told to.


Kind = Literal["misaligned", "unreadable", "encoding", "empty", "overlong"]


class Problem(Frozen, frozen=True, kw_only=True):
    """One pair of lines, or with `line` None one pair of files, that cannot be used."""

    split: str
    kind: Kind
    file: str
    line: int | None = None
    """From 1."""
    detail: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}, line {self.line:,}"
        return f"{self.kind}: {where}: {self.detail}"


def summary(problems: Sequence[Problem]) -> str:
    """How many of which kind, and the first few by name, in one line."""
    return corpus_problems.summary(problems, thing="pair")


def check_problems(problems: Sequence[Problem], on_bad: OnBad, *, task: str) -> None:
    """Refuse the text for its bad pairs, in one line; with `skip` they are left out."""
    corpus_problems.check_problems(problems, on_bad, task=task, thing="pair")


@dataclass(frozen=True, kw_only=True, eq=False)
class PairSplit:
    """The usable pairs of a split, side by side.

    `source_text`, `target_text`: as in the file. `source_words`, `target_words`: the protocol's
    words between blanks, which tokenised BLEU is counted on. `source`, `target`: ids, no end.
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
    """Train, valid and test, and further tests that are read when they are first asked for.

    Raises BenchError where a further test is missing or bad, and for a name that is none.
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
    """What a translation model is trained and measured on.

    `skipped`: the pairs that were left out of train, valid and test by `on_bad: skip`; a number
    measured without them is not the protocol's and must say so. `checksums`: sha256 of each file
    of these (of each split's text when generated) and of both vocabularies. `bleu`: which BLEU
    decides. `bound`: of generated text, the BLEU of a perfect system.
    """

    source: Segmenter
    target: Segmenter
    splits: Mapping[str, PairSplit]
    checksums: Mapping[str, str]
    bleu: BleuProtocol
    segmentation: str
    skipped: tuple[Problem, ...] = ()
    bound: Mapping[str, float] | None = None


# Pairs of files to pairs of lines: side by side, checked, with what is wrong counted.
#
# A line that is bad on either side takes its pair with it. Two files of different lengths cannot be
# told apart from two whose lines have slipped, so that such a pair of files is bad as a whole.


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Lines side by side, of files whose words are cut, or not, in the same way."""

    source: Lines
    target: Lines
    form: Form = "plain"

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadPairs:
    """What the files of a split hold: usable pairs by pair of files, and the rest by name."""

    parts: tuple[Pairs, ...]
    problems: tuple[Problem, ...]
    num_lines: int
    """Of a side, the bad ones included; of misaligned files the source's."""

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def read_pairs(
    split: str,
    files: Sequence[tuple[str, str]],
    paths: Mapping[str, Path],
    *,
    tokenised: Sequence[str] = (),
    longest_words: int,
) -> ReadPairs:
    """Read the pairs of files of a split, which `paths` locates by name."""
    parts, problems, num_lines = [], [], 0
    for pair in files:
        source, target = (paths[name] for name in pair)
        form: Form = "words" if pair[0] in tokenised else "plain"
        try:
            sides = _aligned(source, target)
        except _MisfitError as error:
            problems.append(
                Problem(split=split, kind=error.kind, file=error.file, detail=str(error))
            )
            num_lines += error.num_lines
            continue
        num_lines += len(sides[0])
        bad = _bad_lines(sides, longest_words)
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


class _MisfitError(Exception):
    """Why two files cannot be set side by side."""

    def __init__(self, kind: Kind, file: Path, detail: str, num_lines: int = 0) -> None:
        super().__init__(detail)
        self.kind, self.file, self.num_lines = kind, str(file), num_lines


def _aligned(source: Path, target: Path) -> tuple[Lines, Lines]:
    sides = []
    for path in (source, target):
        try:
            sides.append(read_lines(path))
        except UnreadableError as error:
            raise _MisfitError("unreadable", path, str(error)) from error
    if len(sides[0]) != len(sides[1]):
        detail = f"{len(sides[0]):,} lines beside {len(sides[1]):,} of {target}"
        raise _MisfitError("misaligned", source, detail, len(sides[0]))
    return sides[0], sides[1]


def _bad_lines(sides: tuple[Lines, Lines], longest_words: int) -> dict[int, tuple[int, Kind, str]]:
    """Place -> (side at fault, kind, detail); the source's fault where both are."""
    bad: dict[int, tuple[int, Kind, str]] = {}
    for side in (1, 0):
        lines = sides[side]
        undecodable = lines.undecodable()
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
