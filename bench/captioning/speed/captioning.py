"""Captioning: training steps beside plain programs, and decoding by batches beside one by one.

For decoding, the end is made improbable and each caption as long as the mean of its references, so
that an untrained network has the work of a trained one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import torch

from bench.captioning.data.batches import CaptionBatch, ImageBatches
from bench.captioning.objectives.captioning import EVALUATION_IMAGES, CaptioningObjective
from bench.captioning.speed.plain_captioning import Library, PlainCaptioner
from bench.core.errors import BenchError
from bench.data.segmentation import END
from bench.domains import Corpus
from bench.runs.resolve import Resolved
from bench.speed import decoding
from bench.speed.contest import NUM_BATCHES, Contestant, PlainSteps, batches_at_random, contest
from bench.speed.decoding import decoding_table
from bench.speed.machine import device_of, named
from bench.speed.steps import BareLoop, make_objective


def captioning_report(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> str:
    """Training steps of the shipped path and of plain programs, then decoding of the test split."""
    objective = make_objective(resolved, corpus)
    if not isinstance(objective, CaptioningObjective):
        raise BenchError(f"no speed is measured of the objective {resolved.objective!r}")
    contestants, device = _contestants(resolved, objective), device_of(resolved)
    table = contest(
        contestants,
        unit="tokens",
        units_in=objective.units_in,
        num_rounds=num_rounds,
        device=device,
    )
    heading = _heading(resolved, objective, contestants[0].batches)
    return f"{heading}\n\n{table}\n\n{decoding_report(objective)}"


def _heading(
    resolved: Resolved, objective: CaptioningObjective, batches: Sequence[CaptionBatch]
) -> str:
    num_weights = sum(parameter.numel() for parameter in objective.parameters())
    num_tokens = sum(map(objective.units_in, batches)) / len(batches)
    return (
        f"{resolved.card.task} · {resolved.config.model['name']} · image {objective.options.image} "
        f"· {num_weights:,} weights · batches of {num_tokens:,.0f} tokens · products "
        f"{objective.products_in_effect} · {named(device_of(resolved))}"
    )


def _contestants(resolved: Resolved, objective: CaptioningObjective) -> list[Contestant]:
    """The shipped path first, then the programs to beat.

    Each gets the shipped path's batches, which hold captions of like length, then batches as they
    happen to fall.
    """
    every = objective.train_loader()
    batches = list(itertools.islice(every, min(NUM_BATCHES, len(every))))
    num_captions = objective.corpus.splits["train"].num_captions
    at_random = batches_at_random(
        every.batch,
        num_captions,
        num_batches=len(batches),
        size=round(num_captions / len(every)),
        seed=resolved.config.seed,
    )
    loop = BareLoop(objective, batches)
    found = [Contestant(name="shipped", program=loop, batches=batches)]
    for library in get_args(Library):
        program = PlainSteps(
            PlainCaptioner(library, objective),
            clip_at=resolved.config.optim.clip_at,
            device=device_of(resolved),
        )
        name = f"plain nn.{library.upper()}"
        found.append(Contestant(name=f"{name}, the same batches", program=program, batches=batches))
        found.append(
            Contestant(name=f"{name}, batches at random", program=program, batches=at_random)
        )
    return found


def decoding_report(objective: CaptioningObjective) -> str:
    """The test split by the configured beam: in batches, and some of its images one by one."""
    objective.eval()
    split, store = objective.corpus.splits["test"], objective.corpus.features
    with torch.no_grad():
        objective.network.get_parameter("output.bias")[END] -= 100.0
    search = replace(objective.search, max_length=round(float(split.rows.length_N.mean())))
    single = ImageBatches(split, store, batch_size=1)
    stride = max(1, len(single) // decoding.NUM_ALONE)
    return decoding_table(
        search.beam_size,
        list(ImageBatches(split, store, batch_size=EVALUATION_IMAGES)),
        list(itertools.islice(single, 0, None, stride)),
        decode=lambda batch: search([objective.network], [batch.features]),
        size_of=lambda batch: len(batch.image),
        source="image",
        num_all=len(split),
        device=objective.device,
    )
