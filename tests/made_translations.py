"""Translations that no model has made, and records that agree with them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from synthetic_records import make_record

from bench.core.record import Record, write_record
from bench.core.suite import Suite
from bench.translation.metrics import BleuProtocol, WordFrequencies
from bench.translation.outputs import TranslatedSentence, Translations, TranslationsHeader

TASK = "made-translation"
CARD = f"""\
task: {TASK}
title: A made-up language
version: 1
objective: translation
description: Sentences of a grammar and their translations.
metric: {{name: bleu, direction: max}}
protocol: Words between blanks.
corpus:
  kind: synthetic-translation
  num_train: 300
  num_valid: 20
  num_test: 20
"""
PROTOCOL = BleuProtocol(text="tokenised", case="lower", tokeniser="blanks")
LEXICON = ["the", "a", "dog", "cat", "house", "sees", "likes", "red", "big", "who", ",", "."]


def make_suite(folder: Path) -> Suite:
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks" / f"{TASK}.yaml").write_text(CARD)
    return Suite(folder=folder)


def sentences(seed: int = 1, num_sentences: int = 150) -> list[str]:
    """Sentences of 2 to 16 words, some of which are rarer than others."""
    draw = random.Random(seed)
    shares = [1 / rank for rank in range(1, len(LEXICON) + 1)]
    return [
        " ".join(draw.choices(LEXICON, shares, k=draw.randint(2, 16))) for _ in range(num_sentences)
    ]


def spoilt(lines: Sequence[str], share: float, seed: int) -> list[str]:
    """Translations of which a share of the words, the more the longer a sentence, is wrong."""
    draw = random.Random(seed)
    return [
        " ".join(w if draw.random() > share * len(line) / 40 else "x" for w in line.split())
        for line in lines
    ]


def translations(share: float = 0.2, seed: int = 2, references: Sequence[str] = ()) -> Translations:
    """Translations by a system that spoils a share of the words."""
    lines = list(references) or sentences()
    frequencies = WordFrequencies.count(sentences(seed=9, num_sentences=30))
    header = TranslationsHeader(
        signature=PROTOCOL.signature,
        text=PROTOCOL.text,
        case=PROTOCOL.case,
        tokeniser=PROTOCOL.tokeniser,
        unknown=PROTOCOL.unknown,
        search="beam(5)",
    )
    made = [
        TranslatedSentence(
            source=line,
            reference=line,
            hypothesis=hypothesis,
            reference_words=line,
            hypothesis_words=hypothesis,
            reference_nats=3.0,
            hypothesis_nats=2.0,
            mean_rank=frequencies.mean_rank(line),
            fewest=frequencies.fewest(line),
        )
        for line, hypothesis in zip(lines, spoilt(lines, share, seed), strict=True)
    ]
    return Translations(header=header, lines=made)


def add_run(suite: Suite, made: Translations, *, seed: int = 1, model: str = "gru") -> Record:
    """A finished run that kept `made` of its test split."""
    record = make_record(made.value(), seed=seed, model={"name": model})
    record = replace(
        record,
        id=f"{model}-12345678-s{seed}",
        task=TASK,
        metric="bleu",
        signature=made.header.signature,
        digest="12345678",
        config={**record.config, "task": TASK, "objective": {}},
    )
    write_record(record, suite.record_path(TASK, record.id).parent)
    made.write(suite.artifacts(TASK, record.id), "test")
    return record
