"""Whole training steps, side by side in one go, as a table of ratios."""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass
from typing import Any

from torch import nn

from bench.runs.resolve import Resolved
from bench.speed.lines import Line, heading, memory_rate, table
from bench.speed.machine import bandwidth_call, device_of, moved, product_calls
from bench.speed.steps import BareLoop, Batch, bare_step_sec, make_objective, trainer_step_sec
from bench.speed.timing import take_turns
from bench.speed.traffic import num_moments, num_weights, step_bytes
from bench.text.data.text import TextCorpus
from bench.text.objectives.language_model import LanguageModel
from bench.text.speed.plain import LibraryLanguageModel, PlainLanguageModel, PlainLoop, lstm_size

ADAM_MOMENTS = 2
"""Of the plain programs' optimiser."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What makes training steps, and what one costs."""

    call: Any
    flops_per_token: int
    num_bytes: int
    """That a step must move."""


def step_report(resolved: Resolved, corpus: TextCorpus, *, num_rounds: int) -> str:
    """Training steps of the shipped path, of the plain program and of `nn.LSTM`."""
    objective, device = make_objective(resolved, corpus), device_of(resolved)
    assert isinstance(objective, LanguageModel)
    batches = moved(_batches(objective, 40), device)
    num_tokens = batches[0][0].numel()
    products, product_flops = product_calls(
        num_tokens,
        objective.recurrence.output_size,
        objective.output.vocabulary_size,
        products=resolved.config.trainer.products,
        device=device,
    )
    copying, copied_bytes = bandwidth_call(device=device)
    programs = _programs(resolved, objective, batches)
    calls = {name: program.call for name, program in programs.items()}
    timings = take_turns(
        {**calls, **products, "copy": copying}, num_rounds=num_rounds, device=device
    )
    rate = 3 * product_flops / sum(timings[name].fastest_sec for name in products)
    copy_sec = timings["copy"].fastest_sec
    lines = [
        Line(
            name=name,
            step_sec=timings[name].median_sec,
            num_tokens=num_tokens,
            flops_per_token=program.flops_per_token,
            rate=rate,
            num_bytes=program.num_bytes,
            bandwidth=copied_bytes / copy_sec,
        )
        for name, program in programs.items()
    ]
    limits = f"matrix products of these shapes: {rate / 1e9:,.0f} GFLOP/s"
    parts = [heading(resolved, num_tokens), f"{limits}; {memory_rate(copied_bytes, copy_sec)}"]
    return "\n".join([*parts, "", table(lines), "", _overhead(resolved, corpus, batches)])


def _programs(
    resolved: Resolved, objective: LanguageModel, batches: list[Batch]
) -> dict[str, Program]:
    """The shipped path, its plain loop, and `nn.LSTM` with as many weights and as many units."""
    cell, device = objective.recurrence, device_of(resolved)
    vocabulary_size = objective.output.vocabulary_size
    config = resolved.config
    manner: dict[str, Any] = {"clip": config.optim.clip_at, "trainer": config.trainer}
    num_tokens = batches[0][0].numel()

    def program(call: Any, model: nn.Module, output_size: int, flops: int, moments: int) -> Program:
        sizes = objective.embedding.embedding_dim, output_size
        num_bytes = step_bytes(model, num_tokens=num_tokens, sizes=sizes, num_moments=moments)
        return Program(call=call, flops_per_token=flops, num_bytes=num_bytes)

    def library(size: int) -> Program:
        read = objective.embedding.embedding_dim
        model = LibraryLanguageModel(read, size, vocabulary_size).to(device)
        flops = 6 * (4 * size * (read + size) + size * vocabulary_size)
        return program(PlainLoop(model, batches, **manner), model, size, flops, ADAM_MOMENTS)

    plain = PlainLanguageModel(copy.deepcopy(cell), vocabulary_size).to(device)
    own = cell.output_size, 3 * objective.flops_per_unit()
    same_weights = lstm_size(
        num_weights(objective), objective.embedding.embedding_dim, vocabulary_size
    )
    hidden_size = int(resolved.config.model["hidden_size"] or 0)
    shipped = BareLoop(objective, batches)
    return {
        "shipped": program(shipped, objective, *own, num_moments(resolved.config.optim)),
        "plain loop": program(PlainLoop(plain, batches, **manner), plain, *own, ADAM_MOMENTS),
        f"nn.LSTM({same_weights}), same weights": library(same_weights),
        f"nn.LSTM({hidden_size}), same hidden size": library(hidden_size),
    }


def _overhead(resolved: Resolved, corpus: TextCorpus, batches: list[Batch]) -> str:
    """What `run` adds to a step, from alternating blocks."""
    bare, trained = [], []
    for _ in range(5):
        bare.append(bare_step_sec(make_objective(resolved, corpus), batches))
        trained.append(trainer_step_sec(make_objective(resolved, corpus), batches))
    before, after = statistics.median(bare), statistics.median(trained)
    return (
        f"a step under `bench run`: {1e3 * after:.1f} ms, in a bare loop {1e3 * before:.1f} ms: "
        f"{100 * (after / before - 1):+.1f} %"
    )


def _batches(objective: LanguageModel, num_batches: int) -> list[Batch]:
    loader = objective.train_loader()
    return [loader.batch(number) for number in range(min(num_batches, len(loader) - 1))]
