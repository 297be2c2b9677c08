"""Input matrices that are learned, or that only pick their part of the input vector.

A network that reads words one-hot has a column of A for each word. Here a word is an input vector
first; `direct` makes that vector the column itself: A = [1 0], B = [0 1] and so on, fixed.

Shapes: D input, H the size of what a matrix feeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from bench.core.errors import BenchError

Input = Literal["projected", "direct"]


def add_input_matrices(
    module: nn.Module, input: Input, input_size: int, sizes: Mapping[str, int]
) -> None:
    """Give `module` a matrix [size, D] under each name: a parameter, or a fixed choice of entries.

    `direct` splits the input among the matrices in order, so `input_size` must be their sum.
    """
    if input == "projected":
        for name, size in sizes.items():
            module.register_parameter(name, nn.Parameter(torch.empty(size, input_size)))
        return
    if input_size != sum(sizes.values()):
        raise BenchError(
            f"{type(module).__name__} with direct input needs input vectors of size "
            f"{' + '.join(map(str, sizes.values()))}, not {input_size}: set "
            f"--objective.embedding-size {sum(sizes.values())}"
        )
    choices = torch.split(torch.eye(input_size), list(sizes.values()))
    for name, matrix in zip(sizes, choices, strict=True):
        module.register_buffer(name, matrix.clone(), persistent=False)
