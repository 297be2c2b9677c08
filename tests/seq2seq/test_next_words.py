"""The best next words, taken chunk by chunk: those of the whole distribution."""

from __future__ import annotations

import math

import pytest
import torch

from bench.layers.full import FullSoftmax, chunk_rows
from bench.seq2seq.next_words import Best, LogProbs, NextWords

END = 2


def next_words(num_rows: int, num_words: int, *, dtype: torch.dtype) -> NextWords:
    generator = torch.Generator().manual_seed(num_words)
    output = FullSoftmax(6, torch.ones(num_words)).to(dtype)
    with torch.no_grad():
        for parameter in output.parameters():
            parameter.copy_(2 * torch.randn(parameter.shape, generator=generator))
    return NextWords(output, torch.randn(num_rows, 6, generator=generator).to(dtype))


def plainly(following: NextWords, k: int, forbidden: tuple[int, ...]) -> Best:
    """Row by row in float64: softmax over all words, then the largest of those that are allowed."""
    weight, bias = following.output.weight.double(), following.output.bias.double()
    values, words, ends = [], [], []
    for r_R in following.readouts.double():
        log_p = (weight @ r_R + bias).log_softmax(0).tolist()
        allowed = [word for word in range(len(log_p)) if word not in forbidden]
        words.append(sorted(allowed, key=lambda word: -log_p[word])[:k])
        values.append([log_p[word] for word in words[-1]])
        ends.append(log_p[END])
    return Best(
        torch.tensor(values, dtype=torch.float64),
        torch.tensor(words),
        torch.tensor(ends, dtype=torch.float64),
    )


@pytest.mark.parametrize("forbidden", [(), (1,), (1, 0, END)])
@pytest.mark.parametrize(("num_words", "k"), [(7, 3), (700, 1), (1003, 5)])
@torch.no_grad()
def test_the_best_words_are_those_of_all(
    num_words: int, k: int, forbidden: tuple[int, ...]
) -> None:
    following = next_words(9, num_words, dtype=torch.float64)
    expected = plainly(following, k, forbidden)
    for found in (
        following.best(k, forbidden, end=END),
        LogProbs(following.log_probs()).best(k, forbidden, end=END),
    ):
        assert torch.equal(found.tokens, expected.tokens)
        torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=0, atol=1e-12)
        torch.testing.assert_close(
            found.log_prob_of_end, expected.log_prob_of_end, rtol=0, atol=1e-12
        )


@torch.no_grad()
def test_rows_of_several_chunks_come_back_in_order() -> None:
    num_words = 20_000
    num_rows = 2 * chunk_rows(num_words, 4, "cpu", "inference") + 3
    following = next_words(num_rows, num_words, dtype=torch.float32)
    found, log_p_NV = following.best(4, (1,), end=END), following.log_probs()
    expected = LogProbs(log_p_NV).best(4, (1,), end=END)
    torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.log_probs, log_p_NV.gather(1, found.tokens))
    torch.testing.assert_close(log_p_NV.exp().sum(1), torch.ones(num_rows))


@torch.no_grad()
def test_a_forbidden_word_may_be_by_far_the_most_probable() -> None:
    following = next_words(3, 50, dtype=torch.float32)
    following.output.bias[1] = 500.0
    found = following.best(2, (1,), end=END)
    assert bool((found.log_probs < -400).all())
    assert bool(found.log_probs.isfinite().all())


@torch.no_grad()
def test_nan_is_among_the_best() -> None:
    following = next_words(3, 700, dtype=torch.float32)
    following.output.bias[650] = math.nan
    assert bool(following.best(2, (1,), end=END).log_probs.isnan().any())
