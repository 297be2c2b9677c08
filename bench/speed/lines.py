"""Contestants as lines of a table: time of a step, ratios, and shares of the machine's limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from bench.core.aligned import aligned
from bench.core.config import OptimConfig
from bench.layers.products import training_products
from bench.runs.resolve import Resolved
from bench.speed.contest import heading, num_weights
from bench.speed.machine import device_name, device_of
from bench.training.precision import precision_in_effect


@dataclass(frozen=True, kw_only=True)
class Line:
    """One contestant's step of `num_tokens`, and the limits that it is held against."""

    name: str
    step_sec: float
    num_tokens: int
    flops_per_token: int | None = None
    rate: float | None = None
    """FLOP/s of matrix products that the machine reaches."""
    num_bytes: int | None = None
    """Bytes that a step must move; see `step_bytes`."""
    bandwidth: float | None = None
    """Bytes/s that the machine moves."""

    @property
    def rate_share(self) -> float | None:
        """Share of the machine's matrix-product rate."""
        if self.flops_per_token is None or self.rate is None:
            return None
        return self.flops_per_token * self.num_tokens / self.step_sec / self.rate

    @property
    def bandwidth_share(self) -> float | None:
        """Share of the machine's memory bandwidth."""
        if self.num_bytes is None or self.bandwidth is None:
            return None
        return self.num_bytes / self.step_sec / self.bandwidth


def table(lines: Sequence[Line]) -> str:
    """Lines beside the plain loop, and beside the last line, `nn.LSTM` of equal hidden size."""
    plain_sec = next(line for line in lines if "plain" in line.name).step_sec
    lstm_sec = lines[-1].step_sec
    rows = [
        (
            line.name,
            f"{1e3 * line.step_sec:.2f}",
            f"{line.num_tokens / line.step_sec:,.0f}",
            f"{plain_sec / line.step_sec:.2f}",
            f"{lstm_sec / line.step_sec:.2f}",
            f"{line.flops_per_token / 1e6:.2f}" if line.flops_per_token else "",
            _percent(line.rate_share),
            _percent(line.bandwidth_share),
        )
        for line in lines
    ]
    header = ("", "ms/step", "tokens/s", "x plain", "x nn.LSTM")
    return aligned((*header, "MFLOP/token", "of matrix rate", "of memory rate"), rows)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def token_heading(resolved: Resolved, num_tokens: int) -> str:
    """Heading with the sizes of a batch of text, the device and the precision."""
    config = resolved.config
    streams, steps = config.objective["batch_size"], config.objective["bptt_length"]
    sizes = f"{streams} streams x {steps} steps = {num_tokens} tokens"
    precision = precision_in_effect(config.trainer, training_products(config.trainer))
    return heading(resolved, sizes, device_name(device_of(resolved)), precision)


def memory_rate(num_bytes: int, fastest_sec: float) -> str:
    """Measured memory bandwidth, as reports print it."""
    return f"memory: {num_bytes / fastest_sec / 1e9:,.1f} GB/s"


# Lower bounds on the bytes that a training step moves between memory and processor. Weights count
# once for all time steps, as if they stayed in caches or registers; scores of the words and what a
# cell keeps for its gradient do not count, as they can stay there or be computed again. So no
# program can bring its share of the bandwidth above 100 %.

NUMBER_BYTES = 4


def num_looked_up(model: nn.Module) -> int:
    """Weights of embeddings that nothing else shares: a step reads only those of its words."""
    tables = [layer.weight for layer in model.modules() if isinstance(layer, nn.Embedding)]
    others = [layer for layer in model.modules() if not isinstance(layer, nn.Embedding)]
    shared = {id(weight) for layer in others for weight in layer.parameters(recurse=False)}
    return sum(weight.numel() for weight in tables if id(weight) not in shared)


def step_bytes(
    model: nn.Module, *, num_tokens: int, sizes: tuple[int, int], num_moments: int
) -> int:
    """Bytes that a whole training step moves at the least.

    With P weights, P_E of them embeddings, N tokens, `sizes` D and H of the recurrence's input and
    output, m moments of the optimiser and s bytes a number:

        s [2 (P - P_E) + (4 + 2 m) P + 4 N (D + H)]

    Weights are read forward and backward (of embeddings only N rows, which the inputs count),
    gradients are written, the optimiser reads weights, gradients and moments and writes weights
    and moments; inputs and outputs of the recurrence and their gradients are written and read.
    """
    total = num_weights(model)
    weights = 2 * (total - num_looked_up(model)) + (4 + 2 * num_moments) * total
    return NUMBER_BYTES * (weights + 4 * num_tokens * sum(sizes))


def cell_bytes(cell: nn.Module, *, num_tokens: int, sizes: tuple[int, int]) -> int:
    """Bytes that a recurrence alone, without optimiser, moves at the least.

    Symbols as in `step_bytes`; the input wants no gradient: s [2 P + P + 2 N (D + H)].
    """
    return NUMBER_BYTES * (3 * num_weights(cell) + 2 * num_tokens * sum(sizes))


def num_moments(config: OptimConfig) -> int:
    """Numbers that the optimiser keeps for each weight."""
    return int(config.momentum > 0) if config.name == "sgd" else 2
