"""Full softmax in its fastest exact form.

    p(w | h) = exp(w_w . h + b_w) / sum_v exp(w_v . h + b_v)

The library's two steps, logits [N, V] and their cross entropy, write and read that matrix about
eight times; it outgrows the caches and memory becomes the limit. Here rows are taken in chunks
whose logits stay in cache, and the gradients are formed while they are there. With
e_nv = exp(z_nv - max_v z_nv), s_n = sum_v e_nv and y the targets,

    loss = sum_n max_v z_nv + log s_n - z_{n y_n}
    dh_n = (1/s_n) sum_v e_nv w_v - w_{y_n}
    dw_v = sum_n e_nv (h_n / s_n) - sum_{n: y_n = v} h_n
    db_v = sum_n e_nv / s_n       - |{n: y_n = v}|

so the division and the subtraction of the targets touch small matrices only and the logits see one
pass for the maximum, one for the exponential, one for the sum, and three products.

Shapes: N tokens, M tokens of a chunk, H size of the recurrence's output, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.errors import BenchError
from bench.layers.layer import LossWithGradients, OutputLayer, initial_bias, initial_weight
from bench.layers.products import Products, add_product, product, products_as

Use = Literal["training", "inference"]
CHUNK_BYTES: dict[Use, int] = {"training": 6 << 20, "inference": 12 << 20}
GPU_CHUNK_BYTES = 256 << 20
MIN_CHUNK_ROWS = 64


def chunk_rows(vocabulary_size: int, itemsize: int, device_type: str, use: Use) -> int:
    """Rows whose logits are one chunk: CHUNK_BYTES of them, and at least MIN_CHUNK_ROWS.

    On a CPU a few MiB, about the second-level cache of two cores: measured, the optimum is flat
    from 3 to 20 MiB in training, and a beam search at 12 MiB takes 0.92 of its time at 6. Below 64
    rows the weights, read once a chunk, cost more than the cache saves. On a GPU the chunk only
    bounds the memory.
    """
    budget = CHUNK_BYTES[use] if device_type == "cpu" else GPU_CHUNK_BYTES
    return max(MIN_CHUNK_ROWS, budget // (vocabulary_size * itemsize))


class FullSoftmax(OutputLayer):
    """Softmax over all words of an affine map of `h`."""

    signature = "softmax:full"

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
        self.weight = initial_weight(self.vocabulary_size, hidden_size)
        self.bias = nn.Parameter(initial_bias(counts_V, output_bias))

    def negative_log_likelihood(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        inputs = h_NH.to(self.dtype), self.weight, self.bias
        with torch.no_grad(), products_as(self.products, h_NH.device):
            found = loss_and_gradients(*inputs, target_N, self.products)
        loss: Tensor = LossWithGradients.apply(found, *inputs)  # type: ignore[no-untyped-call]
        return loss

    @torch.no_grad()
    def target_log_probs(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        h_NH = h_NH.to(self.dtype)
        return target_log_probs(h_NH, self.weight, self.bias, target_N, self.products)

    def log_distribution(self, h_NH: Tensor) -> Tensor:
        with products_as(self.products, h_NH.device):
            return F.linear(h_NH.to(self.dtype), self.weight, self.bias).log_softmax(1)

    def logit_chunks(self, h_NH: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Rows and their logits [M, V], each chunk overwriting the one before; in `no_grad`."""
        with products_as(self.products, h_NH.device):
            yield from _logit_chunks(h_NH, self.weight, self.bias, self.products, "inference")

    def flops_per_token(self) -> int:
        return 2 * self.hidden_size * self.vocabulary_size

    def tie(self, embedding: nn.Embedding) -> None:
        if embedding.weight.shape != self.weight.shape:
            raise BenchError(
                f"tied embeddings: input vectors of size {embedding.embedding_dim}, but the "
                f"recurrence has outputs of size {self.hidden_size}: set "
                f"--objective.embedding-size {self.hidden_size}"
            )
        self.weight = cast(nn.Parameter, embedding.weight)


def _logit_chunks(
    h_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, products: Products, use: Use
) -> Iterator[tuple[slice, Tensor]]:
    """Logits chunk by chunk, each overwriting the one before."""
    size = weight_VH.element_size()
    num_rows = chunk_rows(len(weight_VH), size, h_NH.device.type, use)
    buffer_MV = h_NH.new_empty(min(num_rows, len(h_NH)), len(weight_VH))
    for start in range(0, len(h_NH), num_rows):
        rows = slice(start, min(start + num_rows, len(h_NH)))
        z_MV = buffer_MV[: rows.stop - start]
        yield rows, product(h_NH[rows], weight_VH.t(), products, z_MV).add_(bias_V)


def target_log_probs(
    h_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor, products: Products
) -> Tensor:
    """Log-probability of each target [N]; in `no_grad`."""
    log_p_N = torch.empty_like(h_NH[:, 0])
    with products_as(products, h_NH.device):
        for rows, z_MV in _logit_chunks(h_NH, weight_VH, bias_V, products, "inference"):
            z_M1 = z_MV.gather(1, target_N[rows, None])
            log_p_N[rows] = (z_M1 - z_MV.logsumexp(1, keepdim=True))[:, 0]
    return log_p_N


def loss_and_gradients(
    h_NH: Tensor, weight_VH: Tensor, bias_V: Tensor, target_N: Tensor, products: Products
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Summed loss and its gradients for h, weights and bias, while the logits are in cache."""
    dh_NH = torch.empty_like(h_NH)
    dweight_VH, dbias_V = torch.zeros_like(weight_VH), torch.zeros_like(bias_V)
    loss = h_NH.new_zeros((), dtype=torch.float64)
    for rows, z_MV in _logit_chunks(h_NH, weight_VH, bias_V, products, "training"):
        z_M1 = z_MV.gather(1, target_N[rows, None])
        max_M1 = z_MV.amax(1, keepdim=True)
        e_MV = z_MV.sub_(max_M1).exp_()
        sum_M1 = e_MV.sum(1, keepdim=True)
        loss += (max_M1 + sum_M1.log() - z_M1).double().sum()
        product(e_MV, weight_VH, products, dh_NH[rows]).div_(sum_M1)
        add_product(dweight_VH, e_MV.t(), h_NH[rows] / sum_M1, products)
        dbias_V.addmv_(e_MV.t(), sum_M1.reciprocal()[:, 0])
    dh_NH -= weight_VH[target_N]
    dweight_VH.index_add_(0, target_N, h_NH, alpha=-1)
    dbias_V -= torch.bincount(target_N, minlength=len(bias_V)).to(dbias_V)
    return loss.to(h_NH.dtype), dh_NH, dweight_VH, dbias_V
