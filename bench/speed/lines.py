"""Contestants as lines of a table: how long a step takes, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cli.listing import aligned
from bench.layers.output.products import training_products
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
    """That a step must move; see `bench.speed.traffic`."""
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
