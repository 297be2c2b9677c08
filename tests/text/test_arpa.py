"""ARPA files, read back by another reader."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import arpa  # type: ignore[import-untyped]
import numpy as np
import pytest

from bench.core.errors import BenchError
from bench.text.baselines.arpa import write_arpa
from bench.text.baselines.ngram import NGram, Smoothing

END = 2
WORDS = ["the", "a", "<eos>", "cat", "dog", "ran", "<unk>"]


def text(seed: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.append(np.random.default_rng(seed).zipf(1.5, 200) % 7, END)


def lines(tokens: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[list[int]]:
    ends = np.flatnonzero(tokens == END)
    return [list(part) for part in np.split(tokens, ends + 1)[:-1]]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("method", ["kneser-ney", "modified-kneser-ney", "katz"])
def test_another_reader_gives_the_same_sentence_probabilities(
    tmp_path: Path, order: int, method: Smoothing
) -> None:
    model = NGram(order=order, smoothing=method)
    model.fit(text(0), valid=text(0), vocabulary_size=7, end_of_sentence=END)
    write_arpa(model, WORDS, tmp_path / "model.arpa")
    reader = arpa.loadf(str(tmp_path / "model.arpa"))[0]
    assert reader.order() == order
    checked = 0
    for line in lines(text(1)):
        if len(line) > 1:
            words = " ".join(WORDS[w] for w in line[:-1])
            ours = model.log_probs(np.array(line)).sum() / np.log(10)
            assert reader.log_s(words) == pytest.approx(ours, abs=1e-5)
            checked += 1
    assert checked > 5


def test_across_sentences_the_end_is_an_ordinary_word(tmp_path: Path) -> None:
    model = NGram(order=3, contexts="across-sentences")
    model.fit(text(0), valid=text(0), vocabulary_size=7, end_of_sentence=END)
    write_arpa(model, WORDS, tmp_path / "model.arpa")
    reader = arpa.loadf(str(tmp_path / "model.arpa"))[0]
    stream = tuple(WORDS[w] for w in (END, *text(1)))
    theirs = [reader.log_p(stream[max(t - 2, 0) : t + 1]) for t in range(1, len(stream))]
    assert model.log_probs(text(1)) / np.log(10) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "message"), [(WORDS[:-1], "vocabulary 6"), ([*WORDS[:-1], "a b"], "white space")]
)
def test_a_wrong_vocabulary_is_refused(
    tmp_path: Path, words: list[str], message: Literal["vocabulary 6", "white space"]
) -> None:
    model = NGram(order=2)
    model.fit(text(0), valid=text(0), vocabulary_size=7, end_of_sentence=END)
    with pytest.raises(BenchError, match=message):
        write_arpa(model, words, tmp_path / "model.arpa")
