"""Cells alone, forward and backward and reading, side by side in one go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.aligned import aligned
from bench.layers import OUTPUT_LAYERS, OutputLayer, build_output_layer
from bench.models.recurrence import Recurrence
from bench.runs.resolve import Resolved
from bench.speed.lines import READING, Line, cell_bytes, heading, memory_rate, table
from bench.speed.machine import Timing, bandwidth_call, device_of, named, take_turns
from bench.speed.steps import make_objective
from bench.text.data.corpus import TextCorpus
from bench.text.objective import LanguageModel

READ_LENGTH = 512


def cell_report(resolved: Resolved, corpus: TextCorpus, *, num_rounds: int) -> str:
    """The recurrence alone: fast path, plain loop and `nn.LSTM` of equal hidden size."""
    objective = make_objective(resolved, corpus)
    assert isinstance(objective, LanguageModel)
    cell, device = objective.recurrence, device_of(resolved)
    options = objective.options
    x_BTD = torch.randn(options.batch_size, options.bptt_length, cell.input_size, device=device)
    hidden_size = int(resolved.config.model["hidden_size"] or 0)
    lstm = nn.LSTM(cell.input_size, hidden_size, batch_first=True).to(device)
    state = cell.initial_state(options.batch_size, x_BTD)

    def step(forward: Any, module: nn.Module) -> Any:
        def call() -> None:
            module.zero_grad()
            forward(x_BTD)[0].sum().backward()

        return call

    contestants = {
        "shipped": step(lambda x: cell(x, state), cell),
        "plain loop": step(lambda x: cell.forward_reference(x, state), cell),
        f"nn.LSTM({hidden_size})": step(lstm, lstm),
    }
    reading = _reading(cell, lstm, device)
    copying, copied_bytes = bandwidth_call(device=device)
    calls = {**contestants, **reading, "copy": copying}
    timings = take_turns(calls, num_rounds=4 * num_rounds, device=device)
    bandwidth = copied_bytes / timings["copy"].fastest_sec
    num_tokens = x_BTD[..., 0].numel()
    modules = (cell, cell, lstm)
    outputs = (cell.output_size, cell.output_size, hidden_size)
    lines = [
        Line(
            name=name,
            step_sec=timings[name].median_sec,
            num_tokens=num_tokens,
            num_bytes=cell_bytes(module, num_tokens=num_tokens, sizes=(cell.input_size, size)),
            bandwidth=bandwidth,
        )
        for name, module, size in zip(contestants, modules, outputs, strict=True)
    ]
    read = [
        Line(name=name, step_sec=timings[name].median_sec, num_tokens=READ_LENGTH)
        for name in reading
    ]
    said = f"{heading(resolved, num_tokens)}, the cell alone"
    parts = [f"{said}\n{memory_rate(copied_bytes, timings['copy'].fastest_sec)}", table(lines)]
    parts += [f"reading one stream, {READ_LENGTH} steps, no gradient", table(read)]
    return "\n\n".join(parts)


def _reading(cell: Recurrence, lstm: nn.LSTM, device: torch.device) -> dict[str, Any]:
    stream_BTD = torch.randn(1, READ_LENGTH, cell.input_size, device=device)
    forwards = {
        "shipped": lambda: cell(stream_BTD),
        "plain loop": lambda: cell.forward_reference(stream_BTD),
        "nn.LSTM": lambda: lstm(stream_BTD),
    }
    return {f"{READING}{name}": torch.no_grad()(call) for name, call in forwards.items()}


# Output layers side by side: what a normalisation over fewer words saves, forward and backward.


ZIPF_SIZE = 50_000
ZIPF_TOKENS = 1e7
PLAIN = "nn.Linear, cross_entropy"


def output_report(resolved: Resolved, corpus: TextCorpus, *, num_rounds: int) -> str:
    """Every output layer on the task's words and on 50,000 words of Zipf's frequencies.

    Tokens are drawn by training frequency, since a class's or a cluster's cost depends on it.
    """
    config, device = resolved.config, device_of(resolved)
    objective = make_objective(resolved, corpus)
    assert isinstance(objective, LanguageModel)
    hidden_size = objective.recurrence.output_size
    batch_size = int(config.objective["batch_size"] or 0)
    num_tokens = batch_size * int(config.objective["bptt_length"] or 0)
    counts_V = torch.bincount(
        torch.as_tensor(corpus.splits["train"]), minlength=len(corpus.vocabulary.symbols)
    )
    ranks_V = torch.arange(1, ZIPF_SIZE + 1)
    zipf_V = (ZIPF_TOKENS / (ranks_V * ranks_V.reciprocal().sum())).long() + 1
    heading = (
        f"{resolved.card.task} · output layers of {hidden_size} inputs, {num_tokens} tokens, "
        f"forward and backward · {named(device)} · {config.trainer.products}"
    )
    parts = [heading]
    for what, counts in (("the task's", counts_V), ("Zipf's", zipf_V)):
        layers = {
            name: build_output_layer(
                name, hidden_size, counts, products=config.trainer.products
            ).to(device)
            for name in OUTPUT_LAYERS
        }
        timings = _timings(layers, counts, num_tokens, num_rounds)
        title = f"{len(counts):,} words, {what}"
        parts.append(f"{title}\n{_table(layers, timings, num_tokens)}")
    return "\n\n".join(parts)


def _timings(
    layers: dict[str, OutputLayer], counts_V: Tensor, num_tokens: int, num_rounds: int
) -> dict[str, Timing]:
    hidden_size, device = layers["full"].hidden_size, layers["full"].device
    target_N = torch.multinomial(counts_V.double(), num_tokens, replacement=True).to(device)
    h_NH = torch.randn(num_tokens, hidden_size, device=device, requires_grad=True)
    linear = nn.Linear(hidden_size, len(counts_V)).to(device)

    def step(module: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
        def call() -> None:
            module.zero_grad()
            h_NH.grad = None
            torch.autograd.backward(loss())

        return call

    def of(layer: OutputLayer) -> Callable[[], Tensor]:
        return lambda: layer.loss(h_NH, target_N)[0]

    contestants = {name: step(layer, of(layer)) for name, layer in layers.items()}
    contestants[PLAIN] = step(
        linear, lambda: F.cross_entropy(linear(h_NH), target_N, reduction="sum")
    )
    return take_turns(contestants, num_rounds=num_rounds, device=device)


def _table(layers: dict[str, OutputLayer], timings: dict[str, Timing], num_tokens: int) -> str:
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
