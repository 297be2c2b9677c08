"""layers"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from bench.core.errors import BenchError, nearest
from bench.layers.adaptive import AdaptiveSoftmax
from bench.layers.classes import ClassSoftmax
from bench.layers.full import FullSoftmax
from bench.layers.layer import IGNORE, OutputLayer
from bench.layers.products import Products

# The output layers by name: what turns a recurrence's output into word probabilities.


__all__ = ["IGNORE", "OUTPUT_LAYERS", "OutputLayer", "build_output_layer"]

OUTPUT_LAYERS = {"full": FullSoftmax, "classes": ClassSoftmax, "adaptive": AdaptiveSoftmax}


def build_output_layer(
    name: str,
    hidden_size: int,
    counts_V: Tensor,
    *,
    num_classes: int = 0,
    output_bias: Literal["unigram", "zero"] = "unigram",
    products: Products = "float32",
    evaluation_products: Products | None = None,
) -> OutputLayer:
    """The output layer `name` over the words whose training counts are `counts_V`.

    `num_classes` is read by `classes` only; 0 lets the layer choose from the vocabulary's size.
    `evaluation_products` are `products` where they are not given.
    Errors: BenchError for an unknown name or for options that the layer does not have.
    """
    precisions = {"products": products, "evaluation_products": evaluation_products or products}
    if name == "full" and num_classes == 0:
        return FullSoftmax(hidden_size, counts_V, output_bias=output_bias, **precisions)
    if name == "classes":
        return ClassSoftmax(
            hidden_size,
            counts_V,
            num_classes=num_classes,
            output_bias=output_bias,
            **precisions,
        )
    if name == "adaptive" and num_classes == 0:
        return AdaptiveSoftmax(hidden_size, counts_V, output_bias=output_bias, **precisions)
    if name in OUTPUT_LAYERS:
        raise BenchError(f"num_classes {num_classes} with output {name!r}: only 'classes' has them")
    raise BenchError(f"unknown output layer {name!r}, {nearest(name, OUTPUT_LAYERS)}")
