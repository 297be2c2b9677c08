"""Text cut into blocks: sums per block, and the metric of added sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.core.errors import BenchError
from bench.text.outputs import token_blocks, usual_block_length

LOG_PROBS_N = np.array([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0])


def test_a_block_holds_its_loss_and_its_tokens_and_the_last_may_be_short() -> None:
    blocks = token_blocks(LOG_PROBS_N, metric="perplexity", block_length=3)
    assert blocks.sums.tolist() == [[6.0, 3.0], [15.0, 3.0], [7.0, 1.0]]
    assert blocks.noun == "7 tokens in 3 blocks of 3"


@pytest.mark.parametrize("block_length", [1, 2, 3, 4, 6])
def test_all_blocks_together_are_the_metric_of_the_text(block_length: int) -> None:
    perplexity = token_blocks(LOG_PROBS_N, metric="perplexity", block_length=block_length)
    bits = token_blocks(LOG_PROBS_N, metric="bits-per-character", block_length=block_length)
    assert perplexity.metric(perplexity.sums.sum(0)) == pytest.approx(math.exp(4.0))
    assert bits.metric(bits.sums.sum(0)) == pytest.approx(4.0 / math.log(2))


def test_the_metric_of_many_sums_at_once() -> None:
    blocks = token_blocks(LOG_PROBS_N, metric="perplexity", block_length=3)
    assert blocks.metric(blocks.sums) == pytest.approx(np.exp([2.0, 5.0, 7.0]))


@pytest.mark.parametrize(
    ("num_tokens", "metric", "length"),
    [
        (82_430, "perplexity", 1000),
        (446_184, "bits-per-character", 5000),
        (30_000, "perplexity", 600),
        (300, "perplexity", 6),
        (20, "perplexity", 1),
    ],
)
def test_the_usual_length(num_tokens: int, metric: str, length: int) -> None:
    assert usual_block_length(num_tokens, metric) == length


@pytest.mark.parametrize("block_length", [7, 100])
def test_one_block_is_not_enough(block_length: int) -> None:
    with pytest.raises(BenchError, match=rf"--block-length {block_length}: .* at most 3"):
        token_blocks(LOG_PROBS_N, metric="perplexity", block_length=block_length)
