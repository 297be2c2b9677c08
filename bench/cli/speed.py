"""`bench speed`: how fast, beside what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.cli.settings import (
    ModelSettings,
    ObjectiveSettings,
    OptimSettings,
    TrainerSettings,
    tree,
)

if TYPE_CHECKING:
    from bench.data.corpora import Corpus
    from bench.runs.resolve import Resolved


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
    rounds: int = 15,
    device: Literal["cpu", "cuda"] = "cpu",
    suite: Path = Path(),
) -> None:
    """Time training steps beside the plain program, `nn.LSTM` and the machine's own limits.

    Contestants take turns in one process, so a busy machine slows all of them alike; medians are
    printed. Batches of text are 32 streams of 35 steps unless said otherwise. Of speech whole steps
    are timed beside a packed `nn.LSTM` program, and the transducer's loss beside a plain loop; of
    translation and captions beside `nn.GRU` and `nn.LSTM` programs, and decoding by batches beside
    one by one; of frames beside a plain loop and an `nn.Conv2d` or `nn.LSTM` program.

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
        Name of an architecture, or `nearest`, whose evaluation is set beside a plain loop.
    objective
        What the model is trained for, where the card allows several.
    part
        The whole training step; the cell alone, without embedding, output layer and optimiser;
        or the output layers alone: full, classes and adaptive softmax.
    rounds
        How often every contestant has its turn.
    device
        Where contestants run and limits are measured; `cuda` is a GPU.
    suite
        Folder with further `tasks/`.
    """
    import torch

    from bench.core.errors import BenchError
    from bench.core.suite import Suite
    from bench.data.corpora import load_corpus
    from bench.runs.resolve import resolve
    from bench.speed.machine import device_of
    from bench.speed.parts import cell_report, output_report
    from bench.text.contestants import step_report
    from bench.text.data.prepared import as_text

    place = Suite.at(suite)
    card = place.card(task)
    trainer = _on(device, model, trainer)
    usual = {"batch_size": "32", "bptt_length": "35"} if card.kind == "text" else {}
    sizes = {**usual, **(objective_ or {})}
    overrides = tree(None, model=model_, objective=sizes, optim=optim, trainer=trainer)
    resolved = resolve(place, task, model=model, objective=objective, overrides=overrides)
    device_of(resolved)  # refuses before a corpus is read
    if resolved.config.trainer.precision != "32" and (card.kind != "text" or part != "step"):
        raise BenchError("trainer.precision: half precision is timed in whole steps on text only")
    if resolved.config.trainer.threads:
        torch.set_num_threads(resolved.config.trainer.threads)
    corpus = load_corpus(card, style="plain")
    if card.kind != "text" and part == "step":
        print(_whole_report(resolved, corpus, num_rounds=rounds))
        return
    reports = {"step": step_report, "cell": cell_report, "output": output_report}
    print(reports[part](resolved, as_text(corpus, task=task), num_rounds=rounds))


def _on(device: str, model: str, trainer: TrainerSettings) -> TrainerSettings:
    """The trainer's settings with the device; refuses what is no architecture, or not there."""
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


def _whole_report(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> str:
    """What is timed of a task that is not text."""
    from bench.captioning.contestants import captioning_report
    from bench.captioning.data.corpus import CaptionCorpus
    from bench.captioning.nearest_contestants import nearest_report
    from bench.frames.contestants import frames_report
    from bench.speech.contestants import speech_report
    from bench.translation.contestants import translation_report

    if isinstance(corpus, CaptionCorpus) and resolved.config.model["name"] == "nearest":
        return nearest_report(resolved, corpus, num_rounds=num_rounds)
    reports = {
        "speech": speech_report,
        "translation": translation_report,
        "captions": captioning_report,
        "frames": frames_report,
    }
    return reports[resolved.card.kind](resolved, corpus, num_rounds=num_rounds)
