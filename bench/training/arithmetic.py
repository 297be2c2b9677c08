"""Floating-point operations counted while batches go through, beside those of the formula."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.training.objective import Objective
from bench.training.random_streams import random_state, restore_random_state

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
