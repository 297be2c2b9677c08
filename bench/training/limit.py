"""What this machine's matrix products can reach, to hold a run's speed against."""

from __future__ import annotations

import functools
import time

import torch

from bench.layers.output.products import Products, products_as

_SIZES = {"cpu": 512, "cuda": 8192}
"""Large enough for full speed; on a CPU small enough to be done before it is taken away."""
_LEAST_PRODUCTS = 5
_LEAST_SEC = 0.15


def product_rate(products: Products, device: torch.device) -> float:
    """FLOP/s of the fastest of several large square matrix products, in the threads in effect.

    The fastest: other work on the machine slows some of them. Measured once in a process.
    """
    return _product_rate(products, device.type, torch.get_num_threads())


@functools.cache
def _product_rate(products: Products, kind: str, _num_threads: int) -> float:
    device, size = torch.device(kind), _SIZES.get(kind, _SIZES["cpu"])
    dtype = torch.bfloat16 if products == "bfloat16" and kind == "cuda" else torch.float32
    a_NN = torch.ones(size, size, device=device, dtype=dtype)
    out_NN = torch.empty_like(a_NN)

    def once() -> float:
        begun = time.perf_counter()
        torch.mm(a_NN, a_NN, out=out_NN)
        if kind == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    with products_as(products, device), torch.no_grad():
        once()
        taken_sec: list[float] = []
        while len(taken_sec) < _LEAST_PRODUCTS or sum(taken_sec) < _LEAST_SEC:
            taken_sec.append(once())
    return 2 * size**3 / min(taken_sec)
