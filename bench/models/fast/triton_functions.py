"""What the kernels of the architectures share. Importing this file needs Triton.

Kernels compute in float32, or float64 where their tensors are, and round when they write.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256
"""Numbers that one program of a kernel works on."""
LAUNCH = {"BLOCK": BLOCK, "enable_fp_fusion": True}
"""What every kernel is started with; a product and its sum may round once, as torch's own do."""


def num_blocks(size: int) -> tuple[int]:
    """Programs for so many numbers."""
    return (triton.cdiv(size, BLOCK),)


@triton.jit
def read(pointer, offsets, inside):
    """Numbers in the precision that is computed in."""
    found = tl.load(pointer + offsets, mask=inside, other=0.0)
    return found if found.dtype == tl.float64 else found.to(tl.float32)


@triton.jit
def tanh(x):
    """Without overflow on either side; Triton's language has none of its own."""
    e = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - e) / (1.0 + e)
    return tl.where(x < 0, -size, size)


@triton.jit
def _double(x, out, size, BLOCK: tl.constexpr):
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + place, 2.0 * read(x, place, place < size), mask=place < size)


def double(x: Tensor) -> Tensor:
    """2 x: the least that shows whether kernels are compiled and run."""
    out = x.new_empty(x.shape)
    _double[num_blocks(x.numel())](x, out, x.numel(), **LAUNCH)
    return out
