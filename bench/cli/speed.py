"""`bench speed`: training steps timed beside plain programs and the machine's limits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.cli.numbers import Whole
from bench.cli.settings import (
    ModelSettings,
    ObjectiveSettings,
    OptimSettings,
    TrainerSettings,
    tree,
)


def speed(
    *,
    task: str,
    model: str,
    model_: ModelSettings = None,
    objective: str | None = None,
    objective_: ObjectiveSettings = None,
    optim: OptimSettings = None,
    trainer: TrainerSettings = None,
    part: Literal["step", "cell", "output"] = "step",
    rounds: Whole = 15,
    device: Literal["cpu", "cuda"] = "cpu",
    suite: Path = Path(),
) -> None:
    """Time training steps beside the plain program, `nn.LSTM` and the machine's own limits.

    Contestants take turns in one process, so a busy machine slows all of them alike; medians are
    printed. Batches of text are 32 streams of 35 steps by default. Speech is timed beside a packed
    `nn.LSTM` program, with the transducer's loss beside a plain loop; translation and captions
    beside `nn.GRU` and `nn.LSTM` programs, with decoding in batches beside one by one; frames
    beside a plain loop and an `nn.Conv2d` or `nn.LSTM` program.

        bench speed --task ptb --model scrn
        bench speed --task ptb --model gru --part cell
        bench speed --task ptb --model srn --part output
        bench speed --task synthetic-text --model lstm --trainer.threads 1
        bench speed --task ptb --model lstm --model.peephole diagonal --device cuda
        bench speed --task an4 --model lstm --model.direction bidirectional
        bench speed --task multi30k-en-fr --model gru
        bench speed --task flickr8k --model lstm
        bench speed --task flickr8k --model nearest --model.k 60
        bench speed --task moving-mnist --model conv-lstm

    Parameters
    ----------
    task
        Name of a card; its vocabulary decides the size of the output layer.
    model
        Name of an architecture, or `nearest`, whose evaluation is timed beside a plain loop.
    objective
        Training objective, where the card allows several.
    part
        The whole training step; the cell alone, without embedding, output layer and optimiser;
        or the output layers alone: full, classes and adaptive softmax.
    rounds
        Number of times that each contestant is timed.
    device
        Device of the contestants and the measured limits; `cuda` is a GPU.
    suite
        Folder with further `tasks/`.
    """
    from bench.core.suite import Suite
    from bench.data.corpora import load_corpus
    from bench.runs.resolve import resolve
    from bench.speed.report import check_timed, speed_report

    place = Suite.at(suite)
    card = place.card(task)
    trainer = _on_device(device, model, trainer)
    usual = {"batch_size": "32", "bptt_length": "35"} if card.kind == "text" else {}
    sizes = {**usual, **(objective_ or {})}
    overrides = tree(None, model=model_, objective=sizes, optim=optim, trainer=trainer)
    resolved = resolve(place, task, model=model, objective=objective, overrides=overrides)
    check_timed(resolved, part)
    corpus = load_corpus(card, resolved.config.data, style="plain")
    print(speed_report(resolved, corpus, part=part, num_rounds=rounds))


def _on_device(device: str, model: str, trainer: TrainerSettings) -> TrainerSettings:
    """The trainer's settings with the device; refuses models and devices that are not timed."""
    from bench.core.errors import BenchError
    from bench.models import MODELS

    if model not in MODELS and model != "nearest":
        known = ", ".join([*MODELS, "nearest"])
        raise BenchError(f"speed is measured of architectures, not of {model!r}: {known}")
    if trainer and "accelerator" in trainer:
        raise BenchError("trainer.accelerator: speed is asked for by --device cpu or --device cuda")
    if model != "nearest":
        return {**(trainer or {}), "accelerator": "cpu" if device == "cpu" else "gpu"}
    if device != "cpu":
        raise BenchError("nearest neighbours are found on the CPU: leave out --device cuda")
    return trainer
