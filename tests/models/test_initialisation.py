"""Initial weights, numbers of parameters and of operations."""

from __future__ import annotations

import pytest
import torch

from bench.models import MODELS, build_recurrence
from bench.models.recurrence import Recurrence

D, H, C, O = 7, 12, 5, 4  # noqa: E741


def num_parameters(recurrence: Recurrence) -> int:
    return sum(p.numel() for p in recurrence.parameters())


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("srn", {}, H * D + H * H),
        ("srn", {"bias": "hidden"}, H * D + H * H + H),
        ("gru", {}, 3 * (H * D + H * H + H)),
        ("gru", {"reset": "after"}, 3 * (H * D + H * H + H)),
        ("lstm", {}, 4 * (H * D + H * H + H)),
        ("lstm", {"peephole": "diagonal"}, 4 * (H * D + H * H + H) + 3 * H),
        ("lstm", {"peephole": "full"}, 4 * (H * D + H * H + H) + 3 * H * H),
        ("lstm", {"gates": "coupled"}, 3 * (H * D + H * H + H)),
        (
            "lstm",
            {"gates": "coupled", "peephole": "diagonal"},
            3 * (H * D + H * H + H) + 2 * H,
        ),
        ("scrn", {"context_size": C}, H * D + H * H + C * D + H * C),
        ("scrn", {"context_size": C, "alpha_kind": "learned"}, H * D + H * H + C * D + H * C + C),
        ("scrn", {"context_size": C, "bias": "hidden"}, H * D + H * H + C * D + H * C + H),
        ("jordan", {"feedback_size": O}, H * D + H * O + H + O * H + O),
        ("tdnn", {"window_length": 4}, H * D * 4 + H),
        ("wavenet", {"num_dilations": 3}, H * D + 3 * (4 * H * H + 2 * H) + 5 * H * H),
        ("conv-lstm", {"kernel_size": 1}, 4 * (H * D + 25 * H * H + H) + 3 * H),
        ("conv-lstm", {"num_columns": D, "peephole": "none"}, 4 * (25 * H + 25 * H * H + H)),
        (
            "lstm",
            {"num_layers": 2, "direction": "bidirectional", "peephole": "diagonal"},
            2 * (4 * (H * D + H * H + H) + 3 * H) + 2 * (4 * (H * 2 * H + H * H + H) + 3 * H),
        ),
    ],
)
def test_number_of_parameters(name: str, options: dict[str, object], expected: int) -> None:
    recurrence = build_recurrence(name, D, {"hidden_size": H, **options})
    assert num_parameters(recurrence) == expected


@pytest.mark.parametrize(
    ("name", "options", "multiply_adds"),
    [
        ("srn", {}, H * (D + H)),
        ("srn", {"num_layers": 2, "direction": "bidirectional"}, 2 * H * (D + H + 2 * H + H)),
        ("gru", {}, 3 * H * (D + H)),
        ("lstm", {"peephole": "diagonal"}, 4 * H * (D + H)),
        ("lstm", {"peephole": "full"}, 4 * H * (D + H) + 3 * H * H),
        ("scrn", {"context_size": C}, H * (D + H + C) + C * D),
        ("jordan", {"feedback_size": O}, H * (D + O + O)),
        ("tdnn", {"window_length": 4}, 4 * H * D),
        ("wavenet", {"num_dilations": 3}, H * D + 3 * 4 * H * H + 5 * H * H),
        ("conv-lstm", {"num_columns": D}, D * 4 * H * 25 * (1 + H)),
    ],
)
def test_flops_of_a_step(name: str, options: dict[str, object], multiply_adds: int) -> None:
    recurrence = build_recurrence(name, D, {"hidden_size": H, **options})
    assert recurrence.flops_per_step() == 2 * multiply_adds


def weights(recurrence: Recurrence) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in recurrence.parameters()])


@pytest.mark.parametrize("name", MODELS)
def test_uniform_is_bounded_by_the_hidden_size(name: str) -> None:
    options: dict[str, object] = {"hidden_size": 64}
    side = 5 if name == "conv-lstm" else 1  # of the places whose states a unit reads
    largest = weights(build_recurrence(name, D, options)).abs().max()
    assert 0.9 / 8 < largest * side <= 1 / 8
    largest = weights(build_recurrence(name, D, {**options, "init_scale": 0.05})).abs().max()
    assert 0.045 < largest <= 0.05


@pytest.mark.parametrize("name", MODELS)
def test_normal_has_the_scale_as_deviation(name: str) -> None:
    recurrence = build_recurrence(name, 64, {"init": "normal", "init_scale": 0.05})
    assert abs(weights(recurrence).std() - 0.05) < 0.002


@pytest.mark.parametrize(
    ("name", "parameter"), [("srn", "R_HH"), ("scrn", "R_HH"), ("gru", "U_GH"), ("lstm", "U_GH")]
)
def test_orthogonal_blocks(name: str, parameter: str) -> None:
    recurrence = build_recurrence(name, D, {"hidden_size": H, "init": "orthogonal"})
    for block in recurrence.get_parameter(parameter).chunk(
        recurrence.get_parameter(parameter).shape[0] // H
    ):
        torch.testing.assert_close(block @ block.t(), torch.eye(H))


def test_orthogonal_at_its_own_place() -> None:
    recurrence = build_recurrence("conv-lstm", D, {"hidden_size": H, "init": "orthogonal"})
    U_GHKK = recurrence.get_parameter("U_GHKK")
    for block in U_GHKK[:, :, 2, 2].chunk(4):
        torch.testing.assert_close(block @ block.t(), torch.eye(H))
    assert U_GHKK[:, :, 0, 0].abs().max() <= 1 / (5 * H**0.5)


@pytest.mark.parametrize(("gates", "first"), [("separate", H), ("coupled", 0)])
def test_forget_bias_is_added_to_the_forget_gate(gates: str, first: int) -> None:
    biases = []
    for forget_bias in (0.0, 2.0):
        torch.manual_seed(1)
        options = {"hidden_size": H, "gates": gates, "forget_bias": forget_bias}
        biases.append(build_recurrence("lstm", D, options).get_parameter("b_G"))
    expected = torch.zeros_like(biases[0])
    expected[first : first + H] = 2.0
    torch.testing.assert_close(biases[1] - biases[0], expected)


def test_learned_alpha_begins_at_alpha() -> None:
    recurrence = build_recurrence("scrn", D, {"alpha": 0.8, "alpha_kind": "learned"})
    alpha = torch.sigmoid(recurrence.get_parameter("alpha_logit_C"))
    torch.testing.assert_close(alpha, torch.full_like(alpha, 0.8))
