"""Captions made without a model: outputs of a run, and records that agree with them."""

from __future__ import annotations

import random

import numpy as np
from msgspec.structs import replace
from synthetic_records import make_record

from bench.captioning.data.corpus import CaptionSplit
from bench.captioning.scoring import CaptionScoring, ScoredCaptions, Turn
from bench.core.record import Record, write_record
from bench.core.suite import Suite
from bench.data.rows import Rows

TASK = "made-captions"
CARD = f"""\
task: {TASK}
title: Made-up scenes
version: 1
objective: captioning
description: Scenes and what is said of them.
metric: {{name: cider, direction: max}}
protocol: Words between blanks.
corpus:
  kind: synthetic-captions
  num_train: 60
  num_valid: 20
  num_test: 20
"""
WORDS = ["a", "dog", "cat", "runs", "sits", "on", "grass", "red", "ball", "child", "throws", "in"]


def images(name: str, *, seed: int, num_images: int = 40, num_captions: int = 5) -> CaptionSplit:
    """Split where each image has a sentence, of which every caption leaves out some words."""
    draw = random.Random(seed)
    captions = []
    for number in range(num_images):
        whole = draw.choices(WORDS, k=9)
        spread = number / num_images  # people agree less and less
        captions.append(
            [
                tuple(w if draw.random() > spread else draw.choice(WORDS) for w in whole)
                for _ in range(num_captions)
            ]
        )
    return CaptionSplit(
        names=[f"{name}-{number}.jpg" for number in range(num_images)],
        feature_row=np.arange(num_images),
        captions=captions,
        rows=Rows.of([WORDS.index(w) for w in tokens] for own in captions for tokens in own),
    )


def scored(
    *, copies: int = 10, spoilt: float = 0.2, seed: int = 2, described: CaptionSplit | None = None
) -> ScoredCaptions:
    """Captions of a model that copies some and spoils a share of the others' words."""
    draw = random.Random(seed)
    train, described = images("train", seed=1), described or images("test", seed=5)
    written = [
        [w if draw.random() > spoilt else "red" for w in own[0]] for own in described.captions
    ]
    written[:copies] = [list(own[0]) for own in train.captions[:copies]]
    return CaptionScoring(train).score(
        described,
        [Turn(captions=written, references=described.captions)],
        log_probs=[-float(len(own)) for own in written],
    )


def people(described: CaptionSplit) -> ScoredCaptions:
    """Each caption in turn scored against the others."""
    turns = [
        Turn(
            captions=[own[i] for own in described.captions],
            references=[[*own[:i], *own[i + 1 :]] for own in described.captions],
        )
        for i in range(5)
    ]
    return CaptionScoring(images("train", seed=1)).score(described, turns)


def make_suite(suite: Suite) -> Suite:
    (suite.folder / "tasks").mkdir(parents=True)
    (suite.folder / "tasks" / f"{TASK}.yaml").write_text(CARD)
    return suite


def add_run(suite: Suite, made: ScoredCaptions, *, seed: int = 1, model: str = "gru") -> Record:
    """A finished run with these captions of its test split."""
    record = make_record(made.cider, seed=seed, model={"name": model})
    record = replace(
        record,
        id=f"{model}-12345678-s{seed}",
        task=TASK,
        metric="cider",
        signature=made.signature,
        digest=f"{model}-12345678",
        config={**record.config, "task": TASK, "objective": {}},
        beside={signature: {"test": value} for signature, value in made.beside.items()},
    )
    write_record(record, suite.record_path(TASK, record.id).parent)
    made.keep(suite.artifacts(TASK, record.id), "test", "beam(5)")
    return record
