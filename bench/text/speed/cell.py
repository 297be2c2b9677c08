"""Cells alone, forward and backward and reading, side by side in one go."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from bench.models.recurrence import Recurrence
from bench.runs.resolve import Resolved
from bench.speed.lines import READING, Line, heading, memory_rate, table
from bench.speed.machine import bandwidth_call, device_of
from bench.speed.steps import make_objective
from bench.speed.timing import take_turns
from bench.speed.traffic import cell_bytes
from bench.text.data.text import TextCorpus
from bench.text.objectives.language_model import LanguageModel

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
