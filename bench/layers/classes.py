"""Two-level softmax: a class, then a word of the class.

p(w | h) = p(class(w) | h) p(w | class(w), h). Words are sorted by training frequency and cut into
classes of equal probability mass (T. Mikolov, S. Kombrink, L. Burget, J. Cernocky, S. Khudanpur,
"Extensions of recurrent neural network language model", ICASSP 2011, section 4.1; J. Goodman,
"Classes for fast maximum entropy training", 2001): frequent words are in small classes, so a token
needs few scores on average. The result is exactly normalised.

Shapes: N rows, H features, V words, C classes. Word ids are sorted by falling frequency.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.layers.full import loss_and_gradients, target_log_probs
from bench.layers.layer import LossWithGradients, OutputLayer, initial_bias, initial_weight
from bench.layers.products import Products, product, products_as

Groups = list[tuple[slice, slice]]


class ClassSoftmax(OutputLayer):
    """Two levels, classes of equal unigram mass; `num_classes` 0 means sqrt(V) / 2, the fastest.

    Always in float32, whatever `products`: the matrices are small and of new shapes every step, and
    oneDNN's bfloat16 prepares a kernel for each, which takes three times as long as a whole step.
    """

    def __init__(
        self,
        hidden_size: int,
        counts_V: Tensor,
        *,
        num_classes: int = 0,
        output_bias: Literal["unigram", "zero"] = "unigram",
        products: Products = "float32",
        evaluation_products: Products | None = None,
    ) -> None:
        del products, evaluation_products
        super().__init__(hidden_size, counts_V, "float32")
        self.bounds = class_bounds(counts_V, num_classes or max(1, math.isqrt(len(counts_V)) // 2))
        place = counts_V.device  # not the default one, on which weights are only counted (meta)
        sizes_C = torch.tensor([end - begin for begin, end in self.bounds], device=place)
        class_V = torch.repeat_interleave(torch.arange(len(sizes_C), device=place), sizes_C)
        counts_C = torch.zeros_like(sizes_C).index_add_(0, class_V, counts_V)
        first_C = torch.tensor([begin for begin, _ in self.bounds], device=place)
        self.class_V: Tensor
        self.register_buffer("class_V", class_V, persistent=False)
        self.within_V: Tensor
        within_V = torch.arange(len(counts_V), device=place) - first_C[class_V]
        self.register_buffer("within_V", within_V, persistent=False)
        self.class_weight = initial_weight(len(sizes_C), hidden_size)
        self.class_bias = nn.Parameter(initial_bias(counts_C + sizes_C - 1, output_bias))
        self.weight = initial_weight(len(counts_V), hidden_size)
        self.bias = nn.Parameter(initial_bias(counts_V, output_bias))
        self._mean_words = float((counts_C * sizes_C).sum() / counts_C.sum())

    @property
    def signature(self) -> str:
        return f"softmax:classes({len(self.bounds)})"

    def negative_log_likelihood(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        class_N = self.class_V.index_select(0, target_N)  # refuses negative ids
        order_N = class_N.argsort(stable=True)
        class_N, within_N = class_N[order_N], self.within_V[target_N[order_N]]
        h_NH = h_NH.to(self.dtype)[order_N]
        words, classes = (self.weight, self.bias), (self.class_weight, self.class_bias)
        with torch.no_grad(), products_as(self.products, h_NH.device):
            class_loss, dh_NH, *of_classes = loss_and_gradients(
                h_NH, *classes, class_N, self.products
            )
            word_loss, *of_words = _word_gradients(
                h_NH, *words, within_N, self._groups(class_N), self.products, dh_NH
            )
        found = (class_loss + word_loss, dh_NH, *of_words, *of_classes)
        loss: Tensor = LossWithGradients.apply(found, h_NH, *words, *classes)  # type: ignore[no-untyped-call]
        return loss

    @torch.no_grad()
    def target_log_probs(self, h_NH: Tensor, target_N: Tensor) -> Tensor:
        h_NH = h_NH.to(self.dtype)
        class_N = self.class_V.index_select(0, target_N)  # refuses negative ids
        order_N = class_N.argsort(stable=True)
        classes = self.class_weight, self.class_bias
        log_p_N = target_log_probs(h_NH, *classes, class_N, self.products)
        for rows, words in self._groups(class_N[order_N]):
            of_class = order_N[rows]
            part = self.weight[words], self.bias[words]
            within_N = self.within_V[target_N[of_class]]
            log_p_N[of_class] += target_log_probs(h_NH[of_class], *part, within_N, self.products)
        return log_p_N

    def _groups(self, sorted_class_N: Tensor) -> Groups:
        """Rows and words of each class present."""
        present, sizes = torch.unique_consecutive(sorted_class_N, return_counts=True)
        ends = sizes.cumsum(0).tolist()
        rows = itertools.starmap(slice, itertools.pairwise([0, *ends]))
        words = [slice(*self.bounds[number]) for number in present.tolist()]
        return list(zip(rows, words, strict=True))

    def log_distribution(self, h_NH: Tensor) -> Tensor:
        h_NH = h_NH.to(self.dtype)
        with products_as(self.products, h_NH.device):
            classes_NC = F.linear(h_NH, self.class_weight, self.class_bias).log_softmax(1)
            scores_NV = F.linear(h_NH, self.weight, self.bias)
        words = [scores_NV[:, begin:end].log_softmax(1) for begin, end in self.bounds]
        return torch.cat(words, dim=1) + classes_NC[:, self.class_V]

    def flops_per_token(self) -> int:
        return round(2 * self.hidden_size * (len(self.bounds) + self._mean_words))


def _word_gradients(
    h_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    within_N: Tensor,
    groups: Groups,
    products: Products,
    dh_NH: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Summed loss of the words within their classes, and its gradients for weights and bias.

    The gradient for h is added to `dh_NH`. A class has few rows, so the number of calls decides the
    cost: each writes to its result's final place.
    """
    dweight_VH, dbias_V = torch.zeros_like(weight_VH), torch.zeros_like(bias_V)
    within_N1, minus_N1 = within_N[:, None], -torch.ones_like(h_NH[:, :1])
    log_p = [h_NH.new_zeros(1, 1)]
    for rows, words in groups:
        if words.stop - words.start == 1:
            continue  # p = 1: neither loss nor gradient
        h, weight, target = h_NH[rows], weight_VH[words], within_N1[rows]
        z = h.new_empty(len(h), len(weight))
        log_p_all = product(h, weight.t(), products, z).add_(bias_V[words]).log_softmax(1)
        log_p.append(log_p_all.gather(1, target))
        dz = log_p_all.exp_().scatter_add_(1, target, minus_N1[rows])
        dh_NH[rows] += product(dz, weight, products, torch.empty_like(h))
        product(dz.t(), h, products, dweight_VH[words])
        torch.sum(dz, 0, out=dbias_V[words])
    return -torch.cat(log_p).double().sum().to(h_NH.dtype), dweight_VH, dbias_V


def class_bounds(counts_V: Tensor, num_classes: int) -> list[tuple[int, int]]:
    """Word ranges [begin, end) of about equal probability mass, each with a word at least."""
    mass_V = counts_V.double().cumsum(0) / counts_V.sum()
    # The class of a word is where the middle of its own mass falls.
    middle_V = mass_V - counts_V.double() / counts_V.sum() / 2
    class_V = (middle_V * num_classes).floor().clamp(max=num_classes - 1)
    _, sizes = torch.unique_consecutive(class_V, return_counts=True)
    ends = sizes.cumsum(0).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))
