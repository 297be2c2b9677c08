"""Precision of an output layer's matrix products: exact float32, TF32, or bfloat16 factors.

bfloat16 keeps float32's range and 8 of its 24 bits; products of two such factors are exact in
float32, where they are summed, so the error is that of rounding the factors: at most 2^-8 of
sum_i |a_i b_i|, the longer the sum the better it averages out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from bench.core.config import TrainerConfig

Products = Literal["float32", "tf32", "bfloat16"]


def training_products(trainer: TrainerConfig) -> Products:
    """Precision of an output layer in training; in mixed bfloat16 it has bfloat16 factors."""
    is_mixed = trainer.precision == "bf16-mixed" and trainer.products == "float32"
    return "bfloat16" if is_mixed else trainer.products


@contextmanager
def products_as(products: Products, device: torch.device) -> Iterator[None]:
    """Compute the products of an output layer in the precision `products`.

    A trainer's autocast is disabled: the option alone decides.
    """
    with torch.autocast(device.type, enabled=False), float32_products_as(products, device):
        yield


@contextmanager
def float32_products_as(products: Products, device: torch.device) -> Iterator[None]:
    """Compute the float32 products of this block in the precision `products`.

    On a CPU oneDNN rounds the factors itself; the switch is global to the process, hence set for
    the block only. TF32 is set by the trainer for everything on a GPU.
    """
    if products != "bfloat16" or device.type != "cpu":
        yield
        return
    library = torch.backends.mkldnn
    kinds = (library.matmul, library.conv)  # type: ignore[attr-defined]
    before = [kind.fp32_precision for kind in kinds]
    for kind in kinds:
        kind.fp32_precision = "bf16"
    try:
        yield
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision


def product(a_MK: Tensor, b_KN: Tensor, products: Products, out_MN: Tensor) -> Tensor:
    """out = a b, inside `products_as`."""
    if a_MK.is_cuda and products == "bfloat16":  # oneDNN's switch does not exist there
        half_MK, half_KN = a_MK.bfloat16(), b_KN.bfloat16()
        return out_MN.copy_(torch.mm(half_MK, half_KN, out_dtype=torch.float32))
    return torch.mm(a_MK, b_KN, out=out_MN)


def add_product(sum_MN: Tensor, a_MK: Tensor, b_KN: Tensor, products: Products) -> Tensor:
    """sum += a b, inside `products_as`."""
    if a_MK.is_cuda and products == "bfloat16":
        return sum_MN.add_(torch.mm(a_MK.bfloat16(), b_KN.bfloat16(), out_dtype=torch.float32))
    return sum_MN.addmm_(a_MK, b_KN)


def products_in_effect(products: Products, device: torch.device) -> str:
    """Precision on this machine, as a small product shows it: units that are there may not be used.

    A CPU whose library leaves the factors as they are stays in float32.
    """
    if products == "float32":
        return "float32"
    if products == "tf32":
        return "tf32 (cuda)" if device.type == "cuda" else "float32"
    if device.type not in ("cpu", "cuda") or not _rounds_factors(device.type):
        return "float32"
    if device.type == "cuda":
        return "bfloat16 (cuda)"
    return "bfloat16 (amx)" if torch.cpu._is_amx_tile_supported() else "bfloat16 (avx512)"


@functools.cache
def _rounds_factors(device_type: str) -> bool:
    """Probe whether `bfloat16` rounds the factors of a product: is it nearer to rounded ones?"""
    device, generator = torch.device(device_type), torch.Generator().manual_seed(1)
    a_MK, b_KN = (torch.rand(256, 256, generator=generator).to(device) for _ in range(2))
    with products_as("bfloat16", device):
        found_MN = product(a_MK, b_KN, "bfloat16", torch.empty_like(a_MK)).double()
    exact_MN = a_MK.double() @ b_KN.double()
    rounded_MN = a_MK.bfloat16().double() @ b_KN.bfloat16().double()
    nearer = (found_MN - rounded_MN).abs().max() < (found_MN - exact_MN).abs().max()
    return bool(nearer)
