"""Networks over frames: the papers' sizes, what each prediction depends on, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from msgspec import to_builtins
from torch import Tensor

from bench.core.errors import BenchError
from bench.frames.network import FrameNetwork, FramePredictionOptions, to_patches
from bench.models import resolve_options

GIVEN, PREDICTED = 4, 3


def network(
    name: str,
    model: dict[str, Any] | None = None,
    *,
    frame_size: int = 12,
    **options: Any,
) -> FrameNetwork:
    torch.manual_seed(1)
    settings = {"name": name, **to_builtins(resolve_options(name, model or {}))}
    chosen = FramePredictionOptions(**{"patch_size": 3, **options})
    return FrameNetwork(settings, chosen, frame_size=frame_size).double().eval()


def given(num_sequences: int = 2) -> Tensor:
    torch.manual_seed(2)
    return to_patches(torch.rand(num_sequences, GIVEN, 12, 12).double(), 3)


def on_meta(name: str, model: dict[str, Any], **options: Any) -> int:
    """Weights of a network that takes no memory."""
    settings = {"name": name, **to_builtins(resolve_options(name, model))}
    with torch.device("meta"):
        made = FrameNetwork(settings, FramePredictionOptions(**options), frame_size=64)
    return sum(parameter.numel() for parameter in made.parameters())


@pytest.mark.parametrize(
    ("name", "model", "readout", "expected"),
    [
        ("lstm", {"hidden_size": 2048, "num_layers": 2, "peephole": "diagonal"}, "top", 142667776),
        ("conv-lstm", {"hidden_size": 256}, "all", 13524496),
        ("conv-lstm", {"hidden_size": 128, "num_layers": 2}, "all", 10042896),
        (
            "conv-lstm",
            {"hidden_size": 128, "num_layers": 2, "kernel_size": 9, "state_kernel_size": 1},
            "all",
            11550224,
        ),
    ],
)
def test_weights_of_the_paper(
    name: str, model: dict[str, Any], readout: str, expected: int
) -> None:
    """Shi et al. (2015), table 1."""
    assert on_meta(name, model, readout=readout) == expected


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("lstm", {"hidden_size": 5}, {}),
    ("lstm", {"hidden_size": 5, "num_layers": 2}, {"readout": "all"}),
    ("lstm", {"hidden_size": 5}, {"future": "free-running"}),
    ("gru", {"hidden_size": 5}, {"future": "teacher-forcing"}),
    ("scrn", {"hidden_size": 5, "context_size": 3}, {}),
    ("srn", {"hidden_size": 5}, {"reads": "patch"}),
    ("lstm", {"hidden_size": 5}, {"reads": "patch", "surround": 1}),
    ("lstm", {"hidden_size": 5}, {"reads": "patch", "surround": 1, "future": "free-running"}),
    ("tdnn", {"hidden_size": 5}, {"future": "free-running"}),
    ("wavenet", {"hidden_size": 5, "num_dilations": 3}, {}),
    ("conv-lstm", {"hidden_size": 3, "kernel_size": 3, "state_kernel_size": 3}, {}),
    ("conv-lstm", {"hidden_size": 3, "num_layers": 2}, {"readout": "all"}),
    ("conv-lstm", {"hidden_size": 3}, {"future": "free-running"}),
    ("conv-lstm", {"hidden_size": 3}, {"reads": "patch"}),
]


@pytest.mark.parametrize(("name", "model", "options"), CASES)
def test_every_way_predicts_what_was_asked_for(
    name: str, model: dict[str, Any], options: dict[str, Any]
) -> None:
    made, seen = network(name, model, **options), given()
    odds_BKPD = made(seen, PREDICTED)
    assert odds_BKPD.shape == (2, PREDICTED, 16, 9)
    torch.testing.assert_close(made(seen[1:], PREDICTED), odds_BKPD[1:])
    torch.testing.assert_close(made(seen, 1), odds_BKPD[:, :1])
    for t in range(GIVEN):
        changed = seen.clone()
        changed[0, t] += 1.0
        after = made(changed, PREDICTED)
        assert not torch.allclose(after[0], odds_BKPD[0])
        assert torch.equal(after[1], odds_BKPD[1])


@pytest.mark.parametrize(
    ("name", "options"), [("lstm", {}), ("conv-lstm", {}), ("lstm", {"reads": "patch"})]
)
def test_free_running_reads_what_it_has_said(name: str, options: dict[str, Any]) -> None:
    """Predictions are those of a network that is given them and asked for one frame more."""
    made, seen = network(name, {"hidden_size": 4}, future="free-running", **options), given()
    expected = []
    for _ in range(PREDICTED):
        expected.append(made.next_frames(seen)[:, -1:])
        seen = torch.cat([seen, torch.sigmoid(expected[-1])], dim=1)
    torch.testing.assert_close(made(given(), PREDICTED), torch.cat(expected, dim=1))


def test_a_forecaster_goes_on_from_the_state_and_reads_nothing() -> None:
    made, seen = network("gru", {"hidden_size": 4}), given()
    assert made.forecaster is not None
    _, (h_BH,) = made.encoder(seen.flatten(2))
    y_BKH, _ = made.forecaster.forward_reference(h_BH.new_empty(2, PREDICTED, 0), (h_BH,))
    expected = made.output(y_BKH).view(2, PREDICTED, 16, 9)
    torch.testing.assert_close(made(seen, PREDICTED), expected)


def test_patches_that_do_not_see_each_other_do_not_matter() -> None:
    seen = given()
    changed = seen.clone()
    changed[:, :, 0] += 1.0  # the patch in the corner of a grid of four by four
    far = [place for place in range(16) if place % 4 > 1 or place > 7]
    for surround, reached in ((0, {0}), (1, {0, 1, 4, 5})):
        made = network("lstm", {"hidden_size": 4}, reads="patch", surround=surround)
        moved_P = (made(seen, PREDICTED) != made(changed, PREDICTED)).any(3).any(1).any(0)
        assert set(torch.nonzero(moved_P).flatten().tolist()) == reached
    whole = network("lstm", {"hidden_size": 4})
    assert (whole(seen, PREDICTED) != whole(changed, PREDICTED))[:, :, far].any()


def test_a_convolution_sees_as_far_as_its_kernels_have_reached() -> None:
    """A step's kernel of three carries what is seen one place further."""
    sizes = {"hidden_size": 3, "kernel_size": 1, "state_kernel_size": 3}
    made = network("conv-lstm", sizes, patch_size=1)
    frames = torch.rand(1, GIVEN, 144, 1).double()
    changed = frames.clone()
    changed[:, -1, 0] += 1.0  # the corner of the last frame given
    moved_KP = (made(frames, PREDICTED) != made(changed, PREDICTED))[0, :, :, 0]
    for ahead, moved_P in enumerate(moved_KP, start=1):
        places = torch.nonzero(moved_P).flatten()
        assert int((places // 12).max()) == int((places % 12).max()) == ahead


def test_flops_are_those_of_the_products() -> None:
    made = network("lstm", {"hidden_size": 5})
    encoder, forecaster = 2 * 4 * 5 * (144 + 5), 2 * 4 * 5 * 5
    expected = GIVEN * encoder + PREDICTED * (forecaster + 2 * 5 * 144)
    assert made.flops(num_given=GIVEN, num_predicted=PREDICTED) == expected
    patches = network("lstm", {"hidden_size": 5}, reads="patch", future="free-running")
    step = 2 * 4 * 5 * (9 + 5)
    expected = 16 * ((GIVEN + PREDICTED - 1) * step + PREDICTED * 2 * 5 * 9)
    assert patches.flops(num_given=GIVEN, num_predicted=PREDICTED) == expected


@pytest.mark.parametrize(
    ("name", "model", "options", "words"),
    [
        ("lstm", {"direction": "bidirectional"}, {}, ["--model.direction", "forward"]),
        ("tdnn", {}, {}, ["tdnn", "free-running"]),
        ("lstm", {}, {"patch_size": 5}, ["patches of 5", "frames of 12", "patch_size"]),
        ("lstm", {}, {"surround": 1}, ["surround", "--objective.reads patch"]),
        ("conv-lstm", {"num_rows": 3}, {}, ["model.num_rows is 3", "4 x 4", "leave it out"]),
        ("conv-lstm", {"kernel_size": 4}, {}, ["model.kernel_size is 4", "odd"]),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    name: str, model: dict[str, Any], options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(BenchError) as caught:
        network(name, model, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
