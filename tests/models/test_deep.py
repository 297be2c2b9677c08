"""Stacks of layers and pairs of directions."""

from __future__ import annotations

import pytest
import torch

from bench.models import build_recurrence
from bench.models.bidirectional import Bidirectional, reverse
from bench.models.deep import Deep


def test_dropout_falls_between_layers_only() -> None:
    torch.manual_seed(1)
    options = {"num_layers": 2, "dropout": 0.5, "hidden_size": 50, "nonlinearity": "relu"}
    deep, x_BTD = build_recurrence("srn", 50, options), torch.ones(1, 1, 50)
    assert isinstance(deep, Deep)
    seen = []
    for layer in deep.stack():
        layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output[0])))
    y_BTH, _ = deep(x_BTD)
    (first_in, first_out), (second_in, second_out) = seen
    assert torch.equal(first_in, x_BTD)
    assert torch.equal(second_out, y_BTH)
    kept = second_in != 0
    assert 0 < kept.sum() < (first_out != 0).sum()
    torch.testing.assert_close(second_in[kept], 2 * first_out[kept])


def test_no_dropout_outside_training() -> None:
    options = {"num_layers": 2, "dropout": 0.5}
    deep, x_BTD = build_recurrence("srn", 5, options).eval(), torch.randn(1, 3, 5)
    assert torch.equal(deep(x_BTD)[0], deep(x_BTD)[0])


def test_each_layer_reads_both_directions_of_the_one_below() -> None:
    options = {"num_layers": 3, "direction": "bidirectional", "hidden_size": 4}
    deep = build_recurrence("lstm", 5, options)
    assert isinstance(deep, Deep)
    assert [(layer.input_size, layer.output_size) for layer in deep.stack()] == [
        (5, 8),
        (8, 8),
        (8, 8),
    ]


def test_directions_have_weights_of_their_own() -> None:
    both = build_recurrence("srn", 5, {"direction": "bidirectional"})
    assert isinstance(both, Bidirectional)
    assert not torch.equal(both.ahead.get_parameter("R_HH"), both.back.get_parameter("R_HH"))


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        (None, [[4, 3, 2, 1], [8, 7, 6, 5]]),
        ([4, 2], [[4, 3, 2, 1], [6, 5, 7, 8]]),
        ([0, 3], [[1, 2, 3, 4], [7, 6, 5, 8]]),
    ],
)
def test_reverse_leaves_padding_in_place(
    lengths: list[int] | None, expected: list[list[int]]
) -> None:
    x_BTD = torch.arange(1, 9).view(2, 4, 1)
    lengths_B = None if lengths is None else torch.tensor(lengths)
    assert reverse(x_BTD, lengths_B).squeeze(2).tolist() == expected


@pytest.mark.parametrize("lengths", [[4, 2], [0, 3]])
def test_gradients_are_reversed_with_the_sequence(lengths: list[int]) -> None:
    x_BTD = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    lengths_B = torch.tensor(lengths)
    assert torch.autograd.gradcheck(lambda x: reverse(x, lengths_B), x_BTD)
    assert torch.autograd.gradgradcheck(lambda x: reverse(x, lengths_B), x_BTD)
