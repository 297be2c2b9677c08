"""Scheduled sampling: the share of reference words, and samples from the network itself."""

from __future__ import annotations

import math

import pytest
import torch
from small_networks import make, sentences

from bench.data.tokens import START
from bench.seq2seq.options import Decay
from bench.seq2seq.writer import sampled_inputs, shift_right, teacher_forcing_share

PAIRS = sentences([5, 2, 4], [4, 6, 2])


@pytest.mark.parametrize(
    ("decay", "step", "share"),
    [
        ("always", 10**9, 1.0),
        ("linear", 0, 1.0),
        ("linear", 25, 0.75),
        ("linear", 99, 0.1),
        ("exponential", 0, 1.0),
        ("exponential", 100, math.exp(-1)),
        ("inverse-sigmoid", 0, 100 / 101),
        ("inverse-sigmoid", 200, 100 / (100 + math.exp(2))),
        ("inverse-sigmoid", 10**9, 0.1),
    ],
)
def test_the_share_falls(decay: Decay, step: int, share: float) -> None:
    found = teacher_forcing_share(decay, step, num_steps=100, floor=0.1)
    assert found == pytest.approx(share)


@pytest.mark.parametrize(("share", "kept"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)])
def test_share_of_words_from_the_reference(share: float, kept: float) -> None:
    network = make({"output_bias": "zero"})
    pairs = sentences([3] * 400, [6] * 400)
    with torch.no_grad():
        memory, carried = network.encode(pairs.source, pairs.source_lengths)
    written_BT = shift_right(pairs.target)
    written_BT[:, 1:] = 0  # the word that nothing would choose
    network.get_parameter("output.bias").data[0] = -100.0
    read_BT = sampled_inputs(network.step, written_BT, memory, carried, share)
    assert bool((read_BT[:, 0] == START).all())
    assert float((read_BT[:, 1:] == 0).double().mean()) == pytest.approx(kept, abs=0.05)


def test_draws_follow_the_network_after_what_was_read() -> None:
    network = make({"output_bias": "zero"}, name="lstm")
    network.get_parameter("output.weight").data *= 1e4
    pairs = sentences([4] * 50, [7] * 50)
    with torch.no_grad():
        memory, carried = network.encode(pairs.source, pairs.source_lengths)
        read_BT = sampled_inputs(network.step, shift_right(pairs.target), memory, carried, 0.0)
        r_BTR = network.decode(read_BT, memory, carried).readouts
        best_BT = network.output.log_distribution(r_BTR.flatten(0, 1)).argmax(1).view(50, 7)
    agreed = (best_BT[:, :-1] == read_BT[:, 1:]).double().mean()
    assert float(agreed) > 0.95


def test_training_draws_from_the_global_stream() -> None:
    network = make()

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return float(network.loss(PAIRS, teacher_forcing=0.5)[0].detach())

    assert loss(1) == loss(1)
    assert len({loss(seed) for seed in range(8)}) > 1
    full, _ = network.loss(PAIRS, teacher_forcing=1.0)
    assert float(full.detach()) == pytest.approx(-float(network.target_log_probs(PAIRS).sum()))
