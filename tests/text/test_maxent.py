"""The maximum-entropy model against an explicit softmax over the vocabulary."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.text.baselines.counts import Trie
from bench.text.baselines.maxent import Exponential, MaxEnt, minimise, pseudo_gradient

Contexts = Literal["within-sentences", "across-sentences"]
V, END = 6, 0


def text(seed: int, length: int = 60) -> NDArray[np.int64]:
    return np.random.default_rng(seed).zipf(1.4, length) % V


def model_of(order: int, contexts: Contexts, end: int | None = END) -> Exponential:
    trie = Trie.count(
        text(0), order=order, vocabulary_size=V, end_of_sentence=end, contexts=contexts
    )
    return Exponential(trie)


def softmax_rows(
    model: Exponential, theta: NDArray[np.float64], tokens: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """log p of each token and the features of every (token, word), by the definition."""
    starts = np.append(0, model.ends)
    spelled = {}
    for k in range(1, len(model.trie.orders) + 1):
        for i, gram in enumerate(model.trie.spell(k)):
            spelled[tuple(gram)] = starts[k - 1] + i
    end, within = model.trie.end_of_sentence, model.trie.contexts == "within-sentences"
    stream = ([] if end is None else [end]) + list(tokens)
    features_NVF = np.zeros((len(tokens), V, len(theta)))
    for t in range(len(tokens)):
        place = t + len(stream) - len(tokens)
        for k in range(1, len(model.trie.orders) + 1):
            context = stream[max(place - k + 1, 0) : place]
            if len(context) < k - 1 or (within and end is not None and end in context[1:]):
                break
            for w in range(V):
                if (*context, w) in spelled:
                    features_NVF[t, w, spelled[(*context, w)]] = 1
    scores_NV = features_NVF @ theta
    log_p_NV = scores_NV - np.log(np.exp(scores_NV).sum(axis=1, keepdims=True))
    own = np.arange(len(tokens)), tokens
    expected_NF = np.einsum("nv,nvf->nf", np.exp(log_p_NV), features_NVF)
    return log_p_NV[own], features_NVF[own] - expected_NF


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("contexts", ["within-sentences", "across-sentences"])
@pytest.mark.parametrize("end", [END, None])
def test_likelihood_and_gradient_equal_the_softmax(
    order: int, contexts: Contexts, end: int | None
) -> None:
    model = model_of(order, contexts, end)
    theta = np.random.default_rng(1).normal(size=len(model.counts))
    log_p_N, gradient_NF = softmax_rows(model, theta, text(0))
    value, gradient = model.likelihood(theta)
    assert value == pytest.approx(log_p_N.sum(), abs=1e-9)
    assert gradient == pytest.approx(gradient_NF.sum(axis=0), abs=1e-9)
    unseen = text(7)
    expected, _ = softmax_rows(model, theta, unseen)
    assert model.log_probs(theta, unseen) == pytest.approx(expected, abs=1e-9)


def test_distributions_sum_to_one_and_score_the_text() -> None:
    model, test = MaxEnt(order=3, max_iterations=20), text(3)
    model.fit(text(0), valid=text(2), vocabulary_size=V + 1, end_of_sentence=END)
    rows = [model.distribution(test[:t]) for t in range(len(test))]
    assert np.sum(rows, axis=1) == pytest.approx(1.0, abs=1e-12)
    assert np.min(rows) > 0
    own = [row[w] for row, w in zip(rows, test, strict=True)]
    assert model.log_probs(test) == pytest.approx(np.log(own), abs=1e-9)


def test_quasi_newton_solves_a_lasso_with_known_answer() -> None:
    # 1/2 sum a (x - b)^2 + l |x|: x = b shrunk towards zero by l / a, and zero within it.
    a, b, l1 = np.array([1.0, 100.0, 4.0, 2.0]), np.array([3.0, -2.0, 0.1, -0.4]), np.full(4, 0.5)
    l1[3] = 0.0
    steps = minimise(
        lambda x: (float(0.5 * a @ (x - b) ** 2), a * (x - b)),
        np.zeros(4),
        l1=l1,
        curvature=np.ones(4),
    )
    values, points = zip(*steps, strict=True)
    assert np.all(np.diff(values) <= 0)
    assert points[-1] == pytest.approx([2.5, -1.995, 0.0, -0.4], abs=1e-6)
    assert points[-1][2] == 0.0


def test_pseudo_gradient_by_hand() -> None:
    x, gradient = np.array([1.0, -1.0, 0, 0, 0]), np.array([0.2, 0.2, 0.2, 2.0, -2.0])
    got = pseudo_gradient(x, gradient, np.full(5, 0.5))
    assert got == pytest.approx([0.7, -0.3, 0.0, 1.5, -1.5])


def test_a_stronger_penalty_keeps_fewer_weights() -> None:
    sizes = []
    for l1 in (0.1, 2.0):
        model = MaxEnt(order=3, l1=l1)
        model.fit(text(0, 500), valid=text(2), vocabulary_size=V, end_of_sentence=END)
        sizes.append(model.num_parameters)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("options", [{"order": 0}, {"order": 8}])
def test_orders_that_do_not_exist_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(BenchError, match="order"):
        MaxEnt(order=options["order"])


@pytest.mark.parametrize(("l1", "variance"), [(-1.0, 6.0), (0.5, 0.0)])
def test_meaningless_priors_are_refused(l1: float, variance: float) -> None:
    with pytest.raises(BenchError, match="maxent needs"):
        MaxEnt(l1=l1, variance=variance)
