"""Recurrent term of the gates' arguments: a matrix product or a convolution of the state.

Shapes: B rows (images x R x S places where convolved), T time, H hidden, G stacked gates, K kernel.
A row of a convolved state is a place of an image; places stand row by row, images one by one.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]
"""R rows and S columns of places."""


class Dense:
    """Product of U [G, H] with the state of each row."""

    def __init__(self, U_GH: Tensor) -> None:
        self.U_GH = U_GH

    @cached_property
    def _transposed(self) -> Tensor:
        # The copy is one for all steps; products with it take two thirds of the time.
        return self.U_GH.t().contiguous()

    def add(self, a_BG: Tensor, h_BH: Tensor, *, out: Tensor) -> Tensor:
        """a + U h [B, G]."""
        return torch.addmm(a_BG, h_BH, self._transposed, out=out)

    def back(self, da_BG: Tensor, *, out: Tensor) -> None:
        """Gradient of h [B, H] from that of U h."""
        torch.mm(da_BG, self.U_GH, out=out)

    def weight_gradient(self, da_TBG: Tensor, h_TBH: Tensor) -> Tensor:
        """Gradient of U over all steps, of its own shape."""
        return da_TBG.flatten(0, 1).t() @ h_TBH.flatten(0, 1)


class Convolution:
    """Convolution in place of the product of `Dense`: U [G, H, K, K] over the grid, K odd.

    Beyond the grid's edges are zeros. Channels of a place lie side by side, the order in which the
    library's kernels are fastest: nothing is moved between the equations' rows and the
    convolution's maps.
    """

    def __init__(self, U_GHKK: Tensor, grid: Grid) -> None:
        self.U_GHKK = U_GHKK.contiguous(memory_format=torch.channels_last)
        self.grid = grid
        self.padding = U_GHKK.shape[2] // 2

    def maps(self, rows_BH: Tensor) -> Tensor:
        """Rows as images [images, H, R, S]."""
        return rows_BH.reshape(-1, *self.grid, rows_BH.shape[-1]).permute(0, 3, 1, 2)

    def apply(self, h_BH: Tensor) -> Tensor:
        """U h [B, G]."""
        return rows(F.conv2d(self.maps(h_BH), self.U_GHKK, padding=self.padding))

    def add(self, a_BG: Tensor, h_BH: Tensor, *, out: Tensor) -> Tensor:
        return torch.add(a_BG, self.apply(h_BH), out=out)

    def back(self, da_BG: Tensor, *, out: Tensor) -> None:
        # Only the shape of h and its order in memory are read here.
        out.copy_(rows(self._gradients(da_BG, out, which="input")))

    def weight_gradient(self, da_TBG: Tensor, h_TBH: Tensor) -> Tensor:
        return self._gradients(da_TBG.flatten(0, 1), h_TBH.flatten(0, 1), which="weight")

    def _gradients(self, da_BG: Tensor, h_BH: Tensor, *, which: str) -> Tensor:
        wanted = [which == "input", which == "weight", False]
        found = torch.ops.aten.convolution_backward(
            self.maps(da_BG),
            self.maps(h_BH),
            self.U_GHKK,
            None,
            [1, 1],
            [self.padding] * 2,
            [1, 1],
            False,
            [0, 0],
            1,
            wanted,
        )
        gradient = found[wanted.index(True)]
        assert isinstance(gradient, Tensor)
        return gradient


def rows(maps_BGRS: Tensor) -> Tensor:
    """Images [images, G, R, S] as a row a place [B, G]."""
    return maps_BGRS.permute(0, 2, 3, 1).reshape(-1, maps_BGRS.shape[1])
