"""Frames cut into square patches, and put together again.

B sequences, T frames, Y X pixels, R S rows and columns of patches, P = R S, D pixels of a patch.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def to_patches(frames_BTYX: Tensor, size: int) -> Tensor:
    """Patch by patch, row by row [B, T, P, D]."""
    B, T, Y, X = frames_BTYX.shape
    cut_BTRaSb = frames_BTYX.reshape(B, T, Y // size, size, X // size, size)
    return cut_BTRaSb.transpose(3, 4).reshape(B, T, -1, size**2)


def from_patches(patches_BTPD: Tensor, size: int, *, num_columns: int) -> Tensor:
    """The frames [B, T, Y, X]."""
    B, T, P, _ = patches_BTPD.shape
    cut_BTRSab = patches_BTPD.reshape(B, T, P // num_columns, num_columns, size, size)
    return cut_BTRSab.transpose(3, 4).reshape(B, T, -1, num_columns * size)


def with_surround(patches_BTPD: Tensor, num_beside: int, *, num_columns: int) -> Tensor:
    """Each patch with those around it, black beyond the edges [B, T, P, (2n + 1)^2 D]."""
    if num_beside == 0:
        return patches_BTPD
    B, T, P, D = patches_BTPD.shape
    maps_NDRS = patches_BTPD.reshape(B * T, P // num_columns, num_columns, D).permute(0, 3, 1, 2)
    found_NEP = F.unfold(maps_NDRS, 2 * num_beside + 1, padding=num_beside)
    return found_NEP.transpose(1, 2).reshape(B, T, P, -1)
