"""Test units: what a run scored on each piece of the test data.

A metric of a whole corpus is a function of sums over its units: of losses and counts for a mean, of
errors and reference words for an error rate, of n-gram matches and lengths for BLEU. Resampling
the units and adding up gives the metric of another corpus of the same kind.

Shapes: U units, K statistics, N tokens, X any leading dimensions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np

from bench.core.errors import BenchError
from bench.text.outputs import Floats

# Losses of neighbouring sentences depend on one another; a block has to be long against that. On
# Penn Treebank the spread of block means over the square root of their number, which is the error
# of perplexity, grows fourfold from single words to blocks of 1,000 and hardly from there on.
_USUAL_BLOCK_LENGTHS = {"bits-per-character": 5000}
_USUAL_BLOCK_LENGTH = 1000
_FEWEST_USUAL_BLOCKS = 50


class Units(Protocol):
    """A run's test score, unit by unit."""

    @property
    def noun(self) -> str:
        """The units in words, with their number; runs over the same units say the same."""
        ...

    @property
    def method(self) -> str:
        """How sums over units become the metric, for the notes under a table."""
        ...

    @property
    def sums(self) -> Floats:
        """Sufficient statistics of each unit [U, K], to be added over units."""
        ...

    def metric(self, sums_XK: Floats) -> Floats:
        """The metric [X] of added statistics."""
        ...


@runtime_checkable
class PairedUnits(Units, Protocol):
    """Units whose field has a paired test of its own that referees expect."""

    def paired_test(self, other: Self) -> tuple[float, str]:
        """p between two runs over the same units, and what to say of the test."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenBlocks:
    """Consecutive tokens, cut into blocks; the last one may be shorter.

    The statistics are the loss in nats and the number of tokens.
    """

    sums: Floats
    block_length: int
    metric_name: str

    @property
    def noun(self) -> str:
        num_tokens = int(self.sums[:, 1].sum())
        blocks = f"{len(self.sums):,} blocks of {self.block_length:,}"
        return f"{num_tokens:,} tokens in {blocks}"

    @property
    def method(self) -> str:
        name = self.metric_name.replace("-", " ")
        return f"losses in nats are added over blocks and each resample is turned into {name}"

    def metric(self, sums_XK: Floats) -> Floats:
        nats_X = np.asarray(sums_XK[..., 0] / sums_XK[..., 1])
        if self.metric_name == "bits-per-character":
            return nats_X / math.log(2)
        return np.exp(np.minimum(nats_X, 700.0))


def token_blocks(log_probs_N: Floats, *, metric: str, block_length: int | None) -> TokenBlocks:
    """The tokens of a run in blocks of `block_length`, or of a usual length.

    Usual: 1,000 words or 5,000 characters, and less where that gives fewer than fifty blocks.
    Raises BenchError where fewer than two blocks remain.
    """
    num_tokens = len(log_probs_N)
    length = block_length or usual_block_length(num_tokens, metric)
    starts = np.arange(0, num_tokens, length)
    if len(starts) < 2:
        raise BenchError(
            f"--block-length {length}: {num_tokens:,} tokens make {len(starts)} block, give at "
            f"most {max(1, num_tokens // 2):,}"
        )
    nats_U = -np.add.reduceat(log_probs_N, starts)
    tokens_U = np.diff([*starts, num_tokens]).astype(np.float64)
    return TokenBlocks(
        sums=np.stack([nats_U, tokens_U], axis=1), block_length=length, metric_name=metric
    )


def usual_block_length(num_tokens: int, metric: str) -> int:
    """Tokens a block, unless a length is given."""
    usual = _USUAL_BLOCK_LENGTHS.get(metric, _USUAL_BLOCK_LENGTH)
    return max(1, min(usual, num_tokens // _FEWEST_USUAL_BLOCKS))
