"""Best path and prefix beam search against the enumeration of all paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from posteriors import all_sequences, enumerated, posteriors
from torch import Tensor

from bench.core.errors import BenchError
from bench.speech.decoding.ctc import (
    Fusion,
    NGramLabels,
    _Search,
    best_path,
    collapsed,
    ctc_log_probs,
    prefix_beam_search,
)
from bench.speech.decoding.hypotheses import Floats, Hypothesis, Ints, Labels
from bench.text.baselines.ngram import NGram

PATHS: list[tuple[list[int], Labels]] = [
    ([], ()),
    ([0, 0], ()),
    ([1, 1, 1], (1,)),
    ([1, 0, 1], (1, 1)),
    ([0, 2, 2, 0, 2, 1, 1], (2, 2, 1)),
    ([3, 2, 0, 0, 2, 3], (3, 2, 2, 3)),
]


@pytest.mark.parametrize(("path", "labels"), PATHS)
def test_paths_collapse(path: list[int], labels: Labels) -> None:
    assert collapsed(path) == labels
    if path:
        log_p = torch.nn.functional.one_hot(torch.tensor([path]), 4).double().log()
        assert best_path(log_p, torch.tensor([len(path)])) == [labels]


@pytest.mark.parametrize(("num_frames", "num_outputs"), [(1, 2), (4, 3), (6, 2), (5, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_every_sequence_with_its_probability(
    num_frames: int, num_outputs: int, seed: int
) -> None:
    log_p = posteriors((1, num_frames, num_outputs), seed=seed)
    wanted = sorted(enumerated(log_p[0]).items(), key=lambda pair: -pair[1])
    width = 2 * len(wanted)
    (found,) = prefix_beam_search(log_p, torch.tensor([num_frames]), width=width, num_best=width)
    assert [hypothesis.labels for hypothesis in found] == [labels for labels, _ in wanted]
    log_probs = [hypothesis.log_prob for hypothesis in found]
    assert log_probs == pytest.approx([log_prob for _, log_prob in wanted], abs=1e-12)
    assert log_probs == [hypothesis.score for hypothesis in found]


def test_the_beam_keeps_the_sums_of_its_prefixes() -> None:
    # Before the candidates are scored once more: p_b and p_l of a beam that drops nothing.
    log_p = posteriors((1, 5, 3), seed=4)
    search = _Search(log_p.numpy(), np.array([5]), 200, None)
    search.run(1)
    total = np.logaddexp(search.blank_BW, search.label_BW)[0]
    alive = [w for w in range(200) if total[w] > -np.inf]
    found = {search.prefixes.labels(0, w, 5): total[w] for w in alive}
    assert found == pytest.approx(enumerated(log_p[0]), abs=1e-12)
    assert len(found) == len(alive)  # no prefix stands in the beam twice


@pytest.mark.parametrize("seed", range(4))
def test_probabilities_of_sequences_equal_the_enumeration(seed: int) -> None:
    log_p = posteriors((2, 5, 3), seed=seed)
    sequences = all_sequences(2, 6)
    found = ctc_log_probs(log_p, torch.tensor([5, 3]), [sequences, sequences[:4]])
    for b, num_frames in enumerate([5, 3]):
        wanted = enumerated(log_p[b, :num_frames])
        expected = [wanted.get(y, -math.inf) for y in sequences[: len(found[b])]]
        assert found[b].tolist() == pytest.approx(expected, abs=1e-12)


class Table:
    """A label model whose state is the last label: p(next | last) from a table, 0 the end."""

    def __init__(self, num_outputs: int) -> None:
        z = np.random.default_rng(7).normal(size=(num_outputs, num_outputs))
        self.log_p: Floats = z - np.log(np.exp(z).sum(1, keepdims=True))

    def start(self) -> int:
        return 0

    def log_probs(self, state_N: Ints) -> Floats:
        return self.log_p[state_N]

    def advance(self, state_N: Ints, label_N: Ints) -> Ints:
        return label_N

    def of(self, labels: Labels) -> float:
        steps = zip((0, *labels), (*labels, 0), strict=True)
        return sum(float(self.log_p[before, now]) for before, now in steps)


@pytest.mark.parametrize(("weight", "bonus"), [(1.0, 0.0), (0.3, 1.5), (2.0, -1.0)])
def test_a_label_model_and_a_bonus_are_part_of_the_score(weight: float, bonus: float) -> None:
    log_p, model = posteriors((1, 5, 3), seed=2), Table(3)
    fusion = Fusion(model=model, weight=weight, insertion_bonus=bonus)
    wanted = {
        labels: log_prob + weight * model.of(labels) + bonus * len(labels)
        for labels, log_prob in enumerated(log_p[0]).items()
    }
    search = prefix_beam_search(log_p, torch.tensor([5]), width=200, num_best=9, fusion=fusion)
    ranked = sorted(wanted.items(), key=lambda pair: -pair[1])[:9]
    assert [hypothesis.labels for hypothesis in search[0]] == [labels for labels, _ in ranked]
    scores = [hypothesis.score for hypothesis in search[0]]
    assert scores == pytest.approx([score for _, score in ranked], abs=1e-12)
    assert search[0][0].log_prob == pytest.approx(enumerated(log_p[0])[ranked[0][0]], abs=1e-12)


def fitted_ngram(order: int) -> NGram:
    """Labels 1, 2, 3 as the words 2, 0, 3; the word 1 ends a line."""
    text = np.random.default_rng(0).choice([0, 0, 1, 2, 3, 3], size=300)
    model = NGram(order=order, smoothing="kneser-ney")
    model.fit(text, valid=text, vocabulary_size=4, end_of_sentence=1)
    return model


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("labels", [(), (2,), (1, 3, 2, 2, 1, 3)])
def test_an_ngram_model_scores_labels_as_it_scores_text(order: int, labels: Labels) -> None:
    model, word = fitted_ngram(order), np.array([1, 2, 0, 3])
    fusion = Fusion(model=NGramLabels(model, word), weight=1.0)
    wanted = model.log_probs(word[[*labels, 0]]).sum()
    assert fusion.total(labels) == pytest.approx(wanted, abs=1e-12)
    assert fusion.total(labels) == pytest.approx(wanted, abs=1e-12)  # from the kept states too


def test_an_ngram_model_in_the_search() -> None:
    log_p, lengths = posteriors((3, 6, 4), seed=5, sharpness=0.7), torch.tensor([6, 5, 6])
    model = NGramLabels(fitted_ngram(3), np.array([1, 2, 0, 3]))
    fusion = Fusion(model=model, weight=0.8, insertion_bonus=0.5)
    found = prefix_beam_search(log_p, lengths, width=600, fusion=fusion)
    for b, length in enumerate(lengths.tolist()):
        wanted = {y: p + fusion.total(y) for y, p in enumerated(log_p[b, :length]).items()}
        assert found[b][0].score == pytest.approx(max(wanted.values()), abs=1e-10)
        assert found[b][0].labels == max(wanted, key=lambda y: wanted[y])


def greedy_score(log_p: Tensor, lengths: Tensor, fusion: Fusion | None) -> list[float]:
    greedy = best_path(log_p, lengths)
    log_probs = ctc_log_probs(log_p, lengths, [[labels] for labels in greedy])
    bonuses = [0.0 if fusion is None else fusion.total(labels) for labels in greedy]
    return [float(p[0]) + bonus for p, bonus in zip(log_probs, bonuses, strict=True)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.floats(0.1, 4), st.booleans())
def test_a_beam_never_scores_below_the_best_path(
    seed: int, width: int, sharpness: float, fused: bool
) -> None:
    log_p = posteriors((4, 9, 4), seed=seed, sharpness=sharpness)
    lengths = torch.tensor([9, 1, 5, 9])
    fusion = Fusion(model=Table(4), weight=0.5, insertion_bonus=1.0) if fused else None
    found = prefix_beam_search(log_p, lengths, width=width, fusion=fusion)
    for hypotheses, score in zip(found, greedy_score(log_p, lengths, fusion), strict=True):
        assert hypotheses[0].score >= score


@pytest.mark.parametrize("fusion", [None, Fusion(model=Table(6), weight=0.4)])
def test_results_do_not_depend_on_the_batch(fusion: Fusion | None) -> None:
    log_p = posteriors((37, 12, 6), seed=1)  # more than two groups
    lengths = torch.randint(1, 13, (37,), generator=torch.Generator().manual_seed(0))
    together = prefix_beam_search(log_p, lengths, width=7, num_best=3, fusion=fusion)
    for b, length in enumerate(lengths.tolist()):
        log_p[b, length:] = math.nan
    assert prefix_beam_search(log_p, lengths, width=7, num_best=3, fusion=fusion) == together
    for b, length in enumerate(lengths.tolist()):
        one = log_p[b : b + 1, :length], lengths[b : b + 1]
        assert prefix_beam_search(*one, width=7, num_best=3, fusion=fusion) == [together[b]]


def test_wider_beams_come_closer_to_the_best() -> None:
    log_p, lengths = posteriors((12, 5, 4), seed=3, sharpness=0.5), torch.full((12,), 5)
    best = [max(enumerated(one).values()) for one in log_p]
    shortfall = []
    for width in (1, 4, 16, 400):
        found = prefix_beam_search(log_p, lengths, width=width)
        log_probs = [hypotheses[0].log_prob for hypotheses in found]
        shortfall.append(sum(best) - sum(log_probs))
    assert shortfall == sorted(shortfall, reverse=True)
    assert shortfall[0] > 1e-3
    assert shortfall[-1] == pytest.approx(0, abs=1e-10)


def test_certain_outputs_leave_one_hypothesis() -> None:
    log_p = torch.nn.functional.one_hot(torch.tensor([[1, 1, 0, 2]]), 3).double().log()
    found = prefix_beam_search(log_p, torch.tensor([4]), width=10, num_best=10)
    assert found == [[Hypothesis(labels=(1, 2), log_prob=0.0, score=0.0)]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "0 < num_best|1 best of a beam of 0"),
        ({"num_best": 3, "width": 2}, "3 best of a beam of 2"),
        ({"frames_B": torch.tensor([0])}, "utterance 0 of the batch has 0 frames"),
        ({"frames_B": torch.tensor([9])}, "has 9 frames, the batch has 4"),
        ({"log_p_BTV": torch.full((1, 4, 3), math.nan)}, "utterance 0.*NaN.*diverged"),
    ],
)
def test_what_cannot_be_searched_is_refused(change: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "log_p_BTV": torch.zeros(1, 4, 3),
        "frames_B": torch.tensor([4]),
        **change,
    }
    with pytest.raises(BenchError, match=message):
        prefix_beam_search(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.0), (-1.0, 0.0), (1.0, math.inf)])
def test_weights_that_make_no_score_are_refused(weight: float, bonus: float) -> None:
    with pytest.raises(BenchError, match="the weight is above 0"):
        Fusion(model=Table(3), weight=weight, insertion_bonus=bonus)
