"""Words of captions, and the vocabulary of the frequent ones.

    text      A man in a T-shirt doesn't ride his dog 's bike .
    tokens    a man in a tshirt doesnt ride his dog s bike

as Karpathy and Fei-Fei (2015) cut them: lower case, between blanks, letters and digits alone, each
with the combining marks that belong to it (vowel signs, accents), in Unicode's composed form. The
same holds for training captions, references and hypotheses.

Ids 0, 1 and 2 are `<unk>`, `<s>` and `</s>`; then words by falling frequency in the training
captions, ties by first occurrence.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from bench.data.rows import Vocabulary
from bench.data.tokens import END, SPECIAL, START, UNKNOWN

Tokens = tuple[str, ...]


def caption_tokens(text: str) -> Tokens:
    """Words that a caption is trained and scored on."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return tuple(filter(None, map(_kept, text.lower().split())))


@functools.cache
def _kept(word: str) -> str:
    """Letters and digits of a word with their marks; one object for all its occurrences."""
    kept = "".join(filter(_is_kept, word))
    return sys.intern(kept if any(map(str.isalnum, kept)) else "")


def _is_kept(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


class CaptionVocabulary(Vocabulary):
    """Special symbols and frequent words, with their counts in the training captions.

    The count of `<unk>` is that of all rare words together, that of `</s>` of the captions.
    """

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of a caption's words, without an end."""
        return [self.index.get(word, UNKNOWN) for word in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words of ids; `<s>` and `</s>` are left out, `<unk>` is written so."""
        return [self.symbols[number] for number in ids if number not in (START, END)]

    def sha256(self) -> str:
        """Checksum of the symbols in their order."""
        return hashlib.sha256("".join(f"{s}\n" for s in self.symbols).encode()).hexdigest()


def learn_vocabulary(captions: Sequence[Tokens], minimum_count: int) -> CaptionVocabulary:
    """Vocabulary of the words that occur at least `minimum_count` times in training captions."""
    counts = Counter(word for tokens in captions for word in tokens)
    assert not set(SPECIAL) & set(counts)  # no caption can write them: they are no letters
    words = [word for word in counts if counts[word] >= minimum_count]
    words.sort(key=lambda word: -counts[word])
    rare = counts.total() - sum(counts[word] for word in words)
    numbers = [rare, 0, len(captions), *(counts[word] for word in words)]
    return CaptionVocabulary(symbols=(*SPECIAL, *words), counts=np.array(numbers, np.int64))
