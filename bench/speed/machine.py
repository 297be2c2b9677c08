"""What a machine can do: its matrix-product rate at given shapes, its memory bandwidth.

Everything is measured where training is: on the CPU, or on a GPU after `--device cuda`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from pytorch_lightning.utilities import move_data_to_device

from bench.core.errors import BenchError
from bench.layers.products import Products, products_as
from bench.models.fast.cuda_graphs import RECORD_AT_CALL
from bench.runs.resolve import Resolved
from bench.training.precision import set_float32

# Timing that a busy machine does not spoil: contestants take turns, medians are compared.


Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of one call of a contestant."""

    median_sec: float
    fastest_sec: float


CPU = torch.device("cpu")


def take_turns(
    contestants: Mapping[Name, Callable[[], object]],
    *,
    num_rounds: int,
    warm_up: int = 2,
    device: torch.device = CPU,
) -> dict[Name, Timing]:
    """Call every contestant once a round, in turn, and time each call.

    Drift of the machine falls on all of them alike. The first `warm_up` rounds are not counted; on
    a GPU as many as it takes until graphs have been recorded. There a call ends when its work does.
    """
    if device.type == "cuda":
        warm_up = max(warm_up, RECORD_AT_CALL + 1)
    seconds: dict[Name, list[float]] = {name: [] for name in contestants}
    for round_number in range(warm_up + num_rounds):
        for name, call in contestants.items():
            wait_for(device)
            begun = time.perf_counter()
            call()
            wait_for(device)
            if round_number >= warm_up:
                seconds[name].append(time.perf_counter() - begun)
    return {
        name: Timing(median_sec=statistics.median(times), fastest_sec=min(times))
        for name, times in seconds.items()
    }


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was given; a CPU has when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


Call = Callable[[], object]
BatchT = TypeVar("BatchT")


def device_of(resolved: Resolved) -> torch.device:
    """Where a configuration is timed; BenchError where that is a GPU and there is none."""
    if resolved.config.trainer.accelerator == "cpu":
        return CPU
    if not torch.cuda.is_available():
        raise BenchError("--device cuda, but torch sees no GPU: leave it out to time the CPU")
    set_float32(resolved.config.trainer)
    return torch.device("cuda")


def moved(batch: BatchT, device: torch.device) -> BatchT:
    """A batch, or several, with every tensor on the device."""
    found: BatchT = move_data_to_device(batch, device)
    return found


def named(device: torch.device) -> str:
    """What headings say of it: the threads of a CPU, the name of a GPU."""
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

    Scores [N, V], the gradient of the hidden states [N, H] and of the weights [V, H], into memory
    that is there already: nothing but the products is timed.
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

    def product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> Call:
        def call() -> object:
            with products_as(products, left.device):
                return torch.mm(left, right, out=out)

        return call

    calls = {
        "scores": product(h_NH, weight_VH.t(), out_NV),
        "hidden gradient": product(scores_NV, weight_VH, out_NH),
        "weight gradient": product(scores_NV.t(), h_NH, out_VH),
    }
    return calls, 2 * num_rows * hidden_size * vocabulary_size


def bandwidth_call(num_bytes: int = 256 * 2**20, *, device: torch.device = CPU) -> tuple[Call, int]:
    """A copy of a large array, and the bytes that it reads and writes."""
    source = torch.ones(num_bytes // 4, device=device)
    target = torch.empty_like(source)
    return (lambda: target.copy_(source)), 2 * num_bytes
