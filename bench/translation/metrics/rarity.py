"""How long and how rare the words of a source sentence are, whatever segments a model reads.

Words are those of mteval-v13a's tokenisation in lower case, so that runs over words and over
subwords can be drawn into one figure (Sutskever, Vinyals and Le, 2014, figure 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a


@cache
def _tokenizer() -> Tokenizer13a:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()  # type: ignore[no-untyped-call]


def words(text: str) -> list[str]:
    """The words of a plain sentence."""
    cut: str = _tokenizer()(text.rstrip())
    return cut.lower().split()


@dataclass(frozen=True, kw_only=True)
class Frequencies:
    """How often each word stands in the training text, the most frequent first."""

    counts: dict[str, int]
    ranks: dict[str, int]
    """1 for the most frequent; equally frequent words in the order in which they come."""

    @classmethod
    def of(cls, lines: Iterable[str]) -> Frequencies:
        """Count the words of a text."""
        counts = Counter[str]()
        for line in lines:
            counts.update(words(line))
        ordered = sorted(counts, key=lambda word: -counts[word])
        return cls(counts=dict(counts), ranks={word: i for i, word in enumerate(ordered, start=1)})

    def mean_rank(self, text: str) -> float:
        """The mean rank of a sentence's words; a word that was never seen comes after the last.

        0 for a sentence without words.
        """
        unseen = len(self.ranks) + 1
        ranks = [self.ranks.get(word, unseen) for word in words(text)]
        return sum(ranks) / len(ranks) if ranks else 0.0

    def fewest(self, text: str) -> int:
        """How often the rarest word of a sentence was seen; 0 for a sentence without words."""
        return min((self.counts.get(word, 0) for word in words(text)), default=0)
