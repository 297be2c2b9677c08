"""Where translations fail: BLEU over the length of sentences and over the rarity of their words.

Length as in D. Bahdanau, K. Cho and Y. Bengio (2015), figure 2; length and mean rank of the words
as in I. Sutskever, O. Vinyals and Q. Le (2014), figure 3. Words are those of
`bench.translation.metrics.rarity`.

Shapes: U sentences.
"""

from __future__ import annotations

import numpy as np

from bench.cli.listing import aligned
from bench.core.statistics import CONFIDENCE
from bench.runs.error_curves import Curve, alike, curve, powers
from bench.translation.metrics.rarity import words
from bench.translation.outputs import Translations

LENGTH, RANK, FEWEST = (
    "words of the source",
    "mean rank of the source's words",
    "occurrences of the source's rarest word in training",
)


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
    return {name: curve(counts.sums, counts.metric, *at) for name, at in places.items()}


def as_tables(run: str, split: str, made: Translations, found: dict[str, Curve]) -> str:
    """BLEU in all and by group."""
    counts = made.counts()
    header = made.header
    parts = [
        f"{run} on {split}, {counts.noun}\n{header.signature}\n"
        f"search {header.search}, BLEU {counts.value:.2f}"
    ]
    for name, groups in found.items():
        rows = [
            (
                group.label,
                str(group.size),
                f"{group.value:.2f}",
                f"{group.low:.1f} to {group.high:.1f}",
                f"{group.total[0] / max(group.total[1], 1.0):.2f}",
            )
            for group in groups
        ]
        columns = ("group", "sentences", "BLEU", f"{CONFIDENCE:.0%} interval", "length ratio")
        parts.append(f"by {name}\n{aligned(columns, rows)}")
    return "\n\n".join(parts)
