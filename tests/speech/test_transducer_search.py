"""Greedy and beam search of a transducer against the scores of all label sequences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lattices import plain_log_likelihood
from posteriors import all_sequences
from tiny_transducer import Network, utterances

from bench.core.errors import BenchError
from bench.speech.decoding import transducer as transducer_module
from bench.speech.decoding.hypotheses import Labels
from bench.speech.decoding.transducer import (
    _Search,
    greedy_search,
    transducer_beam_search,
    transducer_log_probs,
)


def plain_log_prob(network: Network, frame_TJ: torch.Tensor, labels: Labels) -> float:
    """The score of one label sequence by the plain loop over its lattice."""
    prediction, state = network.begin(1)
    predictions = [prediction]
    for label in labels:
        prediction, state = network.predict(torch.tensor([label]), state)
        predictions.append(prediction)
    log_p_TSV = network.log_probs(frame_TJ[:, None], torch.stack(predictions, dim=1))
    return float(plain_log_likelihood(log_p_TSV.detach(), torch.tensor(labels)))


def plain_greedy(network: Network, frame_TJ: torch.Tensor, most: int) -> Labels:
    labels: list[int] = []
    prediction, state = network.begin(1)
    for frame_J in frame_TJ:
        for _ in range(most):
            best = int(network.log_probs(frame_J[None], prediction).argmax())
            if best == 0:
                break
            labels.append(best)
            prediction, state = network.predict(torch.tensor([best]), state)
    return tuple(labels)


@pytest.mark.parametrize("blank", [-3.0, 0.0, 1.0, 3.0])
@pytest.mark.parametrize("most", [1, 4])
def test_greedy_search_equals_the_plain_loop(
    blank: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transducer_module, "MAX_LABELS_PER_FRAME", most)
    network = Network(4, blank=blank)
    encoder, lengths = utterances([7, 3, 1, 7, 5])
    frames = network.frames(encoder)
    found = greedy_search(network, frames, lengths)
    wanted = [plain_greedy(network, frames[b, :t], most) for b, t in enumerate(lengths.tolist())]
    assert found == wanted


@pytest.mark.parametrize("chunk_rows", [1, 1 << 14])
def test_log_probs_equal_the_plain_loop(chunk_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transducer_module, "CHUNK_ROWS", chunk_rows)
    network = Network(4)
    encoder, lengths = utterances([4, 1])
    frames = network.frames(encoder)
    labels: list[list[Labels]] = [[(), (1,), (3, 3, 2), (1, 2, 3, 1, 1)], [(2, 1)]]
    found = transducer_log_probs(network, frames, lengths, labels)
    for b, length in enumerate(lengths.tolist()):
        wanted = [plain_log_prob(network, frames[b, :length], y) for y in labels[b]]
        assert found[b].tolist() == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize(("num_frames", "num_outputs"), [(1, 4), (3, 3), (4, 3), (6, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_all_sequences(
    num_frames: int, num_outputs: int, seed: int
) -> None:
    network = Network(num_outputs, seed=seed, blank=1.0)
    encoder, lengths = utterances([num_frames], seed=seed)
    frames = network.frames(encoder)
    every = all_sequences(num_outputs - 1, num_frames)
    log_probs = transducer_log_probs(network, frames, lengths, [every])[0].tolist()
    wanted = sorted(zip(log_probs, every, strict=True), reverse=True)
    num_best = min(5, len(every))
    (found,) = transducer_beam_search(network, frames, lengths, width=200, num_best=num_best)
    in_cap = [hypothesis for hypothesis in found if len(hypothesis.labels) <= num_frames]
    pairs = zip(in_cap, wanted, strict=False)
    for hypothesis, (log_prob, labels) in pairs:
        assert hypothesis.labels == labels
        assert hypothesis.log_prob == pytest.approx(log_prob, abs=1e-12)
    assert found[0].log_prob >= wanted[0][0] - 1e-12


@torch.no_grad()
def test_the_beam_itself_holds_the_exact_probabilities_when_it_drops_nothing() -> None:
    # Before the candidates are scored once more.
    network = Network(3, blank=1.0)
    encoder, lengths = utterances([4])
    frames = network.frames(encoder)
    search = _Search(network, frames, lengths.numpy(), 300, 12)
    labels = search.run()[0]
    assert len(labels) == len(set(labels)) == 12
    exact = transducer_log_probs(network, frames, lengths, [labels])[0]
    assert search.end_BE[0].tolist() == pytest.approx(exact.tolist(), abs=1e-12)


@settings(max_examples=30, deadline=None)
@example(seed=1, width=2, sharpness=1.0, blank=1.0)  # the beam drops what greedy search finds
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0.5, 8), st.floats(-1, 3))
def test_a_beam_is_never_less_probable_than_greedy(
    seed: int, width: int, sharpness: float, blank: float
) -> None:
    network = Network(4, seed=seed, sharpness=sharpness, blank=blank)
    encoder, lengths = utterances([8, 1, 5], seed=seed)
    frames = network.frames(encoder)
    greedy = [[labels] for labels in greedy_search(network, frames, lengths)]
    scores = transducer_log_probs(network, frames, lengths, greedy)
    found = transducer_beam_search(network, frames, lengths, width=width)
    for hypotheses, score in zip(found, scores, strict=True):
        assert hypotheses[0].log_prob >= float(score[0]) - 1e-12


def test_results_do_not_depend_on_the_batch() -> None:
    network = Network(5, blank=1.0)
    encoder, lengths = utterances([9, 4, 1, 7, 9, 2])
    frames = network.frames(encoder)
    together = transducer_beam_search(network, frames, lengths, width=6, num_best=3)
    for b, length in enumerate(lengths.tolist()):
        frames[b, length:] = math.nan
    for b, length in enumerate(lengths.tolist()):
        one = frames[b : b + 1, :length], lengths[b : b + 1]
        (alone,) = transducer_beam_search(network, *one, width=6, num_best=3)
        assert [h.labels for h in alone] == [h.labels for h in together[b]]
        log_probs = [h.log_prob for h in together[b]]
        assert [h.log_prob for h in alone] == pytest.approx(log_probs, abs=1e-12)
    again = transducer_beam_search(network, frames, lengths, width=6, num_best=3)
    assert [[h.labels for h in of_one] for of_one in again] == [
        [h.labels for h in of_one] for of_one in together
    ]


def test_wider_beams_come_closer_to_the_best() -> None:
    network = Network(4, sharpness=1.5, blank=0.5)
    encoder, lengths = utterances([5] * 12, seed=9)
    frames = network.frames(encoder)
    log_probs = [
        [found[0].log_prob for found in transducer_beam_search(network, frames, lengths, width=w)]
        for w in (1, 4, 16, 500)
    ]
    totals = [sum(of_width) for of_width in log_probs]
    assert totals == sorted(totals)
    assert totals[0] < totals[-1] - 1e-3
    best = transducer_log_probs(network, frames, lengths, [all_sequences(3, 5)] * 12)
    assert log_probs[-1] == pytest.approx([of_one.max() for of_one in best], abs=1e-10)


def test_a_network_that_never_puts_out_blanks_still_ends() -> None:
    network = Network(3, blank=-50.0)
    encoder, lengths = utterances([3, 2])
    frames = network.frames(encoder)
    most = transducer_module.MAX_LABELS_PER_FRAME
    greedy = greedy_search(network, frames, lengths)
    assert [len(labels) for labels in greedy] == [3 * most, 2 * most]
    found = transducer_beam_search(network, frames, lengths, width=3)
    assert all(math.isfinite(hypotheses[0].log_prob) for hypotheses in found)


@pytest.mark.parametrize(
    ("lengths", "value", "message"),
    [
        ([0], 0.0, "utterance 0 of the batch has 0 frames"),
        ([4], 0.0, "has 4 frames, the batch has 3"),
        ([3], math.nan, "NaN"),
    ],
)
def test_what_cannot_be_searched_is_refused(lengths: list[int], value: float, message: str) -> None:
    frames = torch.full((1, 3, 8), value, dtype=torch.float64)
    for search in (greedy_search, transducer_beam_search):
        with pytest.raises(BenchError, match=message):
            search(Network(3), frames, torch.tensor(lengths))
