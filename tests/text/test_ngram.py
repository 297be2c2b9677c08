"""N-gram models: values by hand, the equations as plain loops, an independent implementation."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.lm.models import KneserNeyInterpolated  # type: ignore[import-untyped]
from nltk.lm.preprocessing import everygrams  # type: ignore[import-untyped]

from bench.core.errors import BenchError
from bench.text.baselines import ngram as smoothing
from bench.text.baselines.ngram import NGram, Smoothing, discount_ratios

Contexts = Literal["within-sentences", "across-sentences"]
A, B, C, END = range(4)


def fitted(tokens: list[int], vocabulary_size: int, model: NGram, end: int | None = END) -> NGram:
    text = np.array(tokens)
    model.fit(text, valid=text, vocabulary_size=vocabulary_size, end_of_sentence=end)
    return model


# Two lines, "a b" and "a c". Bigrams: <s>a twice; ab, b</s>, ac, c</s> once: n1 = 4, n2 = 1, and
# D = 4 / (4 + 2) = 2/3. Distinct left words: a 1, b 1, c 1, </s> 2: n1 = 3, n2 = 1, D = 3/5, sum 5.
# B() = (4 * 3/5) / 5 = 12/25, so each word has 12/25 * 1/4 = 0.12 from the uniform order 0:
# P(a) = P(b) = P(c) = (1 - 3/5) / 5 + 0.12 = 0.2 and P(</s>) = (2 - 3/5) / 5 + 0.12 = 0.4.
# B(a) = (2/3 + 2/3) / 2 = 2/3;  B(<s>) = (2/3) / 2 = 1/3;  B(b) = B(c) = 2/3.
BY_HAND = [
    ([], [11 / 15, 1 / 15, 1 / 15, 2 / 15]),  # <s>: a = (2 - 2/3) / 2 + 1/3 * 0.2; else 1/3 * P
    ([A], [2 / 15, 0.3, 0.3, 4 / 15]),  # b = (1 - 2/3) / 2 + 2/3 * 0.2; a = 2/3 * 0.2
    ([A, B], [2 / 15, 2 / 15, 2 / 15, 0.6]),  # </s> = (1 - 2/3) / 1 + 2/3 * 0.4
]


@pytest.mark.parametrize(("history", "expected"), BY_HAND)
def test_kneser_ney_by_hand(history: list[int], expected: list[float]) -> None:
    model = NGram(order=2, smoothing="kneser-ney", contexts="within-sentences")
    fitted([A, B, END, A, C, END], 4, model)
    assert model.distribution(history) == pytest.approx(expected, abs=1e-12)


def test_modified_kneser_ney_by_hand() -> None:
    # Words seen 1 1 1 1 2 2 3 4 times and one never: n1 = 4, n2 = 2, n3 = n4 = 1, Y = 4 / 8 = 1/2;
    # D(1) = 1 - 2Y 2/4 = 0.5, D(2) = 2 - 3Y 1/2 = 1.25, D(3) = 3 - 4Y 1/1 = 1.
    # 15 tokens; freed: 4 * 0.5 + 2 * 1.25 + 1 + 1 = 6.5, spread over 9 words.
    counts = [1, 1, 1, 1, 2, 2, 3, 4, 0]
    model = NGram(order=1, smoothing="modified-kneser-ney")
    fitted([w for w, c in enumerate(counts) for _ in range(c)], 9, model, end=None)
    own = np.array([0.5, 0.5, 0.5, 0.5, 0.75, 0.75, 2, 3, 0]) / 15
    assert model.distribution([]) == pytest.approx(own + 6.5 / 15 / 9, abs=1e-12)


def test_good_turing_ratios_by_hand() -> None:
    # n_r = 2^(9-r): r*/r = (r+1) / 2r and u = 8 n_8 / n_1 = 1/16, so d_r = (8 + 8/r - 1) / 15.
    counts = np.repeat(np.arange(1, 9), [2 ** (9 - r) for r in range(1, 9)])
    expected = [1.0, *[(7 + 8 / r) / 15 for r in range(1, 8)], 1.0]
    assert discount_ratios(counts) == pytest.approx(expected, abs=1e-12)


def plain_kneser_ney(
    stream: list[int], start: int, order: int, vocabulary_size: int, contexts: Contexts
) -> dict[tuple[int, ...], float]:
    """P of all seen n-grams by the equations, one n-gram at a time; `start` is the stream's [0]."""
    raw: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
    for t in range(1, len(stream)):
        for k in range(1, min(order, t + 1) + 1):
            gram = tuple(stream[t - k + 1 : t + 1])
            if contexts == "across-sentences" or start not in gram[1:-1]:
                raw[k][gram] += 1
    p: dict[tuple[int, ...], float] = {}
    for k in range(1, order + 1):
        left: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
        if k < order:
            for gram in raw[k + 1]:
                left[gram[1:]].add(gram[0])
        a = {gram: len(left[gram]) or count for gram, count in raw[k].items()}
        n = Counter(a.values())
        d = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
        total: Counter[tuple[int, ...]] = Counter()
        types: Counter[tuple[int, ...]] = Counter()
        for gram, count in a.items():
            total[gram[:-1]] += count
            types[gram[:-1]] += 1
        grams = list(a) if k > 1 else [(w,) for w in range(vocabulary_size)]
        for gram in grams:
            h = gram[:-1]
            lower = p[gram[1:]] if k > 1 else 1 / vocabulary_size
            p[gram] = max(a.get(gram, 0) - d, 0) / total[h] + d * types[h] / total[h] * lower
    return p


