"""Where translations fail: BLEU over the length of sentences and over the rarity of their words.

Length as in D. Bahdanau, K. Cho and Y. Bengio (2015), figure 2; length and mean rank of the words
as in I. Sutskever, O. Vinyals and Q. Le (2014), figure 3. Words are those of
`bench.metrics.rarity`.

Shapes: U sentences, G groups of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.figures import new_figure, save_figure
from bench.listing import aligned
from bench.metrics.rarity import words
from bench.metrics.translation import Floats, SentenceCounts
from bench.table.statistics import CONFIDENCE
from bench.translations import Translations

NUM_RESAMPLES = 1000
LENGTH, RANK, FEWEST = (
    "words of the source",
    "mean rank of the source's words",
    "occurrences of the source's rarest word in training",
)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Sentences of like length or rarity, and BLEU of them together."""

    label: str
    num_sentences: int
    bleu: float
    low: float
    high: float
    """Of the bootstrap interval: other sentences of this group's kind would lie here."""
    length_ratio: float
    """Words of the translations over words of the references."""


Curve = list[Group]


def curves(made: Translations, *, num_groups: int) -> dict[str, Curve]:
    """BLEU over length, mean rank and fewest occurrences, each by groups in rising order."""
    counts = made.counts()
    lengths_U = np.array([len(words(line.source)) for line in made.lines], np.float64)
    ranks_U = np.array([line.mean_rank for line in made.lines])
    fewest_U = np.array([line.fewest for line in made.lines], np.float64)
    places = {
        LENGTH: (lengths_U, alike(lengths_U, num_groups)),
        RANK: (np.round(ranks_U), alike(ranks_U, num_groups)),
        FEWEST: (fewest_U, powers(fewest_U)),
    }
    return {name: _curve(counts, *place) for name, place in places.items()}


def alike(values_U: Floats, num_groups: int) -> NDArray[np.intp]:
    """The group of each value [U]: about as many in each, equal values together."""
    shares = np.arange(1, num_groups) / num_groups
    edges = np.unique(np.quantile(values_U, shares, method="lower"))
    return np.searchsorted(edges, values_U, side="left")


def powers(values_U: Floats) -> NDArray[np.intp]:
    """The group of each count [U]: 0, 1 to 9, 10 to 99, and so on."""
    return np.ceil(np.log10(values_U + 1) - 1e-9).astype(np.intp)


def _curve(counts: SentenceCounts, values_U: Floats, group_U: NDArray[np.intp]) -> Curve:
    found = []
    for group in np.unique(group_U):
        own_U = group_U == group
        sums = counts.sums[own_U]
        low, high = _interval(counts, sums)
        total = sums.sum(0)
        found.append(
            Group(
                label=_label(values_U[own_U]),
                num_sentences=len(sums),
                bleu=float(counts.metric(total)),
                low=low,
                high=high,
                length_ratio=float(total[0] / max(total[1], 1.0)),
            )
        )
    return found


def _interval(counts: SentenceCounts, sums: Floats) -> tuple[float, float]:
    """Percentile interval of the bootstrap over sentences, from one seed."""
    size = len(sums)
    times = np.random.default_rng(1).multinomial(size, np.full(size, 1 / size), NUM_RESAMPLES)
    drawn = counts.metric(times @ sums)
    rest = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [rest, 1 - rest])
    return float(low), float(high)


def _label(values: Floats) -> str:
    low, high = (f"{value:,.0f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low}-{high}"


def as_tables(run: str, split: str, made: Translations, found: dict[str, Curve]) -> str:
    """BLEU in all and by group."""
    counts = made.counts()
    header = made.header
    parts = [
        f"{run} on {split}, {counts.noun}\n{header.signature}\n"
        f"search {header.search}, BLEU {counts.value:.2f}"
    ]
    for name, curve in found.items():
        rows = [
            (
                group.label,
                str(group.num_sentences),
                f"{group.bleu:.2f}",
                f"{group.low:.1f} to {group.high:.1f}",
                f"{group.length_ratio:.2f}",
            )
            for group in curve
        ]
        columns = ("group", "sentences", "BLEU", f"{CONFIDENCE:.0%} interval", "length ratio")
        parts.append(f"by {name}\n{aligned(columns, rows)}")
    return "\n\n".join(parts)


def draw_curves(runs: dict[str, dict[str, Curve]], path: Path) -> None:
    """Draw BLEU by group, one line a run with its interval, side by side for each way of grouping.

    Raises BenchError for runs over different sentences.
    """
    names = list(next(iter(runs.values())))
    for name in names:
        if len({tuple(group.label for group in found[name]) for found in runs.values()}) > 1:
            raise BenchError("the runs translated different sentences: draw them one by one")
    figure, [row] = new_figure(num_columns=len(names), width=4.2 * len(names), height=3.4)
    for axes, name in zip(row, names, strict=True):
        for number, (run, found) in enumerate(runs.items()):
            _draw(axes, run, found[name], color=f"C{number}")
        axes.set_xlabel(name, fontsize=8)
        axes.set_ylim(bottom=0)
    row[0].set_ylabel("BLEU")
    row[0].legend(frameon=False, fontsize=7)
    save_figure(figure, path)


def _draw(axes: Any, run: str, curve: Sequence[Group], *, color: str) -> None:
    places = range(len(curve))
    values = [group.bleu for group in curve]
    lows, highs = [group.low for group in curve], [group.high for group in curve]
    axes.plot(places, values, marker="o", markersize=3, color=color, label=run)
    axes.fill_between(places, lows, highs, color=color, alpha=0.15, linewidth=0)
    labels = [group.label for group in curve]
    axes.set_xticks(places, labels, fontsize=7, rotation=45, ha="right")
