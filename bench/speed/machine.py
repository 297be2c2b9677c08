"""Timing in turns, and a machine's limits: matrix-product rate and memory bandwidth.

All of it is measured on the device of the training: the CPU, or a GPU with `--device cuda`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from pytorch_lightning.utilities import move_data_to_device

from bench.core.errors import BenchError
from bench.layers.products import Products, products_as
from bench.models.fast.cuda_graphs import RECORD_AT_CALL
from bench.runs.resolve import Resolved
from bench.training.precision import set_float32

Call = Callable[[], object]
NameT = TypeVar("NameT", bound=Hashable)
BatchT = TypeVar("BatchT")
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds that one call of a contestant takes."""

    median_sec: float
    fastest_sec: float


def take_turns(
    contestants: Mapping[NameT, Call],
    *,
    num_rounds: int,
    warm_up: int = 2,
    device: torch.device = CPU,
) -> dict[NameT, Timing]:
    """Time one call of each contestant a round, in turn, so that drift affects all alike.

    The first `warm_up` rounds are not counted; on a GPU at least as many as it takes until graphs
    have been recorded. There a call ends when its work does.
    """
    if device.type == "cuda":
        warm_up = max(warm_up, RECORD_AT_CALL + 1)
    seconds: dict[NameT, list[float]] = {name: [] for name in contestants}
    for round_number in range(warm_up + num_rounds):
        for name, call in contestants.items():
            synchronize(device)
            started = time.perf_counter()
            call()
            synchronize(device)
            if round_number >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    return {
        name: Timing(median_sec=statistics.median(times), fastest_sec=min(times))
        for name, times in seconds.items()
    }


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work; on a CPU it is done when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_of(resolved: Resolved) -> torch.device:
    """Device on which a configuration is timed; BenchError if it is a GPU and there is none."""
    if resolved.config.trainer.accelerator == "cpu":
        return CPU
    if not torch.cuda.is_available():
        raise BenchError("--device cuda, but torch sees no GPU: leave it out to time the CPU")
    set_float32(resolved.config.trainer)
    return torch.device("cuda")


def to_device(batch: BatchT, device: torch.device) -> BatchT:
    """Copy a batch, or a list of them, to the device."""
    copied: BatchT = move_data_to_device(batch, device)
    return copied


def device_name(device: torch.device) -> str:
    """Number of threads of a CPU, name of a GPU."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{torch.get_num_threads()} threads"


def product_calls(
    num_rows: int,
    hidden_size: int,
    vocabulary_size: int,
    *,
    products: Products,
    device: torch.device = CPU,
) -> tuple[dict[str, Call], int]:
    """The three matrix products of a softmax layer's step as calls, and the FLOPs of each.

    Scores [N, V] and the gradients of the hidden states [N, H] and of the weights [V, H]; outputs
    are allocated beforehand, so that only the products are timed.
    """
    # A GPU has no switch that rounds factors to bfloat16; they are rounded beforehand.
    is_half = products == "bfloat16" and device.type == "cuda"
    like = torch.empty((), device=device, dtype=torch.bfloat16 if is_half else torch.float32)
    h_NH, weight_VH, scores_NV = (
        like.new_empty(*shape).normal_()
        for shape in (
            (num_rows, hidden_size),
            (vocabulary_size, hidden_size),
            (num_rows, vocabulary_size),
        )
    )
    out_NV, out_NH, out_VH = (torch.empty_like(t) for t in (scores_NV, h_NH, weight_VH))

    def product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        with products_as(products, left.device):
            return torch.mm(left, right, out=out)

    calls: dict[str, Call] = {
        "scores": partial(product, h_NH, weight_VH.t(), out_NV),
        "hidden gradient": partial(product, scores_NV, weight_VH, out_NH),
        "weight gradient": partial(product, scores_NV.t(), h_NH, out_VH),
    }
    return calls, 2 * num_rows * hidden_size * vocabulary_size


def bandwidth_call(num_bytes: int = 256 * 2**20, *, device: torch.device = CPU) -> tuple[Call, int]:
    """Copying a large array as a call, and the bytes that it reads and writes."""
    source = torch.ones(num_bytes // 4, device=device)
    target = torch.empty_like(source)
    return (lambda: target.copy_(source)), 2 * num_bytes
