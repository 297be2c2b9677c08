"""The beam's prefixes: one key a sequence, whatever way it came about."""

from __future__ import annotations

import numpy as np
import pytest

from bench.speech.decoding.hypotheses import Labels
from bench.speech.decoding.prefixes import DEAD, EMPTY, Prefixes, _mixed

NUM_LABELS, WIDTH = 2, 3


def standing(prefixes: Prefixes, num_steps: int) -> dict[Labels, int]:
    """The places of the prefixes in the beam."""
    alive = np.flatnonzero(prefixes.key_BW[0] != DEAD).tolist()
    return {prefixes.labels(0, place, num_steps): place for place in alive}


def keep(prefixes: Prefixes, wanted: set[Labels], num_steps: int) -> None:
    """Choose a beam of exactly these prefixes."""
    score = np.full((1, WIDTH * (1 + NUM_LABELS)), -np.inf)
    before = standing(prefixes, num_steps)
    for prefix, place in before.items():
        if prefix in wanted:
            score[0, place] = 0.0
        for label in range(1, NUM_LABELS + 1):
            if (*prefix, label) in wanted - set(before):
                score[0, WIDTH + place * NUM_LABELS + label - 1] = 0.0
    prefixes.choose(score)
    assert set(standing(prefixes, num_steps + 1)) == wanted


def test_a_prefix_that_left_the_beam_and_came_back_is_the_same() -> None:
    prefixes = Prefixes(1, WIDTH)
    beams: list[set[Labels]] = [
        {(), (1,)},
        {(), (1,), (1, 2)},
        {(), (1, 2)},
        {(), (1,), (1, 2)},
    ]
    for num_steps, wanted in enumerate(beams):
        keep(prefixes, wanted, num_steps)
    places = standing(prefixes, len(beams))
    stay = np.full((1, WIDTH), np.log(0.25))
    extension = np.full((1, WIDTH, NUM_LABELS), np.log(0.5))
    prefixes.merge(stay, extension)
    for prefix, wanted_p in (((), 0.25), ((1,), 0.75), ((1, 2), 0.75)):
        assert np.exp(stay[0, places[prefix]]) == pytest.approx(wanted_p)
    voided = {
        (*parent, label)
        for parent, place in places.items()
        for label in (1, 2)
        if extension[0, place, label - 1] == -np.inf
    }
    assert voided == {(1,), (1, 2)}


def test_sequences_are_read_off_back_pointers() -> None:
    prefixes = Prefixes(1, WIDTH)
    beams: list[set[Labels]] = [{(2,)}, {(2,), (2, 1)}, {(2, 1)}, {(2, 1, 1), (2, 1)}]
    for num_steps, wanted in enumerate(beams):
        keep(prefixes, wanted, num_steps)
    assert set(standing(prefixes, 4)) == {(2, 1, 1), (2, 1)}


def test_keys_differ_between_sequences() -> None:
    keys = np.array([[EMPTY]])
    seen = [keys]
    for _ in range(6):
        keys = np.concatenate(
            [_mixed(keys, np.full(keys.shape, label)) for label in range(1, 7)], axis=1
        )
        seen.append(keys)
    everything = np.concatenate(seen, axis=1)
    assert len(np.unique(everything)) == everything.size == (6**7 - 1) // 5
