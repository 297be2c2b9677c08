"""Whole training steps and cells alone, side by side in one go, as a table of ratios."""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bench.data.text import TextCorpus
from bench.listing import aligned
from bench.models.recurrence import Recurrence
from bench.objectives.language_model import LanguageModel
from bench.resolve import Resolved
from bench.speed.machine import bandwidth_call, product_calls
from bench.speed.plain import LibraryLanguageModel, PlainLanguageModel, PlainLoop, lstm_size
from bench.speed.steps import BareLoop, Batch, bare_step_sec, make_objective, trainer_step_sec
from bench.speed.timing import take_turns


@dataclass(frozen=True, kw_only=True)
class Line:
    """One contestant: milliseconds a step and what follows from them."""

    name: str
    step_sec: float
    tokens_per_sec: float
    flops_per_token: int | None
    share: float | None
    """Of the machine's matrix-product rate."""


def step_report(resolved: Resolved, corpus: TextCorpus, *, num_rounds: int) -> str:
    """Training steps of the shipped path, of the plain program and of `nn.LSTM`."""
    objective = make_objective(resolved, corpus)
    assert isinstance(objective, LanguageModel)
    batches = _batches(objective, 40)
    num_tokens = batches[0][0].numel()
    vocabulary_size = len(corpus.vocabulary.symbols)
    embedding_size = objective.embedding.embedding_dim
    size = lstm_size(_num_parameters(objective), embedding_size, vocabulary_size)
    plain = PlainLanguageModel(copy.deepcopy(objective.recurrence), vocabulary_size)
    library = LibraryLanguageModel(embedding_size, size, vocabulary_size)
    products, product_flops = product_calls(
        num_tokens,
        objective.recurrence.output_size,
        vocabulary_size,
        products=resolved.config.trainer.products,
    )
    copying, copied_bytes = bandwidth_call()
    clip = resolved.config.optim.clip_at
    shipped_flops = 3 * objective.flops_per_unit()
    library_flops = 6 * (4 * size * (embedding_size + size) + size * vocabulary_size)
    contestants: dict[str, Any] = {
        "shipped": BareLoop(objective, batches),
        "plain loop": PlainLoop(plain, batches, clip=clip),
        f"nn.LSTM({size}), same weights": PlainLoop(library, batches, clip=clip),
    }
    flops = dict(zip(contestants, (shipped_flops, shipped_flops, library_flops), strict=True))
    timings = take_turns({**contestants, **products, "copy": copying}, num_rounds=num_rounds)
    product_sec = sum(timings[name].fastest_sec for name in products)
    rate = 3 * product_flops / product_sec
    lines = [
        Line(
            name=name,
            step_sec=timings[name].median_sec,
            tokens_per_sec=num_tokens / timings[name].median_sec,
            flops_per_token=flops[name],
            share=flops[name] * num_tokens / timings[name].median_sec / rate,
        )
        for name in contestants
    ]
    return "\n".join(
        [
            _heading(resolved, num_tokens),
            f"matrix products of these shapes: {rate / 1e9:,.0f} GFLOP/s; "
            f"memory: {copied_bytes / timings['copy'].fastest_sec / 1e9:,.1f} GB/s",
            "",
            _table(lines),
            "",
            _overhead(resolved, corpus, batches),
        ]
    )


def cell_report(resolved: Resolved, corpus: TextCorpus, *, num_rounds: int) -> str:
    """The recurrence alone: fast path, plain loop and `nn.LSTM` of equal hidden size."""
    objective = make_objective(resolved, corpus)
    assert isinstance(objective, LanguageModel)
    cell = objective.recurrence
    options = objective.options
    x_BTD = torch.randn(options.batch_size, options.bptt_length, cell.input_size)
    hidden_size = int(resolved.config.model["hidden_size"] or 0)
    lstm = nn.LSTM(cell.input_size, hidden_size, batch_first=True)
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
        **_reading(cell, lstm),
    }
    timings = take_turns(contestants, num_rounds=4 * num_rounds)
    sizes = {
        name: 512 if name.startswith("read") else x_BTD[..., 0].numel() for name in contestants
    }
    lines = [
        Line(
            name=name,
            step_sec=timings[name].median_sec,
            tokens_per_sec=sizes[name] / timings[name].median_sec,
            flops_per_token=None,
            share=None,
        )
        for name in contestants
    ]
    heading = _heading(resolved, x_BTD[..., 0].numel())
    parts = [f"{heading}, the cell alone", _table(lines[:3])]
    parts += ["reading one stream, 512 steps, no gradient", _table(lines[3:])]
    return "\n\n".join(parts)


def _reading(cell: Recurrence, lstm: nn.LSTM) -> dict[str, Any]:
    stream_BTD = torch.randn(1, 512, cell.input_size)
    return {
        "read: shipped": torch.no_grad()(lambda: cell(stream_BTD)),
        "read: plain loop": torch.no_grad()(lambda: cell.forward_reference(stream_BTD)),
        "read: nn.LSTM": torch.no_grad()(lambda: lstm(stream_BTD)),
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


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _heading(resolved: Resolved, num_tokens: int) -> str:
    model = resolved.config.model
    options = resolved.config.objective
    sizes = (
        f"{options['batch_size']} streams x {options['bptt_length']} steps = {num_tokens} tokens"
    )
    threads = f"{torch.get_num_threads()} threads"
    products = resolved.config.trainer.products
    return f"{resolved.card.task} · {model['name']} · {sizes} · {threads} · {products}"


def _table(lines: list[Line]) -> str:
    reference = next(line for line in lines if "plain" in line.name).step_sec
    rows = [
        (
            line.name.removeprefix("read: "),
            f"{1e3 * line.step_sec:.2f}",
            f"{line.tokens_per_sec:,.0f}",
            f"{reference / line.step_sec:.2f}",
            f"{line.flops_per_token / 1e6:.2f}" if line.flops_per_token else "",
            f"{100 * line.share:.0f} %" if line.share else "",
        )
        for line in lines
    ]
    header = ("", "ms/step", "tokens/s", "x plain", "MFLOP/token", "of matrix rate")
    return aligned(header, rows)
