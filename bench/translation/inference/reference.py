"""Translations against a reference that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bench.core.errors import BenchError
from bench.translation.data.corpus import ParallelCorpus
from bench.translation.inference.lines import decoded
from bench.translation.metrics.translation import beside_bleu, count_sentences


def read_text(path: Path, option: str) -> list[str]:
    """The lines of a plain file that an option names; BenchError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return list(decoded(file, str(path)))
    except OSError as error:
        raise BenchError(f"{option} {path}: cannot read it ({error.strerror})") from None


def scores(
    texts: Sequence[str],
    references: Sequence[str],
    *,
    corpus: ParallelCorpus,
    unknown: Literal["never", "aligned"] = "never",
    words: Sequence[str] | None = None,
) -> dict[str, float]:
    """Signature -> value in percent of plain translations, as a run of the corpus is scored.

    `words`: the same with their words between blanks; cut as the task does unless given.
    """
    if len(texts) != len(references):
        raise BenchError(
            f"{len(texts):,} translations and {len(references):,} references: give one reference "
            "a line"
        )
    protocol = replace(corpus.bleu, unknown=unknown)

    def cut(lines: Sequence[str]) -> list[str]:
        return [" ".join(corpus.target.tokens(line)) for line in lines]

    if protocol.text == "tokenised":
        hypotheses, truth = words if words is not None else cut(texts), cut(references)
    else:
        hypotheses, truth = texts, list(references)
    counts = count_sentences(hypotheses, truth, protocol=protocol)
    suffix = f"|unknown:{unknown}" if unknown != "never" else ""
    beside = {f"{key}{suffix}": value for key, value in beside_bleu(texts, references).items()}
    return {protocol.signature: counts.value, **beside}
