"""Floating-point operations counted while batches go through, beside those of the formula."""

from __future__ import annotations

import functools
import time
from itertools import islice
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.layers.products import Products, products_as
from bench.training.collective import random_state, restore_random_state
from bench.training.objective import Objective

NUM_BATCHES = 8


def _product_flops(_sum: Any, a_shape: Any, b_shape: Any, **_: Any) -> int:
    """C += A B."""
    return 2 * int(a_shape[0]) * int(a_shape[1]) * int(b_shape[1])


def _matrix_vector_flops(_sum: Any, a_shape: Any, _x: Any, **_: Any) -> int:
    """y += A x."""
    return 2 * int(a_shape[0]) * int(a_shape[1])


def _lstm_flops(x_shape: Any, W_shape: Any, U_shape: Any, *_: Any, **__: Any) -> int:
    """Input and recurrent products of the library's LSTM over all steps."""
    num_steps = int(x_shape[0]) * int(x_shape[1])
    return 2 * num_steps * int(W_shape[0]) * (int(W_shape[1]) + int(U_shape[1]))


def _lstm_backward_flops(*shapes: Any, **named: Any) -> int:
    return 2 * _lstm_flops(*shapes, **named)


_ALSO = {
    torch.ops.aten.addmm_: _product_flops,
    torch.ops.aten.mkldnn_rnn_layer: _lstm_flops,
    torch.ops.aten.mkldnn_rnn_layer_backward: _lstm_backward_flops,
    torch.ops.aten.addmv: _matrix_vector_flops,
    torch.ops.aten.addmv_: _matrix_vector_flops,
}
"""Products that PyTorch's own counter passes over."""


def counted_flops_per_unit(objective: Objective, *, num_batches: int = NUM_BATCHES) -> int:
    """FLOPs of forward and backward for a unit, counted over the first batches of training.

    PyTorch's counter sees every matrix product and convolution, as does the formula; padding and
    what the backward pass can leave out count as they are. Weights, random streams and the
    carried state stay what they were.
    """
    random, carried, training = random_state(), objective.carried, objective.training
    counter = FlopCounterMode(display=False, custom_mapping=_ALSO)
    num_flops = num_units = 0
    objective.train()
    objective.begin_sequence()
    with torch.enable_grad():
        for batch in islice(objective.train_loader(), num_batches):
            with counter:  # which forgets, on entering, what it counted before
                loss_sum, count = objective.batch_loss(batch)
                objective.update_loss(loss_sum, count, batch).backward()  # type: ignore[no-untyped-call]
            num_flops += counter.get_total_flops()
            num_units += objective.units_in(batch)
    objective.zero_grad()
    objective.train(training)
    objective.carried = carried
    restore_random_state(random)
    return round(num_flops / max(1, num_units))


# Rate of this machine's matrix products, to compare a run's speed with.


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
