"""Training steps of recognisers beside the programs that one writes first."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

from bench.core.errors import BenchError
from bench.domains import Corpus
from bench.runs.resolve import Resolved
from bench.speech.data.batches import SpeechBatch
from bench.speech.objectives.speech import SpeechObjective
from bench.speech.speed.plain_speech import PlainCTC, batches_at_random, library_program
from bench.speech.speed.transducer_loss import loss_report
from bench.speed.contest import NUM_BATCHES, Contestant, PlainSteps, contest
from bench.speed.machine import device_of, named
from bench.speed.steps import BareLoop, make_objective


def speech_report(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> str:
    """Training steps of the shipped path and of plain CTC programs, then the transducer's loss."""
    objective = make_objective(resolved, corpus)
    if not isinstance(objective, SpeechObjective):
        raise BenchError(f"no speed is measured of the objective {resolved.objective!r}")
    contestants, device = _contestants(resolved, objective), device_of(resolved)
    table = contest(
        contestants,
        unit="frames",
        units_in=objective.units_in,
        num_rounds=num_rounds,
        device=device,
    )
    heading = _heading(resolved, objective, contestants[0].batches)
    return f"{heading}\n\n{table}\n\n{loss_report(max(1, num_rounds // 5), device)}"


def _heading(resolved: Resolved, objective: SpeechObjective, batches: Sequence[SpeechBatch]) -> str:
    num_weights = sum(parameter.numel() for parameter in objective.parameters())
    num_frames = sum(map(objective.units_in, batches)) / len(batches)
    return (
        f"{resolved.card.task} · {resolved.config.model['name']} · {num_weights:,} weights · "
        f"batches of {num_frames:,.0f} frames · {named(device_of(resolved))}"
    )


def _contestants(resolved: Resolved, objective: SpeechObjective) -> list[Contestant]:
    """The shipped path first, then the programs to beat.

    The packed LSTM of the same sizes once gets the shipped path's batches, which hold utterances of
    like length, then batches as they happen to fall.
    """
    every = objective.train_loader()
    batches = list(itertools.islice(every, min(NUM_BATCHES, len(every))))
    split = objective.corpus.splits["train"]
    at_random = batches_at_random(
        split,
        num_batches=len(batches),
        num_utterances=round(len(split) / len(every)),
        seed=resolved.config.seed,
    )
    lstm = f"packed nn.LSTM({objective.config.model['hidden_size']}), ctc"
    programs = {
        f"{lstm}, the same batches": (library_program(objective), batches),
        f"{lstm}, batches at random": (library_program(objective), at_random),
        "plain loop over the equations, ctc": (loop_program(objective), batches),
    }
    clip_at, device = resolved.config.optim.clip_at, device_of(resolved)
    plain = [
        Contestant(
            name=name, program=PlainSteps(model, clip_at=clip_at, device=device), batches=given
        )
        for name, (model, given) in programs.items()
    ]
    loop = BareLoop(objective, batches)
    shipped = Contestant(name=f"shipped ({resolved.objective})", program=loop, batches=batches)
    return [shipped, *plain]


def loop_program(objective: SpeechObjective) -> PlainCTC:
    """The configured recurrence by its plain loop."""
    encoder = copy.deepcopy(objective.encoder)
    num_outputs = objective.corpus.corpus.num_outputs
    stack_frames = objective.speech_options.stack_frames
    return PlainCTC(encoder, encoder.output_size, num_outputs, stack_frames)
