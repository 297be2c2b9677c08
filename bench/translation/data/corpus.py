"""A parallel corpus: pairs of sentences by split, as text and as ids of each side's symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.core.errors import BenchError, nearest
from bench.data.rows import Rows
from bench.data.segmentation import Segmenter
from bench.translation.data.problems import Problem
from bench.translation.metrics.translation import BleuProtocol


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
