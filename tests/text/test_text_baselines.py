"""Laws of every baseline of text: distributions over the next word, from the words before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.domains import baseline_class, load_domain

V, END = 12, 0
SIZES: dict[str, dict[str, int]] = {
    "forest": {"num_trees": 3, "order": 3},
    "maxent": {"max_iterations": 20},
}
MODELS = {name: (name, SIZES.get(name, {})) for name in load_domain("text").baselines} | {
    "forest of 5-grams": ("forest", {"num_trees": 3, "order": 5})
}
EACH = pytest.mark.parametrize("name", MODELS)


def text(seed: int, length: int = 300) -> NDArray[np.int64]:
    """Words that repeat their neighbours' parity, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, V // 2, length)
    return words * 2 + (np.cumsum(rng.random(length) < 0.2) % 2)


def made(name: str) -> Any:
    model, options = MODELS[name]
    return baseline_class("text", model)(**options)


def fitted(name: str, end: int | None = END) -> Any:
    model = made(name)
    model.fit(text(0), valid=text(1), vocabulary_size=V + 1, end_of_sentence=end)
    return model


@pytest.mark.parametrize("end", [END, None])
@EACH
def test_probabilities_sum_to_one_over_the_next_word(name: str, end: int | None) -> None:
    model, test = fitted(name, end), text(2)
    for length in (0, 1, 2, 7, 30):
        rows = [np.append(test[:length], word) for word in range(V + 1)]
        p = np.exp([model.log_probs(row)[-1] for row in rows])
        assert p.sum() == pytest.approx(1.0, abs=1e-6)
        assert p.min() > 0


@EACH
def test_no_word_is_seen_before_it_is_predicted(name: str) -> None:
    model, test = fitted(name), text(2)
    changed = np.append(test[:100], (test[100:] + 1) % V)
    before, after = model.log_probs(test), model.log_probs(changed)
    np.testing.assert_allclose(after[:100], before[:100], rtol=1e-12)
    assert not np.allclose(after[100:], before[100:])


@EACH
def test_fitting_again_finds_the_same(name: str) -> None:
    first, second = fitted(name), fitted(name)
    assert np.array_equal(first.log_probs(text(2)), second.log_probs(text(2)))
    assert first.num_parameters == second.num_parameters > 0


@EACH
def test_a_model_that_was_not_fitted_says_so(name: str) -> None:
    with pytest.raises(BenchError, match="not been fitted"):
        made(name).log_probs(text(0))
