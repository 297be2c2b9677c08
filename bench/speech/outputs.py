"""What a recogniser made of each utterance, kept beside a run's weights.

    recognitions-test.jsonl    the signature and the folding, then a line an utterance:
                               references, hypothesis, log-probabilities, edits

Needs neither weights nor torch, so that comparing runs and looking at their errors is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.core.figures import new_figure, save_figure
from bench.core.json_lines import read_json_lines, write_json_lines
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.kept import read_or_make
from bench.speech.metrics import NOTHING, Confusion, Edits, Folding, PhoneErrors, phone_errors


class Recognition(msgspec.Struct, frozen=True, kw_only=True):
    """One utterance; labels as the model has them, with blanks between."""

    utterance: str
    speaker: str
    reference: str
    hypothesis: str
    reference_nats: float
    """-log p(reference | sound)."""
    hypothesis_nats: float | None
    """The same of the hypothesis; None where the decoder does not compute it."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of recognitions."""

    signature: str
    folding: str
    target: dict[str, str | None]
    """Label -> the one that is scored in its place, None where it is left out."""


@dataclass(frozen=True, kw_only=True)
class Recognitions:
    """All utterances of a split, in the corpus's order."""

    header: Header
    lines: Sequence[Recognition]

    def errors(self) -> PhoneErrors:
        """The edits, utterance by utterance, after folding."""
        return phone_errors(
            [line.reference.split() for line in self.lines],
            [line.hypothesis.split() for line in self.lines],
            utterances=[line.utterance for line in self.lines],
            speakers=[line.speaker for line in self.lines],
            folding=Folding(name=self.header.folding, target=self.header.target),
        )


def recognitions_path(folder: Path, split: str) -> Path:
    """Where the recognitions of a split are kept."""
    return folder / f"recognitions-{split}.jsonl"


def write_recognitions(folder: Path, split: str, found: Recognitions) -> None:
    """Keep them; with each line go its substitutions, deletions, insertions and labels."""
    counts = found.errors().sums.tolist()
    lines = [
        {**msgspec.structs.asdict(line), "edits": [int(count) for count in of_line]}
        for line, of_line in zip(found.lines, counts, strict=True)
    ]
    write_json_lines(recognitions_path(folder, split), found.header, lines)


def read_recognitions(folder: Path, split: str) -> Recognitions | None:
    """What was kept; None where nothing was."""
    found = read_json_lines(recognitions_path(folder, split), Header, Recognition)
    return Recognitions(header=found[0], lines=found[1]) if found else None


# What recognisers made of a split: read where it was kept, made again from the weights elsewhere.
#
# Whatever made it, its error rate must be the value in the record.


TOLERANCE_PERCENT = 1e-6


def kept_recognitions(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> Recognitions:
    """The recognitions of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their error rate is not the record's.
    """
    found = read_or_make(
        suite, record, split, what="recognitions", read=read_recognitions, missing=missing
    )
    rate, expected = found.errors().total.rate, record.metrics[split]
    path = recognitions_path(suite.artifacts(record.task, record.id), split)
    if not abs(rate - expected) <= TOLERANCE_PERCENT:
        raise BenchError(
            f"{path}: {rate:.4f} % errors where the record {record.id} "
            f"says {expected:.4f}; delete it, or run again with --again"
        )
    return found


# What a recogniser gets wrong: kinds of edits, speakers, labels taken for others.


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
