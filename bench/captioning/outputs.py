"""Captions that a run leaves beside its weights, and the analysis of `bench errors`.

    captions-<split>.jsonl    signature, search and copying, then a line an image: its name,
                              hypothesis, references, log-probability, nearest training caption

People, scored against each other in turns, have a line for each image and turn.

Shapes: U images, L lines, K statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import msgspec
import numpy as np

from bench.captioning.metrics.copying import Copying
from bench.captioning.metrics.scores import METRICS, CaptionScores, join, pool, score_captions
from bench.core.aligned import aligned
from bench.core.statistics import CONFIDENCE
from bench.runs.error_curves import Curve, Floats, alike, curve, interval
from bench.runs.outputs import (
    ErrorOptions,
    ErrorReport,
    LineOutputs,
    Sample,
    SampleTable,
    SampleWord,
    refuse_blocks,
)


class CaptionedImage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image and its caption; words stand between blanks."""

    image: str
    hypothesis: str
    references: tuple[str, ...]
    log_prob: float | None = None
    """Natural, words and end; None for a model without probabilities."""
    nearest: str
    """Training caption that is most like the hypothesis."""
    nearest_image: str
    """Training image that it was written for."""
    longest: int
    """Words of the longest n-gram of the hypothesis that a training caption has."""
    turn: int = 0

    @property
    def is_copy(self) -> bool:
        """True where the hypothesis is a training caption."""
        return self.hypothesis == self.nearest


