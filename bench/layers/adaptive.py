"""Adaptive softmax of the library: a short head, and tails of rarer words at lower rank.

E. Grave, A. Joulin, M. Cisse, D. Grangier, H. Jegou, "Efficient softmax approximation for GPUs",
ICML 2017.

Shapes: N rows, H features, V words. Word ids are sorted by falling frequency.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.layers.layer import OutputLayer
from bench.layers.products import Products, products_as

HEAD_MASS = (0.8, 0.95)  # share of the training text's tokens that the first clusters cover


class AdaptiveSoftmax(OutputLayer):
    """torch's `AdaptiveLogSoftmaxWithLoss`, cut where the words' mass passes `HEAD_MASS`."""

    def __init__(
        self,
        hidden_size: int,
        counts_V: Tensor,
        *,
        output_bias: Literal["unigram", "zero"] = "unigram",
        products: Products = "float32",
        evaluation_products: Products | None = None,
    ) -> None:
        super().__init__(hidden_size, counts_V, products, evaluation_products=evaluation_products)
        if len(counts_V) < 3:
            raise BenchError("an adaptive softmax needs at least 3 words: choose output full")
        self.cutoffs = cutoffs(counts_V)
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(
            hidden_size, len(counts_V), self.cutoffs, div_value=2.0, head_bias=True
        )
        share_V = (counts_V.double() + 1.0) / (counts_V.double() + 1.0).sum()
        bounds = [0, *self.cutoffs, len(counts_V)]
        mass = [share_V[begin:end].sum() for begin, end in itertools.pairwise(bounds)]
        self._tail_mass = [float(share) for share in mass[1:]]
        if output_bias == "unigram":
            head = torch.cat([share_V[: bounds[1]], torch.stack(mass[1:])])
            with torch.no_grad():
                self.softmax.head.bias.copy_(head.log())

    @property
    def signature(self) -> str:
        return f"softmax:adaptive({','.join(map(str, self.cutoffs))})"

    def negative_log_likelihood(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        return -self._log_probs(h_NH, target_N).sum()

    @torch.no_grad()
    def target_log_probs(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        return self._log_probs(h_NH, target_N)

    def _log_probs(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        with products_as(self.products, h_NH.device):
            log_p_N: Tensor = self.softmax(h_NH.to(self.dtype), target_N)[0]
        return log_p_N

    def log_distribution(self, h_NH: Tensor) -> Tensor:
        with products_as(self.products, h_NH.device):
            return self.softmax.log_prob(h_NH.to(self.dtype))

    def flops_per_token(self) -> int:
        tails = [sum(p.numel() for p in tail.parameters()) for tail in self.softmax.tail]
        mean = sum(mass * size for mass, size in zip(self._tail_mass, tails, strict=True))
        return round(2 * (self.softmax.head.weight.numel() + mean))


def cutoffs(counts_V: Tensor) -> list[int]:
    """Word ids where the cumulated mass passes `HEAD_MASS`; at least one."""
    mass_V = counts_V.double().cumsum(0) / counts_V.sum()
    ids = {int((mass_V < share).sum()) for share in HEAD_MASS}
    return sorted(cut for cut in ids if 0 < cut < len(counts_V) - 1) or [len(counts_V) // 2]
