"""Training steps of a language model beside plain programs and the machine's limits."""

from __future__ import annotations

import copy
import itertools
import statistics
from typing import NamedTuple

from torch import Tensor, nn

from bench.data.corpora import Corpus
from bench.models.recurrence import Recurrence, State
from bench.runs.resolve import Resolved
from bench.speed.contest import PlainSteps, SpeedReport, TrainingProgram, num_weights
from bench.speed.lines import Line, memory_rate, num_moments, step_bytes, table, token_heading
from bench.speed.machine import Call, bandwidth_call, product_calls, take_turns, to_device
from bench.speed.steps import BareLoop, Batch, bare_step_sec, make_objective, trainer_step_sec
from bench.text.objective import LanguageModel

NUM_BATCHES = 40
ADAM_MOMENTS = 2
"""Moments of the plain programs' optimiser."""


def text_speed(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> SpeedReport:
    """Training steps of the shipped path, of its plain loop and of `nn.LSTM`, and the Trainer's."""
    objective = make_objective(resolved, corpus)
    assert isinstance(objective, LanguageModel)
    device, loader = objective.device, objective.train_loader()
    batches: list[Batch] = [loader.batch(i) for i in range(min(NUM_BATCHES, len(loader) - 1))]
    batches = to_device(batches, device)
    num_tokens = batches[0][0].numel()
    products, product_flops = product_calls(
        num_tokens,
        objective.recurrence.output_size,
        objective.output.vocabulary_size,
        products=resolved.config.trainer.products,
        device=device,
    )
    copying, copied_bytes = bandwidth_call(device=device)
    contestants = _contestants(objective)
    calls: dict[str, Call] = {
        name: _cycle(one.program, batches) for name, one in contestants.items()
    }
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
            flops_per_token=one.flops_per_token,
            rate=rate,
            num_bytes=step_bytes(
                one.model,
                num_tokens=num_tokens,
                sizes=(objective.embedding.embedding_dim, one.output_size),
                num_moments=one.num_moments,
            ),
            bandwidth=copied_bytes / copy_sec,
        )
        for name, one in contestants.items()
    ]
    return SpeedReport(
        heading=token_heading(resolved, num_tokens),
        limits=f"matrix products of these shapes: {rate / 1e9:,.0f} GFLOP/s; "
        f"{memory_rate(copied_bytes, copy_sec)}",
        tables=[table(lines), _trainer_overhead(resolved, corpus, batches)],
    )


class _Contestant(NamedTuple):
    program: TrainingProgram
    model: nn.Module
    output_size: int
    """Output size of its recurrence."""
    flops_per_token: int
    num_moments: int = ADAM_MOMENTS


def _contestants(objective: LanguageModel) -> dict[str, _Contestant]:
    """The shipped path, its plain loop, `nn.LSTM` of as many weights and of as many units."""
    vocabulary_size = objective.output.vocabulary_size
    input_size = objective.embedding.embedding_dim

    def plain(network: nn.LSTM | Recurrence, *cost: int) -> _Contestant:
        model = PlainLanguageModel(network, vocabulary_size)
        return _Contestant(PlainSteps(model, objective), model, *cost)

    def library(size: int) -> _Contestant:
        flops = 6 * (4 * size * (input_size + size) + size * vocabulary_size)
        return plain(nn.LSTM(input_size, size, batch_first=True), size, flops)

    cost = objective.recurrence.output_size, 3 * objective.flops_per_unit()
    same_weights = lstm_size(num_weights(objective), input_size, vocabulary_size)
    hidden_size = int(objective.config.model["hidden_size"] or 0)
    moments = num_moments(objective.config.optim)
    return {
        "shipped": _Contestant(BareLoop(objective), objective, *cost, moments),
        "plain loop": plain(copy.deepcopy(objective.recurrence), *cost),
        f"nn.LSTM({same_weights}), same weights": library(same_weights),
        f"nn.LSTM({hidden_size}), same hidden size": library(hidden_size),
    }


def _cycle(program: TrainingProgram, batches: list[Batch]) -> Call:
    cycle = itertools.cycle(batches)
    return lambda: program.step(next(cycle))


def _trainer_overhead(resolved: Resolved, corpus: Corpus, batches: list[Batch]) -> str:
    """Time that `bench run` adds to a step, from alternating blocks."""
    bare, trained = [], []
    for _ in range(5):
        bare.append(bare_step_sec(make_objective(resolved, corpus), batches))
        trained.append(trainer_step_sec(make_objective(resolved, corpus), batches))
    before, after = statistics.median(bare), statistics.median(trained)
    return (
        f"a step under `bench run`: {1e3 * after:.1f} ms, in a bare loop {1e3 * before:.1f} ms: "
        f"{100 * (after / before - 1):+.1f} %"
    )


class PlainLanguageModel(nn.Module):
    """Embedding, `nn.LSTM` or a recurrence's plain loop, linear layer and cross entropy.

    A loop over time in Python, as one writes it first; the state is carried between batches.
    """

    def __init__(self, network: nn.LSTM | Recurrence, vocabulary_size: int) -> None:
        super().__init__()
        output_size = network.hidden_size if isinstance(network, nn.LSTM) else network.output_size
        self.embedding = nn.Embedding(vocabulary_size, network.input_size)
        self.network = network
        self.output = nn.Linear(output_size, vocabulary_size)
        self.state: State | None = None

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Mean loss over the tokens."""
        input_BT, target_BT = batch
        x_BTE = self.embedding(input_BT)
        if isinstance(self.network, nn.LSTM):
            y_BTH, state = self.network(x_BTE, self.state)
        else:
            y_BTH, state = self.network.forward_reference(x_BTE, self.state)
        self.state = tuple(part.detach() for part in state)
        scores_NV = self.output(y_BTH.flatten(0, 1))
        return nn.functional.cross_entropy(scores_NV, target_BT.flatten())


def lstm_size(num_parameters: int, embedding_size: int, vocabulary_size: int) -> int:
    """Hidden size at which a `PlainLanguageModel` of `nn.LSTM` has about `num_parameters`."""

    def count(hidden: int) -> int:
        cell = 4 * hidden * (embedding_size + hidden + 2)
        return vocabulary_size * (embedding_size + hidden + 1) + cell

    low, high = 1, 1
    while count(high) < num_parameters:
        low, high = high, 2 * high
    return min(range(low, high + 1), key=lambda hidden: abs(count(hidden) - num_parameters))
