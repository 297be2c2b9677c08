"""Counting models on Penn Treebank: figures of KenLM, SRILM and the literature."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.text.baselines.cache import cache_log_probs, fit_cache
from bench.text.baselines.mix import perplexity
from bench.text.baselines.ngram import NGram, Smoothing

Splits = dict[str, NDArray[np.int64]]


@pytest.fixture(scope="module")
def ptb(bench_data: Path) -> Splits:
    splits = {}
    for name in ("train", "valid", "test"):
        text = (bench_data / "ptb" / f"ptb.{name}.txt").read_text(encoding="utf-8")
        splits[name] = text.replace("\n", " <eos> ").split()
    ids = {word: i for i, (word, _) in enumerate(Counter(splits["train"]).most_common())}
    return {name: np.array([ids[word] for word in words]) for name, words in splits.items()}


def fit(ptb: Splits, model: NGram) -> NGram:
    end = 2  # after "the" and "<unk>", the most frequent word
    assert np.count_nonzero(ptb["train"] == end) == 42_068
    model.fit(ptb["train"], valid=ptb["valid"], vocabulary_size=10_000, end_of_sentence=end)
    return model


@pytest.mark.parametrize(
    ("order", "smoothing", "min_count", "expected", "tolerance"),
    [
        (5, "modified-kneser-ney", 1, 141.186, 0.001),  # KenLM, interpolated, no pruning
        (3, "katz", 2, 165.2, 0.05),  # SRILM's default trigram, as published
    ],
)
def test_perplexity_of_other_toolkits(
    ptb: Splits,
    order: int,
    smoothing: Smoothing,
    min_count: int,
    expected: float,
    tolerance: float,
) -> None:
    model = fit(ptb, NGram(order=order, smoothing=smoothing, min_count=min_count))
    assert perplexity(model.log_probs(ptb["test"])) == pytest.approx(expected, abs=tolerance)


@pytest.fixture(scope="module")
def kn5(ptb: Splits) -> NGram:
    return fit(ptb, NGram())


def test_kn5_with_a_cache(ptb: Splits, kn5: NGram) -> None:
    settings, _ = fit_cache(ptb["valid"], kn5.log_probs(ptb["valid"]), order=1)
    cached = cache_log_probs(ptb["test"], kn5.log_probs(ptb["test"]), settings)
    assert perplexity(cached) == pytest.approx(125.7, abs=1.5)


def test_probabilities_sum_to_one_after_real_histories(ptb: Splits, kn5: NGram) -> None:
    for t in np.random.default_rng(0).integers(6, len(ptb["test"]), 100):
        row = kn5.distribution(ptb["test"][t - 6 : t])
        assert row.sum() == pytest.approx(1.0, abs=1e-9)
        assert row.min() > 0
