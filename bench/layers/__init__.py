"""Output layers: log-probabilities of all words from a recurrence's output, exactly normalised.

`layer` holds their contract, `full`, `classes` and `adaptive` one layer each, `products` the
precisions of their matrix products.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from bench.core.errors import BenchError, nearest
from bench.layers.adaptive import AdaptiveSoftmax
from bench.layers.classes import ClassSoftmax
from bench.layers.full import FullSoftmax
from bench.layers.layer import IGNORE, OutputLayer
from bench.layers.products import Products

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
    """Build the output layer `name` over the words whose training counts are `counts_V`.

    `num_classes` is read by `classes` only; 0 lets the layer choose from the vocabulary's size.
    `evaluation_products` default to `products`. Raises BenchError for an unknown name or for
    options that the layer does not have.
    """
    if name not in OUTPUT_LAYERS:
        raise BenchError(f"unknown output layer {name!r}, {nearest(name, OUTPUT_LAYERS)}")
    if num_classes and name != "classes":
        raise BenchError(f"num_classes {num_classes} with output {name!r}: only 'classes' has them")
    layer: OutputLayer = OUTPUT_LAYERS[name](
        hidden_size,
        counts_V,
        output_bias=output_bias,
        products=products,
        evaluation_products=evaluation_products,
        **({"num_classes": num_classes} if num_classes else {}),
    )
    return layer
