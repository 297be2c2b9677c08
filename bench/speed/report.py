"""Reports of `bench speed`: a domain's whole training steps, cells alone, output layers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.data.corpora import Corpus
from bench.domains import load_attribute, load_domain
from bench.layers import OUTPUT_LAYERS, OutputLayer, build_output_layer
from bench.models.recurrence import Recurrence
from bench.runs.resolve import Resolved
from bench.speed.contest import SpeedReport
from bench.speed.lines import Line, cell_bytes, memory_rate, table, token_heading
from bench.speed.machine import Call, Timing, bandwidth_call, device_name, device_of, take_turns
from bench.speed.steps import make_objective

Part = Literal["step", "cell", "output"]

READ_LENGTH = 512
ZIPF_SIZE = 50_000
ZIPF_TOKENS = 1e7
PLAIN = "nn.Linear, cross_entropy"


def check_timed(resolved: Resolved, part: Part) -> None:
    """Raise BenchError, before a corpus is read, for parts and devices that cannot be timed."""
    device_of(resolved)
    is_text = resolved.card.kind == "text"
    if resolved.config.trainer.precision != "32" and not (is_text and part == "step"):
        raise BenchError("trainer.precision: half precision is timed in whole steps on text only")
    if part != "step" and not is_text:
        raise BenchError(
            f"task {resolved.card.task!r} is not text, which --part {part} times: name a text task"
        )


def speed_report(
    resolved: Resolved, corpus: Corpus, *, part: Part = "step", num_rounds: int
) -> str:
    """Time a part of training beside plain programs; whole steps as the task's domain says."""
    if resolved.config.trainer.threads:
        torch.set_num_threads(resolved.config.trainer.threads)
    if part == "cell":
        return str(cell_report(resolved, corpus, num_rounds=num_rounds))
    if part == "output":
        return str(output_report(resolved, corpus, num_rounds=num_rounds))
    contestants = load_domain(resolved.card.kind).contestants
    if contestants is None:
        raise BenchError(f"{resolved.card.task}: tasks of this kind have no contestants to time")
    return str(load_attribute(contestants)(resolved, corpus, num_rounds=num_rounds))


