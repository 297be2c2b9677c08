"""What is done to an image's features before anything is learned of them.

Shapes: B images, R regions, D features, I images of a split.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Scaling = Literal["none", "unit", "standard"]
BLOCK = 1000
"""Images whose features are in memory at once."""
Floats = NDArray[np.float64]
Rows = Callable[[NDArray[np.int64]], NDArray[np.float32]]


class Scale(nn.Module):
    """Features [..., D] as they are, of length one, or less their means over their deviations.

    The means and deviations are part of the weights, so that a network can be used without the
    images that it was trained on.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, scaling: Scaling, num_features: int) -> None:
        super().__init__()
        self.scaling = scaling
        if scaling == "standard":
            self.register_buffer("mean", torch.zeros(num_features))
            self.register_buffer("deviation", torch.ones(num_features))

    def learn(self, rows: Rows, row_I: NDArray[np.int64]) -> None:
        """Take means and deviations from the images at `row_I` of a store."""
        if self.scaling != "standard":
            return
        mean_D, deviation_D = moments(rows, row_I)
        self.mean.copy_(torch.from_numpy(mean_D))
        self.deviation.copy_(torch.from_numpy(deviation_D))

    def forward(self, feature_BD: Tensor) -> Tensor:
        if self.scaling == "unit":
            return nn.functional.normalize(feature_BD, dim=-1)
        if self.scaling == "standard":
            return (feature_BD - self.mean) / self.deviation
        return feature_BD


def moments(rows: Rows, row_I: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each feature over images and regions; 1 for a constant one."""
    blocks = [row_I[first : first + BLOCK] for first in range(0, len(row_I), BLOCK)]
    sums = [_sums(np.asarray(rows(block), np.float64)) for block in blocks]
    count, total_D, squares_D = (sum(part) for part in zip(*sums, strict=True))
    mean_D = np.asarray(total_D / count)
    variance_D = np.maximum(np.asarray(squares_D / count) - mean_D**2, 0.0)
    # Below this the difference of two float64 sums is rounding, not variance.
    constant_D = variance_D <= 1e-12 * np.maximum(mean_D**2, 1.0)
    return mean_D, np.where(constant_D, 1.0, np.sqrt(variance_D))


def _sums(feature_BD: Floats) -> tuple[float, Floats, Floats]:
    flat_ND = feature_BD.reshape(-1, feature_BD.shape[-1])
    return float(len(flat_ND)), flat_ND.sum(0), (flat_ND**2).sum(0)
