"""Recognisers of speech: the paper's networks, the laws of batches, losses beside plain ones."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from tiny_speech import random_speech
from torch import Tensor

from bench.core.config import merge
from bench.core.errors import BenchError
from bench.core.suite import Suite, shipped_folder
from bench.runs.resolve import resolve
from bench.speech.data.batches import SpeechBatch, SpeechBatches
from bench.speech.data.prepared import SpeechData
from bench.speech.decoding.ctc import ctc_log_probs
from bench.speech.decoding.transducer import transducer_log_probs
from bench.speech.objectives.ctc import CTC
from bench.speech.objectives.speech import SpeechObjective, num_stacks, stack
from bench.speech.objectives.transducer import NextLabel, Transducer
from bench.training.fit import evaluate
from bench.training.objective import Objective

SUITE = Suite(folder=shipped_folder())
LABELS = ("a", "b", "c", "d")
SMALL: dict[str, Any] = {
    "model": {"name": "lstm", "hidden_size": 5, "direction": "bidirectional"},
    "objective": {"stack_frames": 2, "beam_width": 8},
    "trainer": {"threads": 1},
}
TRANSDUCER = {"name": "transducer", "prediction_size": 4, "joint_size": 6}


def build(data: SpeechData, **groups: Any) -> Any:
    """The objective that the settings mean, in float64."""
    common = {**SMALL, "objective": {}} if _is_next_label(groups) else SMALL
    resolved = resolve(SUITE, "synthetic-speech", overrides=merge(common, groups))
    torch.manual_seed(3)
    return resolved.objective_class()(resolved.config, data).double().eval()


def _is_next_label(groups: dict[str, Any]) -> bool:
    return bool(groups.get("objective", {}).get("name") == "next-label")


def double(batch: SpeechBatch) -> SpeechBatch:
    return batch._replace(features=batch.features.double())


def whole(data: SpeechData) -> SpeechBatch:
    """Every utterance in one batch."""
    (batch,) = SpeechBatches(data.splits["test"], batch_frames=10**6, order="sorted")
    return double(batch)


# Table 1 of Graves, Mohamed and Hinton (2013), in millions, as printed.
@pytest.mark.parametrize(
    ("recipe", "millions"),
    [
        ("ctc-3l-500h-tanh", 3.7),
        ("ctc-1l-250h-noise", 0.8),
        ("ctc-1l-622h-noise", 3.8),
        ("ctc-2l-250h-noise", 2.3),
        ("ctc-3l-421h-uni-noise", 3.8),
        ("ctc-3l-250h-noise", 3.8),
        ("ctc-5l-250h-noise", 6.8),
        ("trans-3l-250h-noise", 4.3),
        ("pretrans-3l-250h", 4.3),
    ],
)
def test_the_paper_s_networks_have_as_many_weights_as_it_prints(
    recipe: str, millions: float
) -> None:
    resolved = resolve(SUITE, "timit", recipe=recipe)
    labels = tuple(f"p{number}" for number in range(61))
    with torch.device("meta"):
        network = resolved.objective_class()(resolved.config, random_speech(labels))
    num_weights = sum(parameter.numel() for parameter in network.parameters())
    assert round(num_weights / 1e6, 1) == millions


def test_stacks_hold_every_frame_once_and_zeros_at_the_end() -> None:
    x_BTD = torch.arange(1.0, 11.0).reshape(1, 5, 2)
    assert stack(x_BTD, 1) is x_BTD
    assert stack(x_BTD, 3).tolist() == [[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 0, 0]]]
    assert num_stacks(torch.tensor([1, 3, 4, 6, 7]), 3).tolist() == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("objective", [{"decoder": "prefix-beam"}, TRANSDUCER])
@pytest.mark.parametrize("stack_frames", [1, 2, 3])
def test_nothing_depends_on_how_utterances_are_batched(
    monkeypatch: pytest.MonkeyPatch, objective: dict[str, Any], stack_frames: int
) -> None:
    data = random_speech(LABELS)
    network = build(data, objective={**objective, "stack_frames": stack_frames}).float()
    found = []
    for frames in (1, 45, 10**6):
        monkeypatch.setattr("bench.speech.objectives.speech.EVALUATION_FRAMES", frames)
        rate = evaluate(network, "test").value
        items = sorted(network.metric.found.items())
        hypotheses = [line.hypothesis for _, line in items]
        found.append((rate, hypotheses))
        nats = torch.tensor([(line.reference_nats, line.hypothesis_nats) for _, line in items])
        if frames == 1:
            alone = nats
        torch.testing.assert_close(nats, alone)
    assert found[0] == found[1] == found[2]
    assert any(found[0][1])


def test_padding_has_no_gradient_and_no_say() -> None:
    data = random_speech(LABELS)
    network: CTC = build(data)
    batch = whole(data)
    spoiled = batch.features.clone()
    for row, length in enumerate(batch.num_frames.tolist()):
        # A stack that an utterance ends in the middle of is filled up by the loader, with zeros.
        spoiled[row, 2 * math.ceil(length / 2) :] = math.inf
    spoiled_batch = batch._replace(features=spoiled)
    losses = [network.losses(network.encode(b), b) for b in (batch, spoiled_batch)]
    assert torch.equal(losses[0], losses[1])
    gradients = [torch.autograd.grad(loss.sum(), list(network.parameters())) for loss in losses]
    for clean, other in zip(*gradients, strict=True):
        assert torch.equal(clean, other)


def test_ctc_sums_over_all_paths_of_each_utterance() -> None:
    data = random_speech(LABELS)
    network: CTC = build(data)
    batch = whole(data)
    with torch.no_grad():
        log_p_BTV = network.encode(batch)
        found = network.losses(log_p_BTV, batch)
    targets = [
        [tuple(row[:length].tolist())]
        for row, length in zip(batch.labels, batch.num_labels.tolist(), strict=True)
    ]
    wanted = ctc_log_probs(log_p_BTV, network.lengths(batch), targets)
    torch.testing.assert_close(found, -torch.tensor([float(value[0]) for value in wanted]).double())


def test_the_transducer_trains_what_it_decodes() -> None:
    """The loss reads all labels at once, a search one label after the other."""
    data = random_speech(LABELS)
    network: Transducer = build(data, objective=TRANSDUCER)
    batch = whole(data)
    with torch.no_grad():
        encoded = network.encode(batch)
        found = network.losses(encoded, batch)
        targets = [
            [tuple(row[:length].tolist())]
            for row, length in zip(batch.labels, batch.num_labels.tolist(), strict=True)
        ]
        frames = network.joint.project_frames(encoded)
        wanted = transducer_log_probs(network, frames, network.lengths(batch), targets)
    torch.testing.assert_close(found, -torch.tensor([float(value[0]) for value in wanted]).double())


@torch.no_grad()
def test_next_labels_are_predicted_from_those_before_alone() -> None:
    data = random_speech(LABELS)
    network: NextLabel = build(
        data,
        model={"direction": "forward"},
        objective={"name": "next-label"},
    )
    batch = whole(data)
    loss, count = network.batch_loss(batch)
    wanted = 0.0
    for row, length in zip(batch.labels.tolist(), batch.num_labels.tolist(), strict=True):
        output_1P, state = network.prediction.begin(1)
        for label in row[:length]:
            wanted -= float(network.output(output_1P).log_softmax(1)[0, label - 1])
            output_1P, state = network.prediction.step(torch.tensor([label]), state)
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-12)
    assert int(count) == int(batch.num_labels.sum())


def test_a_prediction_network_may_not_read_ahead() -> None:
    with pytest.raises(BenchError, match="labels that are yet to come"):
        build(random_speech(LABELS), objective={"name": "next-label"})


def test_noise_is_where_the_gradient_is_taken_and_not_where_the_step_begins() -> None:
    data = random_speech(LABELS)
    network: CTC = build(data, objective={"weight_noise": 0.3})
    plain = copy.deepcopy(network)
    batch = whole(data)
    before = [parameter.detach().clone() for parameter in network.parameters()]

    torch.manual_seed(11)
    network._noise.add(network.parameters(), network.weight_noise)
    loss = network.update_loss(*network.batch_loss(batch), batch)
    torch.autograd.backward(loss)
    network.on_after_backward()

    torch.manual_seed(11)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    wanted = torch.autograd.grad(
        plain.losses(plain.encode(batch), batch).mean(), list(plain.parameters())
    )
    for parameter, was, gradient in zip(network.parameters(), before, wanted, strict=True):
        assert torch.equal(parameter, was)
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient)


def test_no_noise_draws_no_numbers() -> None:
    network: Objective = build(random_speech(LABELS))
    state = torch.get_rng_state()
    network._noise.add(network.parameters(), 0.0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("scale", "factor"), [("utterance", 0.25), ("sum", 1.0)])
def test_what_is_differentiated_is_a_mean_over_utterances_or_their_sum(
    scale: str, factor: float
) -> None:
    data = random_speech(LABELS)
    network: SpeechObjective = build(data, objective={"loss_scale": scale})
    batch = whole(data)
    loss_sum, count = network.batch_loss(batch)
    loss = network.update_loss(loss_sum, count, batch)
    assert torch.equal(loss, loss_sum * factor)


def test_every_weight_is_drawn_from_the_range_that_is_asked_for() -> None:
    network: Any = build(random_speech(LABELS), objective={"init_range": 0.01})
    widest: list[Tensor] = [parameter.abs().max() for parameter in network.parameters()]
    assert max(widest) <= 0.01
    assert min(widest) > 0.001


def test_stacks_that_leave_too_few_steps_are_refused_by_name() -> None:
    data = random_speech(LABELS)
    with pytest.raises(BenchError, match=r"stack_frames 10 leaves 6 utterances .*u1.*smaller"):
        build(data, objective={"stack_frames": 10})
    build(data, objective={**TRANSDUCER, "stack_frames": 10})


def test_a_label_model_needs_a_search() -> None:
    with pytest.raises(BenchError, match="the best path has no use for a label model"):
        build(random_speech(LABELS), objective={"lm_order": 2, "decoder": "best-path"})


def test_a_label_model_has_a_say_in_the_search_and_stands_in_the_signature() -> None:
    data = random_speech(LABELS)
    fused: CTC = build(data, objective={"lm_order": 2, "lm_weight": 2.0, "lm_bonus": 1.5})
    alone: CTC = build(data)
    batch = whole(data)
    with torch.no_grad():
        encoded = alone.encode(batch)
        with_model = fused.decode(encoded, batch, final=True)
        without = alone.decode(encoded, batch, final=True)
    assert [one.labels for one in with_model] != [one.labels for one in without]
    assert fused.metric.signature.endswith("decoder:beam(8)+2-gram(2,1.5)")
    assert alone.metric.signature.endswith("decoder:beam(8)")
