"""What captions are worth where people agree and where they do not, and how much is only copied.

An image's references agree as far as each of them, scored against the others, has a high CIDEr.

Shapes: U images, L lines of a file of captions, K statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.captioning.metrics import METRICS, CaptionScores, score_captions
from bench.captioning.metrics.copying import Copying
from bench.captioning.outputs import CaptionedImage, Captions
from bench.core.aligned import aligned
from bench.core.statistics import CONFIDENCE
from bench.runs.error_curves import Curve, Floats, alike, curve, interval

AGREEMENT = "CIDEr of an image's references against each other"
_COLUMNS = ("CIDEr", f"{CONFIDENCE:.0%} interval", "BLEU-1", "BLEU-4", "ROUGE-L")


def agreement(lines: Sequence[CaptionedImage]) -> Floats | None:
    """CIDEr [U] of each reference against the others, averaged; None where one has no other."""
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


def curves(made: Captions, *, num_groups: int) -> dict[str, Curve]:
    """CIDEr by groups of images in rising agreement; none where there is nothing to agree on."""
    agreement_U = agreement(made.turns[0])
    if agreement_U is None:
        return {}
    scores = made.scores()
    groups = curve(scores.sums, scores.metric, agreement_U, alike(agreement_U, num_groups))
    return {AGREEMENT: groups}


def as_tables(
    run: str, split: str, made: Captions, found: dict[str, Curve], *, num_examples: int
) -> str:
    """Scores in all, of copies and of others, by agreement; copying beside people's; examples."""
    scores, header = made.scores(), made.header
    values = scores.values
    shown = ", ".join(f"{name} {values[name]:.2f}" for name in METRICS)
    parts = [
        f"{run} on {split}, {scores.noun}\n{header.signature}\nsearch {header.search}\n{shown}",
        _copying(header.copying, header.people),
        _by_copying(made),
    ]
    for name, groups in found.items():
        columns = ("group", "images", "CIDEr", f"{CONFIDENCE:.0%} interval")
        rows = [(g.label, f"{g.size:,}", f"{g.value:.1f}", _range(g.low, g.high)) for g in groups]
        parts.append(f"by {name}\n{aligned(columns, rows)}")
    if not found:
        parts.append("one reference an image: nothing says how far people agree")
    if num_examples:
        parts += _examples(made, num_examples)
    return "\n\n".join(parts)


def _copying(run: Copying, people: Copying) -> str:
    rows = [
        ("captions", f"{run.num_captions:,.0f}", f"{people.num_captions:,.0f}"),
        *(
            (label, f"{getattr(run, name):,.{digits}f}", f"{getattr(people, name):,.{digits}f}")
            for label, name, digits in (
                ("in the training captions, %", "identical_percent", 2),
                ("different captions", "distinct_captions", 0),
                ("words of a caption", "words", 2),
                ("longest n-gram copied, words", "longest", 2),
                ("longest n-gram copied, % of words", "longest_percent", 1),
                ("training vocabulary used, %", "vocabulary_percent", 1),
            )
        ),
        *(
            (f"different {order}-grams", f"{ours:,.0f}", f"{theirs:,.0f}")
            for order, (ours, theirs) in enumerate(
                zip(run.distinct, people.distinct, strict=True), start=1
            )
        ),
    ]
    return f"copying\n{aligned(('', 'run', 'people'), rows)}"


def _by_copying(made: Captions) -> str:
    scores = made.by_line()
    copied_L = np.array([line.is_copy for lines in made.turns for line in lines])
    parts = {"all": copied_L | True, "copies": copied_L, "others": ~copied_L}
    rows = [(name, *_scored(scores.part(chosen_L))) for name, chosen_L in parts.items()]
    return f"by copying\n{aligned(('group', 'captions', *_COLUMNS), rows)}"


def _scored(scores: CaptionScores) -> tuple[str, ...]:
    if not len(scores.sums):
        return ("0", *("" for _ in _COLUMNS))
    low, high = interval(scores.sums, scores.metric)
    values = scores.values
    return (
        f"{len(scores.sums):,}",
        f"{values['cider']:.1f}",
        _range(low, high),
        *(f"{values[name]:.1f}" for name in ("bleu-1", "bleu-4", "rouge-l")),
    )


def _range(low: float, high: float) -> str:
    return f"{low:.1f} to {high:.1f}"


def _examples(made: Captions, number: int) -> list[str]:
    lines = [line for turn in made.turns for line in turn]
    cider_L = made.by_line().per_image["cider"]
    order = np.argsort(-cider_L, kind="stable")
    chosen = {"best": order[:number], "worst": order[::-1][:number]}
    return [
        f"{name} captions\n" + "\n".join(_example(lines[i], cider_L[i]) for i in places)
        for name, places in chosen.items()
    ]


def _example(line: CaptionedImage, cider: float) -> str:
    nearest = "a copy" if line.is_copy else line.nearest
    return (
        f"{line.image}  CIDEr {cider:.1f}\n"
        f"  written   {line.hypothesis}\n"
        f"  people    {line.references[0]}\n"
        f"  training  {nearest} ({line.nearest_image})"
    )
