"""What a recogniser gets wrong: kinds of edits, speakers, labels taken for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.cli.listing import aligned
from bench.core.figures import new_figure, save_figure
from bench.speech.metrics.confusion import NOTHING, Confusion
from bench.speech.metrics.edits import Edits
from bench.speech.metrics.phone_error_rate import PhoneErrors

CONFIDENCE, NUM_RESAMPLES = 0.95, 2000
COLUMNS = ("labels", "substituted", "deleted", "inserted", "error %")


def as_tables(
    run: str, split: str, signature: str, errors: PhoneErrors, *, num_confusions: int
) -> str:
    """Edits of a run in all, by speaker, and the most frequent confusions."""
    low, high = interval(errors)
    parts = [
        f"{run} on {split}, {errors.noun}\n{signature}\nerror rate {errors.total.rate:.2f} %, "
        f"{CONFIDENCE:.0%} interval over utterances {low:.2f} to {high:.2f}"
    ]
    speakers = errors.by_speaker()
    lines = [("all", str(len(errors.utterances)), *_figures(errors.total))]
    lines += [(one.speaker, str(one.num_utterances), *_figures(one.edits)) for one in speakers]
    parts.append(aligned(("speaker", "utterances", *COLUMNS), lines))
    confused = errors.confusion.most_frequent(num_confusions)
    if confused:
        rows = [(str(count), shown, heard) for shown, heard, count in confused]
        title = f"most frequent confusions ({NOTHING}: nothing)"
        parts.append(f"{title}\n{aligned(('times', 'spoken', 'recognised'), rows)}")
    return "\n\n".join(parts)


def interval(errors: PhoneErrors) -> tuple[float, float]:
    """Percentile interval of the rate by the bootstrap over utterances, from one seed."""
    size = len(errors.sums)
    shares = np.full(size, 1 / size)
    times = np.random.default_rng(1).multinomial(size, shares, NUM_RESAMPLES)
    rest = (1 - CONFIDENCE) / 2
    low, high = np.quantile(errors.metric(times @ errors.sums), [rest, 1 - rest])
    return float(low), float(high)


def _figures(edits: Edits) -> tuple[str, ...]:
    counts = (edits.num_reference, edits.substitutions, edits.deletions, edits.insertions)
    return (*(f"{count:,}" for count in counts), f"{edits.rate:.2f}")


def draw_confusion(confusion: Confusion, title: str, path: Path) -> None:
    """Draw what stood for each label, in shares of its occurrences, on a logarithmic grey scale.

    Labels that neither occurred nor were recognised are left out. The last row is insertions, in
    shares of all of them, the last column deletions.
    """
    seen = (confusion.counts.sum(0) + confusion.counts.sum(1)) > 0
    seen[-1] = True
    counts = confusion.counts[np.ix_(seen, seen)].astype(np.float64)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    every: Sequence[str] = (*confusion.labels, NOTHING)
    names = [name for name, kept in zip(every, seen, strict=True) if kept]
    size = 1.5 + 0.16 * len(names)
    figure, [[axes]] = new_figure(width=size, height=size)
    from matplotlib.colors import LogNorm

    shown = np.ma.masked_less_equal(shares, 0.0)
    image = axes.imshow(shown, cmap="Greys", norm=LogNorm(vmin=0.001, vmax=1.0))
    axes.grid(visible=False)
    axes.set_xticks(range(len(names)), names, fontsize=6, rotation=90)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set_xlabel("recognised")
    axes.set_ylabel("spoken")
    axes.set_title(title, fontsize=8, loc="left")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, format="{x:.1%}")
    bar.ax.tick_params(labelsize=6)
    save_figure(figure, path)
