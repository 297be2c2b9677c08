"""Use of the kernels written in Triton: on CUDA, where it is installed and compiles."""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache

import torch
from torch import Tensor

FUSED_ON = {"cuda"}
"""Types of devices; tests add the CPU, where Triton's interpreter runs the same kernels."""


def fuses(x: Tensor) -> bool:
    """True if steps over tensors like `x` run as fused kernels."""
    return x.device.type in FUSED_ON and x.is_floating_point() and compiles(x.device.type)


@cache
def compiles(device_type: str) -> bool:
    """True if Triton is installed and runs a kernel, for which it needs a C compiler."""
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        from bench.models.fast.triton_functions import double

        return double(torch.ones(3, device=device_type)).tolist() == [2.0, 2.0, 2.0]
    except Exception as error:  # whatever a compiler, a driver or Triton itself may raise
        warnings.warn(
            f"Triton is installed but runs no kernel here, loops are slower without: {error}",
            stacklevel=2,
        )
        return False
