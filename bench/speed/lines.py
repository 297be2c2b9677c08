"""Contestants as lines of a table: how long a step takes, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from bench.core.aligned import aligned
from bench.core.config import OptimConfig
from bench.layers.products import training_products
from bench.runs.resolve import Resolved
from bench.speed.machine import device_of, named
from bench.training.precision import precision_in_effect

READING = "read: "
"""Names of contestants that read begin so, until they are printed."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One contestant: seconds a step and what follows from them."""

    name: str
    step_sec: float
    num_tokens: int
    """Of a step."""
    flops_per_token: int | None = None
    rate: float | None = None
    """Of matrix products, in FLOP/s, that the machine reaches."""
    num_bytes: int | None = None
    """That a step must move; see `bench.speed.lines`."""
    bandwidth: float | None = None
    """Bytes/s that the machine moves."""

    @property
    def rate_share(self) -> float | None:
        """Of the machine's matrix-product rate."""
        if self.flops_per_token is None or self.rate is None:
            return None
        return self.flops_per_token * self.num_tokens / self.step_sec / self.rate

    @property
    def bandwidth_share(self) -> float | None:
        """Of the machine's memory bandwidth."""
        if self.num_bytes is None or self.bandwidth is None:
            return None
        return self.num_bytes / self.step_sec / self.bandwidth


def table(lines: Sequence[Line]) -> str:
    """Beside the plain loop, and beside the last line, `nn.LSTM` of equal hidden size."""
    plain_sec = next(line for line in lines if "plain" in line.name).step_sec
    lstm_sec = lines[-1].step_sec
    rows = [
        (
            line.name.removeprefix(READING),
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


def heading(resolved: Resolved, num_tokens: int) -> str:
    """Task, model, sizes and where it is timed."""
    config = resolved.config
    streams, steps = config.objective["batch_size"], config.objective["bptt_length"]
    sizes = f"{streams} streams x {steps} steps = {num_tokens} tokens"
    place = named(device_of(resolved))
    precision = precision_in_effect(config.trainer, training_products(config.trainer))
    return f"{resolved.card.task} · {config.model['name']} · {sizes} · {place} · {precision}"


def memory_rate(num_bytes: int, fastest_sec: float) -> str:
    """What headings say of it."""
    return f"memory: {num_bytes / fastest_sec / 1e9:,.1f} GB/s"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


# Bytes that a training step must move between memory and processor, however clever it is.
#
# With P numbers of weights, of which P_E are word vectors, N tokens, D and H the sizes of the
# recurrence's input and output, m moments of the optimiser and s bytes a number, a whole step moves
#
#     (1)  s [2 (P - P_E) + (4 + 2 m) P + 4 N (D + H)]
#
# at the least: weights are read forward and backward (of word vectors only the N looked up, which
# the inputs count), gradients are written, the optimiser reads weights, gradients and moments and
# writes weights and moments; inputs and outputs of the recurrence are written and read, and so are
# their gradients. A cell alone, without optimiser, whose input wants no gradient, moves
#
#     (2)  s [2 P + P + 2 N (D + H)]
#
# Weights count once for all time steps, as if they stayed in caches or registers; scores of the
# words and what a cell keeps for its gradient do not count, as they can stay there or be computed
# again. So the share of the bandwidth is one that no program can bring above 100 %.


BYTES = 4
"""Of a number."""


def num_weights(module: nn.Module) -> int:
    """Numbers that are learned."""
    return sum(parameter.numel() for parameter in module.parameters())


def num_looked_up(model: nn.Module) -> int:
    """Numbers of word vectors that are nothing else: of them a step reads those of its words."""
    tables = [layer.weight for layer in model.modules() if isinstance(layer, nn.Embedding)]
    others = [layer for layer in model.modules() if not isinstance(layer, nn.Embedding)]
    shared = {id(weight) for layer in others for weight in layer.parameters(recurse=False)}
    return sum(weight.numel() for weight in tables if id(weight) not in shared)


def step_bytes(
    model: nn.Module, *, num_tokens: int, sizes: tuple[int, int], num_moments: int
) -> int:
    """Of a whole training step, by (1); `sizes` are D and H of its recurrence."""
    total = num_weights(model)
    weights = 2 * (total - num_looked_up(model)) + (4 + 2 * num_moments) * total
    return BYTES * (weights + 4 * num_tokens * sum(sizes))


def cell_bytes(cell: nn.Module, *, num_tokens: int, sizes: tuple[int, int]) -> int:
    """Of a recurrence alone, forward and backward, by (2)."""
    return BYTES * (3 * num_weights(cell) + 2 * num_tokens * sum(sizes))


def num_moments(config: OptimConfig) -> int:
    """Numbers that the optimiser keeps for each weight."""
    return int(config.momentum > 0) if config.name == "sgd" else 2
