"""The contract of output layers: p(w | h) for every word w of a vocabulary, exactly normalised.

Shapes: N tokens, H size of the recurrence's output, V vocabulary.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.layers.products import Products, products_in_effect

IGNORE = -100
"""The target of a place that holds no word (padding), as in the library's own losses."""


class OutputLayer(nn.Module, ABC):
    """Log-probabilities of words given `h_NH`, and their negated sum as a loss."""

    def __init__(
        self,
        hidden_size: int,
        counts_V: Tensor,
        products: Products,
        *,
        evaluation_products: Products | None = None,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.vocabulary_size = len(counts_V)
        self._training_products: Products = products
        self._evaluation_products: Products = evaluation_products or products

    @property
    def products(self) -> Products:
        """Of the mode that the layer is in.

        Asked for each time: after a validation Lightning restores modes past `train`.
        """
        return self._training_products if self.training else self._evaluation_products

    def loss(self, h_NH: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of -log p over the targets that are not IGNORE [], and their number [] (int64)."""
        kept_N = target_N != IGNORE
        count = kept_N.sum()
        if int(count) < len(target_N):
            h_NH, target_N = h_NH[kept_N], target_N[kept_N]
        return self.negative_log_likelihood(h_NH, target_N), count

    @torch.no_grad()
    def log_probs(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        """Natural log-probability of each target [N], without gradient; 0 where it is IGNORE."""
        kept_N = target_N != IGNORE
        log_p_N = h_NH.new_zeros(len(target_N), dtype=self.dtype)
        log_p_N[kept_N] = self.target_log_probs(h_NH[kept_N], target_N[kept_N])
        return log_p_N

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @abstractmethod
    def negative_log_likelihood(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        """Sum of -log p over the targets, all of them words, with gradient."""

    @abstractmethod
    def target_log_probs(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        """Log-probability of each target [N], all of them words, without gradient."""

    @abstractmethod
    def log_distribution(self, h_NH: Tensor) -> Tensor:
        """Log-probabilities of all words [N, V]; differentiable, and as large as it looks."""

    @property
    @abstractmethod
    def signature(self) -> str:
        """Which formula for p(w | h) this is, such as `softmax:full`."""

    @abstractmethod
    def flops_per_token(self) -> int:
        """Floating-point operations of one token's loss, forward, matrix products only."""

    @property
    def products_in_effect(self) -> str:
        """Precision of the matrix products that this machine really uses."""
        return products_in_effect(self.products, self.device)

    def tie(self, embedding: nn.Embedding) -> None:
        """Take the input vectors as output weights (Press and Wolf, 2017), where the kind can."""
        del embedding
        raise BenchError(f"tied embeddings with {self.signature}: only the full softmax has them")


def initial_weight(num_rows: int, hidden_size: int) -> nn.Parameter:
    """U(-1/sqrt(H), 1/sqrt(H)) [rows, H], as the library's linear layers begin."""
    bound = 1.0 / math.sqrt(hidden_size)
    return nn.Parameter(torch.empty(num_rows, hidden_size).uniform_(-bound, bound))


def initial_bias(counts_V: Tensor, output_bias: Literal["unigram", "zero"]) -> Tensor:
    """Logits before any input [V]: log of the add-one unigram probabilities, or zero."""
    if output_bias == "zero":
        return torch.zeros(len(counts_V))
    counts_V = counts_V.double() + 1.0  # a word never seen in training is no impossible one
    return (counts_V / counts_V.sum()).log().float()
