"""Frames cut into patches and put together."""

from __future__ import annotations

import pytest
import torch

from bench.frames.network import from_patches, to_patches, with_surround


def frames(*shape: int) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).view(shape).float()


def test_patches_stand_row_by_row() -> None:
    patches_BTPD = to_patches(frames(2, 3, 4, 6), 2)
    assert patches_BTPD.shape == (2, 3, 6, 4)
    assert patches_BTPD[0, 0].tolist()[:4] == [
        [0, 1, 6, 7],
        [2, 3, 8, 9],
        [4, 5, 10, 11],
        [12, 13, 18, 19],
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_patches_make_the_frames_again(size: int) -> None:
    frames_BTYX = frames(2, 3, 6, 12)
    patches_BTPD = to_patches(frames_BTYX, size)
    assert torch.equal(from_patches(patches_BTPD, size, num_columns=12 // size), frames_BTYX)


def test_the_surround_is_that_of_the_place() -> None:
    patches_BTPD = to_patches(frames(1, 2, 6, 6), 2)
    seen_BTPE = with_surround(patches_BTPD, 1, num_columns=3)
    assert seen_BTPE.shape == (1, 2, 9, 9 * 4)
    grid = patches_BTPD[0, 1].view(3, 3, 4)
    middle = seen_BTPE[0, 1, 4].view(4, 3, 3).permute(1, 2, 0)
    assert torch.equal(middle, grid)
    corner = seen_BTPE[0, 1, 0].view(4, 3, 3).permute(1, 2, 0)
    assert torch.equal(corner[1:, 1:], grid[:2, :2])
    assert not corner[0].any()
    assert not corner[:, 0].any()


def test_without_surround_a_patch_is_alone() -> None:
    patches_BTPD = to_patches(frames(1, 1, 4, 4), 2)
    assert with_surround(patches_BTPD, 0, num_columns=2) is patches_BTPD
