"""Lines in, translations out: plain, as n-best lists of Moses, or as JSON.

    text    one line for each line of the input
    moses   0 ||| plain translation ||| log_prob= log-probability ||| score        `num_best` a line
    json    {"sentence": 0, "rank": 1, "text": ..., "tokenised": ..., "log_prob": ..., "score": ...}

Sentences are counted from 0. A line without words has an empty translation, so that line numbers
of input and output agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO, Any, Literal, Protocol

import msgspec

from bench.core.errors import BenchError
from bench.translation.inference.candidates import Candidate

Form = Literal["text", "moses", "json"]
CHUNK_LINES = 2000
"""Read and translated at once; it changes no translation."""


class Translated(Protocol):
    """One translation of a line."""

    @property
    def text(self) -> str:
        """Plain."""
        ...

    @property
    def tokenised(self) -> str:
        """Words between blanks."""
        ...

    @property
    def log_prob(self) -> float:
        """Natural, of the tokens and the end."""
        ...

    @property
    def score(self) -> float:
        """The same after the length penalty."""
        ...


class Translating(Protocol):
    """Whatever translates lines."""

    def translate(self, lines: Sequence[str], *, num_best: int = 1) -> Sequence[Sequence[Any]]:
        """The best translations of each line, best first."""
        ...


def decoded(file: IO[bytes], name: str) -> Iterator[str]:
    """The lines of a file in UTF-8 without their ends; BenchError naming a line that is not."""
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise BenchError(
                f"{name}, line {number}: not UTF-8 (byte {error.start + 1}); convert it first"
            ) from None


def translated(
    lines: Iterator[str], translator: Translating, *, num_best: int
) -> Iterator[tuple[str, Sequence[Any]]]:
    """Each line with its translations, best first; an empty list where it has no words."""
    while chunk := list(islice(lines, CHUNK_LINES)):
        worded = [line for line in chunk if line.strip()]
        found = iter(translator.translate(worded, num_best=num_best) if worded else [])
        for line in chunk:
            yield line, next(found) if line.strip() else []


def written(place: int, found: Sequence[Translated], form: Form) -> Iterator[str]:
    """The output lines of the input line at `place`."""
    if form == "text":
        yield found[0].text if found else ""
    for rank, one in enumerate(found, start=1):
        if form == "moses":
            yield Candidate(
                sentence=place,
                text=one.text,
                features=f"log_prob= {one.log_prob:.6f}",
                score=one.score,
            ).line()
        elif form == "json":
            line = {
                "sentence": place,
                "rank": rank,
                "text": one.text,
                "tokenised": one.tokenised,
                "log_prob": round(one.log_prob, 6),
                "score": round(one.score, 6),
            }
            yield msgspec.json.encode(line).decode()