class CaptionsHeader(msgspec.Struct, frozen=True, kw_only=True):
    """First line of a file of captions."""

    signature: str
    search: str
    copying: Copying
    people: Copying
    """Copying by the images' own captions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Captions(LineOutputs[CaptionsHeader, CaptionedImage]):
    """Captions of all images of a split, turn by turn."""

    noun: ClassVar[str] = "captions"
    stem: ClassVar[str] = "captions"
    header_type = CaptionsHeader
    line_type = CaptionedImage

    @cached_property
    def turns(self) -> list[list[CaptionedImage]]:
        """Lines of each turn."""
        turns: dict[int, list[CaptionedImage]] = {}
        for line in self.lines:
            turns.setdefault(line.turn, []).append(line)
        return list(turns.values())

    @cached_property
    def _turn_scores(self) -> list[CaptionScores]:
        return [
            score_captions(
                [line.hypothesis.split() for line in lines],
                [[caption.split() for caption in line.references] for line in lines],
            )
            for lines in self.turns
        ]

    @cached_property
    def scores(self) -> CaptionScores:
        """Scores image by image; several turns are pooled."""
        return pool(self._turn_scores)

    @cached_property
    def line_scores(self) -> CaptionScores:
        """Scores caption by caption, turn after turn."""
        return join(self._turn_scores)

    def value(self) -> float:
        return self.scores.value

    def tolerance(self, expected: float) -> float:
        """In percent: another machine may write a caption or two of a thousand otherwise."""
        return 0.2

    def units(self, block_length: int | None = None) -> CaptionScores:
        refuse_blocks(block_length, what="captions", unit="images")
        return self.scores

    def samples(self) -> SampleTable:
        ciders = self.scores.per_image["cider"].tolist()
        return SampleTable(
            columns=["image", "caption", "people", "nearest in training"],
            rows=[_sample(*pair) for pair in zip(self.turns[0], ciders, strict=True)],
            noun="images",
            reference="People wrote",
        )

    def errors(self, options: ErrorOptions) -> ErrorReport:
        """Scores of all captions, of copies and by agreement of people; copying; examples."""
        scores, header, values = self.scores, self.header, self.scores.values
        shown = ", ".join(f"{name} {values[name]:.2f}" for name in METRICS)
        parts = [
            f"{options.run} on {options.split}, {scores.noun}\n{header.signature}\n"
            f"search {header.search}\n{shown}",
            _copying_table(header.copying, header.people),
            self._table_by_copying(),
        ]
        curves = self._curves(options.num_groups)
        parts += [_table_by_group(name, groups) for name, groups in curves.items()]
        if not curves:
            parts.append("one reference an image: nothing says how far people agree")
        if options.num_examples:
            parts += self._examples(options.num_examples)
        picture = f"cider-{options.split}.png"
        return ErrorReport(text="\n\n".join(parts), picture=picture, curves=curves, axis="CIDEr")

    def _curves(self, num_groups: int) -> dict[str, Curve]:
        """CIDEr by groups of images in rising agreement; empty where there is one reference."""
        agreement_U = agreement(self.turns[0])
        if agreement_U is None:
            return {}
        groups_U = alike(agreement_U, num_groups)
        return {AGREEMENT: curve(self.scores.sums, self.scores.metric, agreement_U, groups_U)}

    def _table_by_copying(self) -> str:
        copied_L = np.array([line.is_copy for lines in self.turns for line in lines])
        parts = {"all": copied_L | True, "copies": copied_L, "others": ~copied_L}
        scores = self.line_scores
        rows = [(name, *_score_row(scores.part(chosen_L))) for name, chosen_L in parts.items()]
        return f"by copying\n{aligned(('group', 'captions', *_COLUMNS), rows)}"

    def _examples(self, number: int) -> list[str]:
        lines = [line for turn in self.turns for line in turn]
        cider_L = self.line_scores.per_image["cider"]
        order = np.argsort(-cider_L, kind="stable")
        chosen = {"best": order[:number], "worst": order[::-1][:number]}
        return [
            f"{name} captions\n" + "\n".join(_example(lines[i], cider_L[i]) for i in places)
            for name, places in chosen.items()
        ]


AGREEMENT = "CIDEr of an image's references against each other"
_INTERVAL = f"{CONFIDENCE:.0%} interval"
_COLUMNS = ("CIDEr", _INTERVAL, "BLEU-1", "BLEU-4", "ROUGE-L")


def agreement(lines: Sequence[CaptionedImage]) -> Floats | None:
    """Mean CIDEr [U] of each reference against the others; None where an image has only one."""
    references = [[caption.split() for caption in line.references] for line in lines]
    fewest = min(map(len, references))
    if fewest < 2:
        return None
    rounds = [
        score_captions(
            [own[number] for own in references],
            [[*own[:number], *own[number + 1 :]] for own in references],
        ).per_image["cider"]
        for number in range(fewest)
    ]
    return np.asarray(np.mean(rounds, axis=0))


def _sample(line: CaptionedImage, cider: float) -> Sample:
    num_words = len(line.hypothesis.split())
    copied = f"{line.longest} of {num_words} words in a row copied"
    return Sample(
        name=line.image,
        words=[SampleWord(text=line.hypothesis)],
        references=line.references,
        cells=[line.image, line.hypothesis, "\n".join(line.references), line.nearest],
        score=cider,
        note="copy" if line.is_copy else copied,
        image=line.image,
        nearest=line.nearest,
        nearest_image=line.nearest_image,
    )


def _copying_table(run: Copying, people: Copying) -> str:
    figures = (
        ("captions", "num_captions", 0),
        ("in the training captions, %", "identical_percent", 2),
        ("different captions", "distinct_captions", 0),
        ("words of a caption", "words", 2),
        ("longest n-gram copied, words", "longest", 2),
        ("longest n-gram copied, % of words", "longest_percent", 1),
        ("training vocabulary used, %", "vocabulary_percent", 1),
    )
    rows = [
        (label, *(f"{getattr(copying, name):,.{digits}f}" for copying in (run, people)))
        for label, name, digits in figures
    ]
    for order, pair in enumerate(zip(run.distinct, people.distinct, strict=True), start=1):
        rows.append((f"different {order}-grams", *(f"{number:,.0f}" for number in pair)))
    return f"copying\n{aligned(('', 'run', 'people'), rows)}"


def _table_by_group(name: str, groups: Curve) -> str:
    columns = ("group", "images", "CIDEr", _INTERVAL)
    rows = [(g.label, f"{g.size:,}", f"{g.value:.1f}", _range(g.low, g.high)) for g in groups]
    return f"by {name}\n{aligned(columns, rows)}"


def _score_row(scores: CaptionScores) -> tuple[str, ...]:
    if not len(scores.sums):
        return ("0", *("" for _ in _COLUMNS))
    values = scores.values
    return (
        f"{len(scores.sums):,}",
        f"{values['cider']:.1f}",
        _range(*interval(scores.sums, scores.metric)),
        *(f"{values[name]:.1f}" for name in ("bleu-1", "bleu-4", "rouge-l")),
    )


def _range(low: float, high: float) -> str:
    return f"{low:.1f} to {high:.1f}"


def _example(line: CaptionedImage, cider: float) -> str:
    nearest = "a copy" if line.is_copy else line.nearest
    return (
        f"{line.image}  CIDEr {cider:.1f}\n"
        f"  written   {line.hypothesis}\n"
        f"  people    {line.references[0]}\n"
        f"  training  {nearest} ({line.nearest_image})"
    )