TEXTS = st.lists(st.integers(0, 4), min_size=8, max_size=60)


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.integers(1, 7), st.sampled_from(["within-sentences", "across-sentences"]))
@example([0, 0, 0, 0, 3, 0, 0, 0], 7, "within-sentences")  # no line is as long as the order
def test_kneser_ney_equals_the_plain_loop(text: list[int], order: int, contexts: Contexts) -> None:
    model = fitted(text, 5, NGram(order=order, smoothing="kneser-ney", contexts=contexts))
    stream = [END, *text]
    p = plain_kneser_ney(stream, END, order, 5, contexts)
    # In its own training text every n-gram that the convention allows was seen.
    expected = []
    for t in range(1, len(stream)):
        grams = (tuple(stream[max(t - k + 1, 0) : t + 1]) for k in range(order, 0, -1))
        expected.append(next(p[gram] for gram in grams if gram in p))
    assert np.exp(model.log_probs(np.array(text))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("order", range(1, 8))
@pytest.mark.parametrize("contexts", ["within-sentences", "across-sentences"])
@pytest.mark.parametrize("method", ["kneser-ney", "modified-kneser-ney", "katz"])
@pytest.mark.parametrize("end", [END, None])
def test_distributions_sum_to_one_and_score_the_text(
    order: int, contexts: Contexts, method: Smoothing, end: int | None
) -> None:
    rng = np.random.default_rng(order)
    train, test = rng.zipf(1.5, 400) % 29, rng.zipf(1.5, 60) % 30  # word 29 is never trained on
    model = NGram(order=order, smoothing=method, contexts=contexts)
    fitted(list(train), 30, model, end=end)
    rows = [model.distribution(test[:t]) for t in range(len(test))]
    assert np.sum(rows, axis=1) == pytest.approx(1.0, abs=1e-9)
    assert np.min(rows) > 0
    own = [row[w] for row, w in zip(rows, test, strict=True)]
    assert model.log_probs(test) == pytest.approx(np.log(own), abs=1e-9)


@pytest.mark.parametrize("order", [2, 3])
def test_kneser_ney_agrees_with_nltk(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # nltk takes one given discount and uses none for single words, nor a uniform order 0.
    rng = np.random.default_rng(0)
    text = (rng.zipf(1.6, 300) % 8).tolist()
    text += text[:4]  # so that no n-gram lacks a left neighbour, where conventions differ
    given_discounts = iter([(0.0,), (0.4,), (0.4,)])
    monkeypatch.setattr(smoothing, "estimate_discounts", lambda *_, **__: next(given_discounts))
    ours = fitted(text, 8, NGram(order=order, smoothing="kneser-ney"), end=None)
    theirs = KneserNeyInterpolated(order, discount=0.4)
    words = [str(w) for w in text]
    theirs.fit([list(everygrams(words, max_len=order))], vocabulary_text=words)
    for t in range(order, len(text) - 1, 7):
        history = text[t - order + 1 : t]
        expected = [theirs.score(str(w), [str(h) for h in history]) for w in range(8)]
        assert ours.distribution(history) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("contexts", "same"), [("within-sentences", True), ("across-sentences", False)]
)
def test_only_across_sentences_does_the_line_before_matter(contexts: Contexts, same: bool) -> None:
    rng = np.random.default_rng(1)
    text = [*(rng.integers(0, 4, 300)), END]
    model = fitted(text, 4, NGram(order=4, contexts=contexts))
    first, second = (model.distribution([A, *line, END, B]) for line in ([A, B], [C, C]))
    assert np.allclose(first, second) == same


def test_undetermined_discounts_are_reported() -> None:
    said: list[str] = []
    text = np.array([A, B, END])
    NGram(order=2).fit(text, valid=text, vocabulary_size=4, end_of_sentence=END, report=said.append)
    assert len(said) == 2
    assert said[0].startswith("order 1: too few")


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(BenchError, match="order 8"):
        NGram(order=8)
    with pytest.raises(BenchError, match="min_count 2"):
        NGram(min_count=2)
    with pytest.raises(BenchError, match="word id 4"):
        fitted([A, 4], 4, NGram())