def cell_report(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> SpeedReport:
    """A language model's recurrence alone: fast path, plain loop, `nn.LSTM` of its hidden size."""
    objective: Any = make_objective(resolved, corpus)
    cell, device, options = objective.recurrence, objective.device, objective.options
    hidden_size = int(resolved.config.model["hidden_size"] or 0)
    lstm = nn.LSTM(cell.input_size, hidden_size, batch_first=True).to(device)
    x_BTD = torch.randn(options.batch_size, options.bptt_length, cell.input_size, device=device)
    steps, reads = _cell_steps(cell, lstm, x_BTD), _cell_reads(cell, lstm, device)
    copy, copied_bytes = bandwidth_call(device=device)
    calls: dict[tuple[str, str], Call] = {("copy", ""): copy}
    calls |= {("step", name): call for name, call in steps.items()}
    calls |= {("read", name): call for name, call in reads.items()}
    timings = take_turns(calls, num_rounds=4 * num_rounds, device=device)
    copy_sec, num_tokens = timings["copy", ""].fastest_sec, x_BTD[..., 0].numel()
    networks = ((cell, cell.output_size), (cell, cell.output_size), (lstm, hidden_size))
    step_lines = [
        Line(
            name=name,
            step_sec=timings["step", name].median_sec,
            num_tokens=num_tokens,
            num_bytes=cell_bytes(network, num_tokens=num_tokens, sizes=(cell.input_size, size)),
            bandwidth=copied_bytes / copy_sec,
        )
        for name, (network, size) in zip(steps, networks, strict=True)
    ]
    read_lines = [
        Line(name=name, step_sec=timings["read", name].median_sec, num_tokens=READ_LENGTH)
        for name in reads
    ]
    reading = f"reading one stream, {READ_LENGTH} steps, no gradient"
    return SpeedReport(
        heading=f"{token_heading(resolved, num_tokens)}, the cell alone",
        limits=memory_rate(copied_bytes, copy_sec),
        tables=[table(step_lines), reading, table(read_lines)],
    )


def _cell_steps(cell: Recurrence, lstm: nn.LSTM, x_BTD: Tensor) -> dict[str, Call]:
    """Forward and backward on a batch."""
    state = cell.initial_state(len(x_BTD), x_BTD)

    def step(network: nn.Module, forward: Callable[[], tuple[Tensor, object]]) -> Call:
        def call() -> None:
            network.zero_grad()
            torch.autograd.backward(forward()[0].sum())

        return call

    return {
        "shipped": step(cell, lambda: cell(x_BTD, state)),
        "plain loop": step(cell, lambda: cell.forward_reference(x_BTD, state)),
        f"nn.LSTM({lstm.hidden_size})": step(lstm, lambda: lstm(x_BTD)),
    }


def _cell_reads(cell: Recurrence, lstm: nn.LSTM, device: torch.device) -> dict[str, Call]:
    """Forward over one long stream."""
    stream_BTD = torch.randn(1, READ_LENGTH, cell.input_size, device=device)
    forwards: dict[str, Call] = {
        "shipped": lambda: cell(stream_BTD),
        "plain loop": lambda: cell.forward_reference(stream_BTD),
        "nn.LSTM": lambda: lstm(stream_BTD),
    }
    return {name: torch.no_grad()(call) for name, call in forwards.items()}


def output_report(resolved: Resolved, corpus: Any, *, num_rounds: int) -> SpeedReport:
    """Every output layer, forward and backward, on the task's words and on Zipf's frequencies.

    Tokens are drawn by training frequency, on which the cost of a class or a cluster depends.
    """
    config, device = resolved.config, device_of(resolved)
    objective: Any = make_objective(resolved, corpus)
    hidden_size = objective.recurrence.output_size
    num_tokens = objective.options.batch_size * objective.options.bptt_length
    counts_V = torch.bincount(
        torch.as_tensor(corpus.splits["train"]), minlength=len(corpus.vocabulary.symbols)
    )
    ranks_V = torch.arange(1, ZIPF_SIZE + 1)
    zipf_V = (ZIPF_TOKENS / (ranks_V * ranks_V.reciprocal().sum())).long() + 1
    tables = []
    for whose, counts in (("the task's", counts_V), ("Zipf's", zipf_V)):
        layers = {
            name: build_output_layer(
                name, hidden_size, counts, products=config.trainer.products
            ).to(device)
            for name in OUTPUT_LAYERS
        }
        timings = _layer_timings(layers, counts, num_tokens, num_rounds)
        title = f"{len(counts):,} words, {whose}"
        tables.append(f"{title}\n{_layer_table(layers, timings, num_tokens)}")
    return SpeedReport(
        heading=f"{resolved.card.task} · output layers of {hidden_size} inputs, {num_tokens} "
        f"tokens, forward and backward · {device_name(device)} · {config.trainer.products}",
        tables=tables,
    )


def _layer_timings(
    layers: dict[str, OutputLayer], counts_V: Tensor, num_tokens: int, num_rounds: int
) -> dict[str, Timing]:
    hidden_size, device = layers["full"].hidden_size, layers["full"].device
    target_N = torch.multinomial(counts_V.double(), num_tokens, replacement=True).to(device)
    h_NH = torch.randn(num_tokens, hidden_size, device=device, requires_grad=True)
    linear = nn.Linear(hidden_size, len(counts_V)).to(device)

    def step(module: nn.Module, loss: Callable[[], Tensor]) -> Call:
        def call() -> None:
            module.zero_grad()
            h_NH.grad = None
            torch.autograd.backward(loss())

        return call

    def loss_of(layer: OutputLayer) -> Callable[[], Tensor]:
        return lambda: layer.loss(h_NH, target_N)[0]

    contestants = {name: step(layer, loss_of(layer)) for name, layer in layers.items()}
    contestants[PLAIN] = step(
        linear, lambda: F.cross_entropy(linear(h_NH), target_N, reduction="sum")
    )
    return take_turns(contestants, num_rounds=num_rounds, device=device)


def _layer_table(
    layers: dict[str, OutputLayer], timings: dict[str, Timing], num_tokens: int
) -> str:
    full_sec = timings["full"].median_sec
    rows = [
        (
            name,
            f"{1e3 * timing.median_sec:.2f}",
            f"{num_tokens / timing.median_sec:,.0f}",
            f"{full_sec / timing.median_sec:.1f}",
            f"{3e-6 * layers[name].flops_per_token():.2f}" if name in layers else "",
        )
        for name, timing in timings.items()
    ]
    return aligned(("", "ms", "tokens/s", "x full", "MFLOP/token"), rows)
