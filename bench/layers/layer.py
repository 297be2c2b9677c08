"""Contract of output layers: p(w | h) for every word w of a vocabulary, exactly normalised.

Shapes: N tokens, H size of the recurrence's output, V vocabulary.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.core.errors import BenchError
from bench.layers.products import Products, products_in_effect

IGNORE = -100
"""Target of padding, as in the library's own losses."""


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
        """Precision of the products in the layer's mode, training or evaluation."""
        # Read at each use: after a validation Lightning restores modes without calling `train`.
        return self._training_products if self.training else self._evaluation_products

    def loss(self, h_NH: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of -log p over the targets that are not IGNORE [], and their number [] (int64)."""
        is_word_N = target_N != IGNORE
        count = is_word_N.sum()
        if int(count) < len(target_N):
            h_NH, target_N = h_NH[is_word_N], target_N[is_word_N]
        if torch.is_grad_enabled():
            return self.negative_log_likelihood(h_NH, target_N), count
        return -self.target_log_probs(h_NH, target_N).sum(), count

    @torch.no_grad()
    def log_probs(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        """Natural log-probability of each target [N], without gradient; 0 where it is IGNORE."""
        is_word_N = target_N != IGNORE
        log_p_N = h_NH.new_zeros(len(target_N), dtype=self.dtype)
        log_p_N[is_word_N] = self.target_log_probs(h_NH[is_word_N], target_N[is_word_N])
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
        """Log-probabilities of all words [N, V]; differentiable, all in memory at once."""

    @property
    @abstractmethod
    def signature(self) -> str:
        """Name of the formula of p(w | h), such as `softmax:full`."""

    @abstractmethod
    def flops_per_token(self) -> int:
        """Floating-point operations of one token's loss, forward, matrix products only."""

    @property
    def products_in_effect(self) -> str:
        """Precision of the matrix products on this machine."""
        return products_in_effect(self.products, self.device)

    def tie(self, embedding: nn.Embedding) -> None:
        """Use the input vectors as output weights (Press and Wolf, 2017), where supported."""
        del embedding
        raise BenchError(f"tied embeddings with {self.signature}: only the full softmax has them")


class LossWithGradients(torch.autograd.Function):
    """Loss whose gradients for the inputs were computed with it, as (loss, *gradients)."""

    @staticmethod
    def forward(ctx: Any, found: tuple[Tensor, ...], *_: Tensor) -> Tensor:
        loss, *gradients = found
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pairs = zip(ctx.saved_tensors, ctx.needs_input_grad[1:], strict=True)
        return None, *(gradient * grad if needed else None for gradient, needed in pairs)


def initial_weight(num_rows: int, hidden_size: int) -> nn.Parameter:
    """U(-1/sqrt(H), 1/sqrt(H)) [rows, H], as in the library's linear layers."""
    bound = 1.0 / math.sqrt(hidden_size)
    return nn.Parameter(torch.empty(num_rows, hidden_size).uniform_(-bound, bound))


def initial_bias(counts_V: Tensor, output_bias: Literal["unigram", "zero"]) -> Tensor:
    """Logits before any input [V]: log of the add-one unigram probabilities, or zero."""
    if output_bias == "zero":
        return torch.zeros(len(counts_V))
    counts_V = counts_V.double() + 1.0  # a word unseen in training is not impossible
    return (counts_V / counts_V.sum()).log().float()
