"""Whole training steps, side by side in one go, as a table of ratios."""

from __future__ import annotations

import copy
import statistics
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.config import TrainerConfig
from bench.models.recurrence import Recurrence, State
from bench.runs.resolve import Resolved
from bench.speed.lines import (
    Line,
    heading,
    memory_rate,
    num_moments,
    num_weights,
    step_bytes,
    table,
)
from bench.speed.machine import bandwidth_call, device_of, moved, product_calls, take_turns
from bench.speed.steps import BareLoop, Batch, bare_step_sec, make_objective, trainer_step_sec
from bench.text.data.corpus import TextCorpus
from bench.text.objective import LanguageModel
from bench.training.precision import autocast

# The plain program that the shipped path is held against: what one writes first.
#
# A loop over time in Python, `nn.Linear` over the vocabulary, `cross_entropy`, Adam as it comes.


class PlainLanguageModel(nn.Module):
    """Embedding, a recurrence read by its plain loop, a linear layer and cross entropy."""

    def __init__(self, recurrence: Recurrence, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, recurrence.input_size)
        self.recurrence = recurrence
        self.output = nn.Linear(recurrence.output_size, vocabulary_size)

    def forward(
        self, input_BT: Tensor, target_BT: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Mean loss over the tokens, and the state at the end."""
        y_BTH, state = self.recurrence.forward_reference(self.embedding(input_BT), state)
        scores_NV = self.output(y_BTH.flatten(0, 1))
        return nn.functional.cross_entropy(scores_NV, target_BT.flatten()), state


class LibraryLanguageModel(nn.Module):
    """The same around `nn.LSTM`."""

    def __init__(self, embedding_size: int, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, vocabulary_size)

    def forward(
        self, input_BT: Tensor, target_BT: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Mean loss over the tokens, and the state at the end."""
        y_BTH, (h, c) = self.lstm(self.embedding(input_BT), state)
        scores_NV = self.output(y_BTH.flatten(0, 1))
        return nn.functional.cross_entropy(scores_NV, target_BT.flatten()), (h, c)


def lstm_size(num_parameters: int, embedding_size: int, vocabulary_size: int) -> int:
    """The hidden size at which `LibraryLanguageModel` has about `num_parameters`."""

    def count(hidden: int) -> int:
        cell = 4 * hidden * (embedding_size + hidden + 2)
        return vocabulary_size * (embedding_size + hidden + 1) + cell

    low, high = 1, 1
    while count(high) < num_parameters:
        low, high = high, 2 * high
    return min(range(low, high + 1), key=lambda hidden: abs(count(hidden) - num_parameters))


class PlainLoop:
    """Training steps of a plain model over the given batches, one a call."""

    def __init__(
        self,
        model: nn.Module,
        batches: list[tuple[Tensor, Tensor]],
        *,
        clip: float,
        trainer: TrainerConfig,
    ) -> None:
        self.model, self.batches, self.clip, self.trainer = model, batches, clip, trainer
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        self.state: State | None = None
        self.place = 0

    def __call__(self) -> float:
        input_BT, target_BT = self.batches[self.place % len(self.batches)]
        self.place += 1
        state = None if self.state is None else tuple(s.detach() for s in self.state)
        with autocast(self.trainer, input_BT.device):
            loss, self.state = self.model(input_BT, target_BT, state)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return float(loss.detach())


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
