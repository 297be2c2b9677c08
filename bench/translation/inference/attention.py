"""What the words of a translation looked at: as JSON lines, and as heat maps.

    {"sentence": 0, "source": ["ein", "Hund", "</s>"], "target": [...], "attention": [[...], ...]}

`attention` has a line for each target symbol and a column for each source symbol, both with their
ends; a line sums to 1. Pictures are those of Bahdanau, Cho and Bengio (2015), figure 3.

Shapes: T target symbols, S source symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from bench.core.figures import new_figure, save_figure
from bench.text.outputs import Floats

END = "</s>"


class Alignment(NamedTuple):
    """Attention's weights [T, S] between the symbols of a sentence and of its translation."""

    source: Sequence[str]
    target: Sequence[str]
    weights: Floats


def as_json(sentence: int, alignment: Alignment) -> str:
    """One line of the file; weights with five decimals."""
    line = {
        "sentence": sentence,
        "source": list(alignment.source),
        "target": list(alignment.target),
        "attention": [[round(float(w), 5) for w in row] for row in alignment.weights],
    }
    return msgspec.json.encode(line).decode()


def draw_alignment(alignment: Alignment, path: Path) -> None:
    """Draw the weights in grey: the source above, the translation beside, white is 1."""
    height, width = alignment.weights.shape
    figure, [[axes]] = new_figure(width=1.2 + 0.26 * width, height=1.2 + 0.26 * height)
    axes.imshow(np.asarray(alignment.weights), cmap="gray", vmin=0.0, vmax=1.0)
    axes.grid(visible=False)
    axes.xaxis.tick_top()
    axes.set_xticks(range(width), [_shown(s) for s in alignment.source], fontsize=8, rotation=90)
    axes.set_yticks(range(height), [_shown(s) for s in alignment.target], fontsize=8)
    axes.tick_params(length=0)
    save_figure(figure, path)


def _shown(symbol: str) -> str:
    """A dollar sign would begin a formula."""
    return symbol.replace("$", r"\$")
