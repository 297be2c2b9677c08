"""Recognised labels of each utterance, kept beside the weights of a run, and their errors.

recognitions-test.jsonl    the signature and the folding, then a line an utterance:
                           reference, hypothesis, log-probabilities, edits
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np

from bench.core.aligned import aligned
from bench.core.figures import new_figure, save_figure
from bench.core.json_lines import write_json_lines
from bench.core.statistics import CONFIDENCE
from bench.runs.error_curves import interval
from bench.runs.outputs import (
    ErrorOptions,
    ErrorReport,
    LineOutputs,
    Sample,
    SampleTable,
    SampleWord,
    refuse_blocks,
)
from bench.speech.metrics import (
    Edits,
    Folding,
    LabelErrors,
    Pair,
    align,
    label_errors,
)

NOTHING = "-"
"""Name of the missing side of a deletion or an insertion."""
NUM_RESAMPLES = 2000
COLUMNS = ("labels", "substituted", "deleted", "inserted", "error %")


class Recognition(msgspec.Struct, frozen=True, kw_only=True):
    """Recognised labels of an utterance; labels as the model has them, with blanks between."""

    utterance: str
    speaker: str
    reference: str
    hypothesis: str
    reference_nats: float
    """-log p(reference | sound)."""
    hypothesis_nats: float | None
    """-log p(hypothesis | sound); None where the decoder does not compute it."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """First line of a file of recognitions."""

    signature: str
    folding: str
    target: dict[str, str | None]
    """Label -> the one that is scored in its place, None where it is left out."""


class Recognitions(LineOutputs[Header, Recognition]):
    """Recognitions of all utterances of a split."""

    noun: ClassVar[str] = "recognitions"
    stem: ClassVar[str] = "recognitions"
    header_type = Header
    line_type = Recognition

    def write(self, folder: Path, split: str) -> None:
        """Keep the recognitions, each with its substitutions, deletions, insertions and labels."""
        lines = [
            {**msgspec.structs.asdict(line), "edits": [int(count) for count in counts]}
            for line, counts in zip(self.lines, self.units().sums.tolist(), strict=True)
        ]
        write_json_lines(self.path(folder, split), self.header, lines)

    def value(self) -> float:
        return self.units().total.rate

    def units(self, block_length: int | None = None) -> LabelErrors:
        refuse_blocks(block_length, what="speech", unit="utterances")
        return label_errors(
            [line.reference.split() for line in self.lines],
            [line.hypothesis.split() for line in self.lines],
            speakers=[line.speaker for line in self.lines],
            folding=Folding(name=self.header.folding, target=self.header.target),
        )

    def samples(self) -> SampleTable:
        rows = [
            Sample(
                name=f"utterance {line.utterance}",
                words=[_word(p) for p in align(line.reference.split(), line.hypothesis.split())],
                references=[line.reference],
                cells=[line.utterance, line.reference, line.hypothesis],
            )
            for line in self.lines
        ]
        columns = ["utterance", "reference", "hypothesis"]
        return SampleTable(columns=columns, rows=rows, noun="utterances")

    def errors(self, options: ErrorOptions) -> ErrorReport:
        """Edits in all and by speaker, the most frequent confusions, the matrix of confusions."""
        errors, title = self.units(), f"{options.run}, {options.split}"
        heading = f"{options.run} on {options.split}, {errors.noun}\n{self.header.signature}"
        return ErrorReport(
            text=f"{heading}\n{_tables(errors, num_confusions=options.num_confusions)}",
            picture=f"confusions-{options.split}.png",
            draw=lambda path: draw_confusions(errors, title, path),
        )


def _word(pair: Pair) -> SampleWord:
    right, heard = pair
    if heard is None:
        return SampleWord(text=right or "", kind="missing")
    if right is None:
        return SampleWord(text=heard, kind="extra")
    return SampleWord(text=heard, kind="right" if right == heard else "wrong")


def _tables(errors: LabelErrors, *, num_confusions: int) -> str:
    low, high = interval(errors.sums, errors.metric, num_resamples=NUM_RESAMPLES)
    lines = [("all", str(len(errors.sums)), *_cells(errors.total))]
    lines += [
        (name, str(num), *_cells(edits)) for name, (num, edits) in errors.by_speaker().items()
    ]
    parts = [
        f"error rate {errors.total.rate:.2f} %, {CONFIDENCE:.0%} interval over utterances "
        f"{low:.2f} to {high:.2f}",
        aligned(("speaker", "utterances", *COLUMNS), lines),
    ]
    if confusions := errors.confusions(num_confusions):
        rows = [(str(n), spoken or NOTHING, heard or NOTHING) for (spoken, heard), n in confusions]
        title = f"most frequent confusions ({NOTHING}: nothing)"
        parts.append(f"{title}\n{aligned(('times', 'spoken', 'recognised'), rows)}")
    return "\n\n".join(parts)


def _cells(edits: Edits) -> tuple[str, ...]:
    counts = (edits.num_reference, edits.substitutions, edits.deletions, edits.insertions)
    return (*(f"{count:,}" for count in counts), f"{edits.rate:.2f}")


def draw_confusions(errors: LabelErrors, title: str, path: Path) -> None:
    """Draw the matrix of confusions, each row in shares of its sum, on a logarithmic grey scale.

    Labels that neither occurred nor were recognised are left out. Insertions are the last row,
    deletions the last column.
    """
    seen = sorted({label for pair in errors.pairs for label in pair if label is not None})
    every: list[str | None] = [*seen, None]
    counts = np.array([[errors.pairs[spoken, heard] for heard in every] for spoken in every])
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [*seen, NOTHING]
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
