"""Training steps of predictors of frames beside the programs that one writes first."""

from __future__ import annotations

import itertools

from torch import nn

from bench.core.errors import BenchError
from bench.domains import Corpus
from bench.frames.objectives.frame_prediction import FramePrediction
from bench.frames.speed.plain_frames import PlainConvolutional, PlainDense, PlainLoop
from bench.models.deep import Deep
from bench.runs.resolve import Resolved
from bench.speed.contest import NUM_BATCHES, Contestant, PlainSteps, contest
from bench.speed.machine import device_of, named
from bench.speed.steps import BareLoop, make_objective


def frames_report(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> str:
    """Training steps of the shipped path, of its plain loop and of a plain program."""
    objective = make_objective(resolved, corpus)
    if not isinstance(objective, FramePrediction):
        raise BenchError(f"no speed is measured of the objective {resolved.objective!r}")
    loader = objective.train_loader()
    batches = list(itertools.islice(loader, min(NUM_BATCHES, len(loader))))
    clip_at, device = resolved.config.optim.clip_at, device_of(resolved)
    found = [Contestant(name="shipped", program=BareLoop(objective, batches), batches=batches)]
    for name, program in _programs(objective).items():
        steps = PlainSteps(program, clip_at=clip_at, device=device)
        found.append(Contestant(name=name, program=steps, batches=batches))
    table = contest(
        found, unit="frames", units_in=objective.units_in, num_rounds=num_rounds, device=device
    )
    return f"{_heading(resolved, objective)}\n\n{table}"


def _programs(objective: FramePrediction) -> dict[str, nn.Module]:
    """Those to beat; patches have no program of their own beside the plain loop."""
    found: dict[str, nn.Module] = {}
    network = objective.network
    if objective.options.readout == "top" or not isinstance(network.encoder, Deep):
        found["plain loop, the same weights"] = PlainLoop(objective)
    if objective.options.reads == "frame" and network.forecaster is not None:
        is_convolutional = network.num_places > 1
        name = "plain nn.Conv2d cell" if is_convolutional else "plain nn.LSTM"
        program = PlainConvolutional if is_convolutional else PlainDense
        found[name] = program(objective)
    return found


def _heading(resolved: Resolved, objective: FramePrediction) -> str:
    num_weights = sum(parameter.numel() for parameter in objective.parameters())
    options = objective.options
    return (
        f"{resolved.card.task} · {resolved.config.model['name']} · reads {options.reads} · "
        f"{num_weights:,} weights · batches of {options.batch_size} sequences · products "
        f"{objective.products_in_effect} · {named(device_of(resolved))}"
    )
