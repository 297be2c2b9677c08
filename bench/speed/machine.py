"""What this machine can do: its matrix-product rate at given shapes, its memory bandwidth."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.objectives.output.products import Products, products_as

Call = Callable[[], object]


def product_calls(
    num_rows: int, hidden_size: int, vocabulary_size: int, *, products: Products
) -> tuple[dict[str, Call], int]:
    """The three matrix products of a softmax layer's step as calls, and the FLOPs of each.

    Scores [N, V], the gradient of the hidden states [N, H] and of the weights [V, H], into memory
    that is there already: nothing but the products is timed.
    """
    h_NH, weight_VH = torch.randn(num_rows, hidden_size), torch.randn(vocabulary_size, hidden_size)
    scores_NV = torch.randn(num_rows, vocabulary_size)
    out_NV, out_NH, out_VH = (torch.empty_like(t) for t in (scores_NV, h_NH, weight_VH))

    def product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> Call:
        def call() -> object:
            with products_as(products, left.device):
                return torch.mm(left, right, out=out)

        return call

    calls = {
        "scores": product(h_NH, weight_VH.t(), out_NV),
        "hidden gradient": product(scores_NV, weight_VH, out_NH),
        "weight gradient": product(scores_NV.t(), h_NH, out_VH),
    }
    return calls, 2 * num_rows * hidden_size * vocabulary_size


def bandwidth_call(num_bytes: int = 256 * 2**20) -> tuple[Call, int]:
    """A copy of a large array, and the bytes that it reads and writes."""
    source = torch.ones(num_bytes // 4)
    target = torch.empty_like(source)
    return (lambda: target.copy_(source)), 2 * num_bytes
