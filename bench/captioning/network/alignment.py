"""Which region of an image each word belongs to, kept beside a run's weights.

    alignments-test.jsonl    {"image": ..., "words": [...], "regions": [...], "weights": [...]}

Of a captioner with attention: the region that each word of its caption looked at most, and with
which weight. Of a ranking network over regions: the region with the largest product for each word
of each reference caption (A. Karpathy and L. Fei-Fei, 2015), and the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec

from bench.core.record import write_atomically


class WordRegions(msgspec.Struct, frozen=True, kw_only=True):
    """One caption and a region for each of its words, counted from 0 as the store has them."""

    image: str
    words: tuple[str, ...]
    regions: tuple[int, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(
        cls, image: str, words: Sequence[str], regions: Sequence[int], weights: Sequence[float]
    ) -> Self:
        """Of the words alone, where regions and weights go on over an end and padding."""
        size = len(words)
        return cls(
            image=image,
            words=tuple(words),
            regions=tuple(regions[:size]),
            weights=tuple(round(weight, 5) for weight in weights[:size]),
        )


def alignments_path(folder: Path, split: str) -> Path:
    """Where the alignments of a split are kept."""
    return folder / f"alignments-{split}.jsonl"


def write_alignments(folder: Path, split: str, lines: Sequence[WordRegions]) -> None:
    """Keep them."""
    encoded = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    write_atomically(alignments_path(folder, split), encoded)
