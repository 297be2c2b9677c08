"""Gaussian noise on the weights, drawn anew for each batch.

A. Graves, A. Mohamed and G. Hinton, ICASSP 2013, section 4, after K. Jim, C. Giles and B. Horne
(IEEE Trans. Neural Networks 7, 1996): the gradient is taken at w + e, e ~ N(0, std^2), the step is
made from w.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class WeightNoise:
    """Adds noise to weights and takes it away again, to the last bit."""

    def __init__(self) -> None:
        self._clean: list[tuple[nn.Parameter, Tensor]] = []

    @torch.no_grad()
    def add(self, parameters: Iterable[nn.Parameter], std: float) -> None:
        """Draw from torch's global random state and add; nothing is drawn for a std of zero."""
        self.remove()
        if std > 0:
            self._clean = [(parameter, parameter.clone()) for parameter in parameters]
            for parameter, _ in self._clean:
                parameter.add_(torch.randn_like(parameter), alpha=std)

    @torch.no_grad()
    def remove(self) -> None:
        """Put back the weights as they were."""
        for parameter, clean in self._clean:
            parameter.copy_(clean)
        self._clean = []
