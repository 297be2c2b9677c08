"""Translation: training steps beside plain programs, and decoding by batches beside one by one.

For decoding, the end is made improbable and each translation as long as its reference, so that an
untrained network has the work of a trained one.

Shapes: B sentences.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import get_args

import torch

from bench.core.errors import BenchError
from bench.data.segmentation import END, START
from bench.domains import Corpus
from bench.runs.resolve import Resolved
from bench.seq2seq.beam import beam_search
from bench.speed import decoding
from bench.speed.contest import NUM_BATCHES, Contestant, PlainSteps, batches_at_random, contest
from bench.speed.decoding import decoding_table
from bench.speed.machine import device_of, named
from bench.speed.steps import BareLoop, make_objective
from bench.translation.data.batches import TranslationBatch, TranslationBatches
from bench.translation.network.network import Pairs
from bench.translation.objectives.translation import (
    EVALUATION_TOKENS,
    TranslationObjective,
    as_pairs,
)
from bench.translation.speed.plain_translation import Library, PlainTranslation


def translation_report(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> str:
    """Training steps of the shipped path and of plain programs, then decoding of the test split."""
    objective = make_objective(resolved, corpus)
    if not isinstance(objective, TranslationObjective):
        raise BenchError(f"no speed is measured of the objective {resolved.objective!r}")
    contestants = _contestants(resolved, objective)
    device = device_of(resolved)
    table = contest(
        contestants,
        unit="target tokens",
        units_in=objective.units_in,
        num_rounds=num_rounds,
        device=device,
    )
    heading = _heading(resolved, objective, contestants[0].batches)
    return f"{heading}\n\n{table}\n\n{decoding_report(objective)}"


def _heading(
    resolved: Resolved, objective: TranslationObjective, batches: Sequence[TranslationBatch]
) -> str:
    num_weights = sum(parameter.numel() for parameter in objective.parameters())
    num_tokens = sum(map(objective.units_in, batches)) / len(batches)
    return (
        f"{resolved.card.task} · {resolved.config.model['name']} · {num_weights:,} weights · "
        f"batches of {num_tokens:,.0f} target tokens · products {objective.products_in_effect} · "
        f"{named(device_of(resolved))}"
    )


def _contestants(resolved: Resolved, objective: TranslationObjective) -> list[Contestant]:
    """The shipped path first, then the programs to beat.

    Each gets the shipped path's batches, which hold sentences of like length, then batches as they
    happen to fall.
    """
    every = objective.train_loader()
    batches = list(itertools.islice(every, min(NUM_BATCHES, len(every))))
    split = objective.corpus.splits["train"]
    at_random = batches_at_random(
        every.batch,
        len(split),
        num_batches=len(batches),
        size=round(len(split) / len(every)),
        seed=resolved.config.seed,
    )
    loop = BareLoop(objective, batches)
    found = [Contestant(name="shipped", program=loop, batches=batches)]
    for library in get_args(Library):
        model = PlainTranslation(library, objective)
        program = PlainSteps(
            model, clip_at=resolved.config.optim.clip_at, device=device_of(resolved)
        )
        name = f"plain nn.{library.upper()}"
        found.append(Contestant(name=f"{name}, the same batches", program=program, batches=batches))
        found.append(
            Contestant(name=f"{name}, batches at random", program=program, batches=at_random)
        )
    return found


def decoding_report(objective: TranslationObjective) -> str:
    """The test split by the configured beam: in batches, and some of its sentences one by one."""
    objective.eval()
    split, beam_size = objective.corpus.splits["test"], objective.options.beam_size
    with torch.no_grad():
        objective.network.get_parameter("output.bias")[END] -= 100.0
    many = TranslationBatches(split, batch_tokens=EVALUATION_TOKENS, order="sorted")
    single = TranslationBatches(split, batch_tokens=1, order="sorted")
    stride = max(1, len(single) // decoding.NUM_ALONE)
    alone = list(itertools.islice(single, 0, None, stride))
    return decoding_table(
        beam_size,
        list(many),
        alone,
        decode=lambda batch: _decode(objective, as_pairs(batch), beam_size),
        size_of=lambda batch: len(batch.target),
        source="sentence",
        num_all=len(split),
        device=objective.device,
    )


def _decode(objective: TranslationObjective, pairs: Pairs, beam_size: int) -> None:
    beam_search(
        objective.network.searching(pairs.source, pairs.source_lengths),
        pairs.target_lengths,
        start=START,
        end=END,
        forbidden=(START,),
        beam_size=beam_size,
    )
