"""Dropout from a few random bits: what the library's own is, and sooner."""

from __future__ import annotations

import pytest
import torch

from bench.training.dropout import LEVELS, drop_quickly


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_a_share_is_dropped_and_the_mean_stays(share: float) -> None:
    torch.manual_seed(1)
    x = torch.full((300, 1000), 2.0)
    found = drop_quickly(x, share, training=True)
    dropped = found == 0
    assert float(dropped.float().mean()) == pytest.approx(share, abs=0.003)
    for axis in (0, 1):  # rows and columns alike
        assert float(dropped.float().mean(axis).std()) == pytest.approx(
            (share * (1 - share) / x.shape[axis]) ** 0.5, rel=0.1
        )
    kept = found[~dropped]
    assert float(kept.min()) == float(kept.max())
    assert float(kept[0]) == pytest.approx(2.0 / (1 - share), rel=1 / LEVELS / (1 - share))
    assert float(found.double().mean()) == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 11), (0, 4)])
def test_any_shape_and_kind_of_number(shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(shape, dtype=dtype)
        found = drop_quickly(x, 0.5, training=True)
        assert (found.shape, found.dtype) == (x.shape, dtype)
        assert set(found.flatten().tolist()) <= {0.0, 2.0}


def test_the_gradient_goes_where_the_value_went() -> None:
    torch.manual_seed(1)
    x = torch.randn(40, 9, dtype=torch.float64, requires_grad=True)
    found = drop_quickly(x, 0.3, training=True)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(gradient * x, found)


def test_the_seed_decides() -> None:
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(drop_quickly(torch.ones(1000), 0.5, training=True))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    x, before = torch.ones(5), torch.get_rng_state()
    assert drop_quickly(x, 0.5, training=False) is x
    assert drop_quickly(x, 0.0, training=True) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_nearly_everything_can_be_dropped() -> None:
    found = drop_quickly(torch.ones(100_000), 1 - 1e-9, training=True)
    assert bool(found.isfinite().all())
    assert float((found == 0).float().mean()) > 0.999
