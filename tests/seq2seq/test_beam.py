"""Beam search: exact when wide, greedy when narrow, the same for a sentence in any batch."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_writer import END, START, Writer, every_sequence

from bench.core.errors import BenchError
from bench.seq2seq.beam import Hypothesis, Kind, LengthPenalty, StateT, StepNetwork, beam_search
from bench.seq2seq.next_words import LogProbs, top_entries
from bench.seq2seq.search import Ensemble, mean_log_prob

FEW_ULPS = 8 * sys.float_info.epsilon
"""Products of other batch sizes may round otherwise, by the processor."""
PENALTIES = [
    LengthPenalty(),
    LengthPenalty(kind="average"),
    LengthPenalty(kind="gnmt", alpha=0.6),
    LengthPenalty(kind="gnmt", alpha=1.0),
]


def search(
    network: StepNetwork[StateT],
    max_lengths: list[int],
    *,
    beam_size: int,
    num_best: int = 1,
    penalty: LengthPenalty | None = None,
) -> list[list[Hypothesis]]:
    return beam_search(
        network,
        torch.tensor(max_lengths),
        start=START,
        end=END,
        forbidden=(START,),
        beam_size=beam_size,
        num_best=num_best,
        penalty=penalty,
    )


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: penalty.signature)
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_is_exhaustive(penalty: LengthPenalty, seed: int) -> None:
    network, max_lengths = Writer(5, 3, seed=seed), [4, 2, 3]
    found = search(network, max_lengths, beam_size=40, num_best=4, penalty=penalty)
    for b, max_length in enumerate(max_lengths):
        scores = {}
        for tokens in every_sequence(5, max_length):
            log_prob = network.log_prob(b, tokens)
            scores[tokens] = penalty.score(log_prob, len(tokens) + 1)
        best = sorted(scores, key=lambda tokens: -scores[tokens])[:4]
        assert [one.tokens for one in found[b]] == best
        assert [one.score for one in found[b]] == pytest.approx([scores[t] for t in best])


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_is_greedy(seed: int) -> None:
    network, max_lengths = Writer(30, 6, seed=seed), [1, 3, 12, 12, 12, 12]
    for b, found in enumerate(search(network, max_lengths, beam_size=1)):
        tokens: list[int] = []
        token, state = START, network.only([b]).begin()
        while token != END:
            following, state = network.step(torch.tensor([token]), state)
            log_p_1V = following.log_probs().clone()
            log_p_1V[:, START] = -math.inf
            last = len(tokens) + 1 == max_lengths[b]
            token = END if last else int(log_p_1V.argmax())
            tokens.append(token)
        assert [one.tokens for one in found] == [tuple(tokens[:-1])]


@pytest.mark.parametrize("beam_size", [1, 2, 5, 12])
@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: penalty.signature)
def test_scores_are_those_of_a_rescoring(beam_size: int, penalty: LengthPenalty) -> None:
    network = Writer(20, 4)
    found = search(
        network, [9, 9, 2, 1], beam_size=beam_size, num_best=min(3, beam_size), penalty=penalty
    )
    for b, of_one in enumerate(found):
        for one in of_one:
            log_prob = network.log_prob(b, one.tokens)
            assert one.log_prob == pytest.approx(log_prob, abs=1e-9)
            assert one.score == pytest.approx(penalty.score(log_prob, len(one.tokens) + 1))
        assert [one.score for one in of_one] == sorted((one.score for one in of_one), reverse=True)
        assert len({one.tokens for one in of_one}) == len(of_one)


@given(order=st.permutations(range(7)), size=st.integers(1, 7), beam_size=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_results_do_not_depend_on_the_batch(order: list[int], size: int, beam_size: int) -> None:
    network, max_lengths = Writer(20, 7, end=1.0), [3, 9, 1, 7, 5, 9, 9]
    whole = search(network, max_lengths, beam_size=beam_size, num_best=beam_size)
    for first in range(0, 7, size):
        part = order[first : first + size]
        found = search(
            network.only(part),
            [max_lengths[b] for b in part],
            beam_size=beam_size,
            num_best=beam_size,
        )
        for found_here, found_there in zip(found, [whole[b] for b in part], strict=True):
            assert [one.tokens for one in found_here] == [one.tokens for one in found_there]
            for one, other in zip(found_here, found_there, strict=True):
                assert one.log_prob == pytest.approx(other.log_prob, rel=FEW_ULPS)
                assert one.score == pytest.approx(other.score, rel=FEW_ULPS)


def test_finished_sentences_leave_the_batch() -> None:
    network = Writer(20, 6, end=2.0)
    search(network, [1, 1, 2, 2, 9, 9], beam_size=3)
    first, second, third, *others = network.num_rows
    assert first == 6
    assert second <= 4 * 3
    assert third <= 2 * 3
    assert others == sorted(others, reverse=True)


def test_a_search_ends_where_nothing_can_get_better() -> None:
    network = Writer(20, 1, end=12.0)  # the end is almost certain at once
    assert search(network, [500], beam_size=5)[0][0].tokens == ()
    assert len(network.num_rows) < 5


def test_two_beams_see_what_greed_misses() -> None:
    class GardenPath:
        """Token 3 first is the more probable, and then nothing is."""

        def begin(self) -> torch.Tensor:
            return torch.zeros(1, dtype=torch.long)

        def step(self, token_N: torch.Tensor, state: torch.Tensor) -> tuple[LogProbs, torch.Tensor]:
            rows = {
                1: [0.0, 0.0, 0.0, 0.6, 0.4],
                3: [0.25, 0.0, 0.25, 0.25, 0.25],
                4: [0.0, 0.0, 0.9, 0.1, 0.0],
                0: [0.0, 0.0, 1.0, 0.0, 0.0],
            }
            p_NV = torch.tensor([rows[int(t)] for t in token_N.where(token_N != END, 0)])
            return LogProbs(p_NV.log()), state

        def reorder(self, state: torch.Tensor, row_BK: torch.Tensor) -> torch.Tensor:
            return state[row_BK.flatten()]

    def best(beam_size: int) -> tuple[int, ...]:
        found = beam_search(
            GardenPath(), torch.tensor([2]), start=START, end=END, beam_size=beam_size
        )
        return found[0][0].tokens

    assert (best(1), best(2)) == ((3,), (4,))


def test_an_ensemble_averages_probabilities() -> None:
    networks = [Writer(5, 2, seed=seed) for seed in (1, 2, 3)]
    found = search(Ensemble(networks), [3, 3], beam_size=40, num_best=3)
    for b in range(2):
        expected = {}
        for tokens in every_sequence(5, 3):
            each = []
            for network in networks:
                state, before, log_probs = network.only([b]).begin(), START, []
                for token in (*tokens, END):
                    following, state = network.step(torch.tensor([before]), state)
                    log_probs.append(following.log_probs()[0, token])
                    before = token
                each.append(torch.stack(log_probs))
            expected[tokens] = float(torch.stack(each).exp().mean(0).log().sum())
        best = sorted(expected, key=lambda tokens: -expected[tokens])[:3]
        assert [one.tokens for one in found[b]] == best
        assert [one.log_prob for one in found[b]] == pytest.approx([expected[t] for t in best])


def test_an_ensemble_of_copies_is_the_network() -> None:
    network = Writer(20, 3)
    alone = search(network, [9, 9, 9], beam_size=4)
    together = search(Ensemble([network, network.only([0, 1, 2])]), [9, 9, 9], beam_size=4)
    assert [[one.tokens for one in of_one] for of_one in together] == [
        [one.tokens for one in of_one] for of_one in alone
    ]
    log_p = torch.tensor([[-1.0, -math.inf]])
    assert torch.equal(mean_log_prob([log_p, log_p]), log_p)


@pytest.mark.parametrize(
    ("kind", "length", "score"),
    [("none", 7, -8.0), ("average", 4, -2.0), ("gnmt", 7, -4.0)],
)
def test_penalties_divide(kind: Kind, length: int, score: float) -> None:
    assert LengthPenalty(kind=kind, alpha=1.0).score(-8.0, length) == pytest.approx(score)


@pytest.mark.parametrize(("num_entries", "k"), [(3, 2), (64, 1), (1000, 5), (10_003, 12), (700, 5)])
def test_top_entries_are_the_largest(num_entries: int, k: int) -> None:
    values_NV = torch.randn(7, num_entries, generator=torch.Generator().manual_seed(num_entries))
    values_NV[0] = -math.inf
    values_NV[0, num_entries - 1] = 0.0
    values_NV[1, : num_entries // 2] = -math.inf
    best_Nk, place_Nk = top_entries(values_NV, k)
    assert torch.equal(best_Nk, values_NV.topk(k).values)
    assert torch.equal(values_NV.gather(1, place_Nk), best_Nk)
    assert all(len(set(row)) == k for row in place_Nk.tolist())


@pytest.mark.parametrize(
    ("beam_size", "num_best", "max_length", "message"),
    [(0, 1, 5, "choose 1"), (2, 3, 5, "3 best of a beam of 2"), (2, 1, 0, "its end")],
)
def test_invalid_searches_are_refused(
    beam_size: int, num_best: int, max_length: int, message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        search(Writer(5, 1), [max_length], beam_size=beam_size, num_best=num_best)


def test_nan_outputs_are_refused() -> None:
    network = Writer(200, 1)
    network.bias[7] = math.nan
    with pytest.raises(BenchError, match="diverged"):
        search(network, [5], beam_size=2)


def test_no_sentence_is_no_search() -> None:
    assert search(Writer(5, 0), [], beam_size=2) == []
