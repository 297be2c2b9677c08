"""Outputs that an evaluation leaves beside a run's weights, and what the tools ask of them.

An objective's `Outputs` are read where they were kept and regenerated elsewhere; whatever made
them, their metric must be the value in the record. Needs neither weights nor torch, so that
comparing runs and looking at their errors is quick; torch is loaded only to regenerate.

Shapes: U units, K statistics, X any leading dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    Self,
    TypeVar,
    runtime_checkable,
)

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.core.cards import Card
from bench.core.errors import BenchError
from bench.core.json_lines import read_json_lines, write_json_lines
from bench.core.record import Record
from bench.core.suite import Suite
from bench.domains import load_attribute, load_domain

if TYPE_CHECKING:
    from bench.runs.error_curves import Curve

Floats = NDArray[np.float64]
Missing = Literal["make", "leave"]


class Units(Protocol):
    """Scores of a run on each piece of a split: sums over pieces determine the metric.

    Losses and counts for a mean, errors and reference words for an error rate, n-gram matches and
    lengths for BLEU; resampling the pieces gives the metric of another corpus of the same kind.
    """

    @property
    def noun(self) -> str:
        """The units in words, with their number; runs over the same units say the same."""
        ...

    @property
    def method(self) -> str:
        """Sentence on how sums over units become the metric, for the notes under a table."""
        ...

    @property
    def sums(self) -> Floats:
        """Sufficient statistics of each unit [U, K], to be added over units."""
        ...

    def metric(self, sums_XK: Floats) -> Floats:
        """The metric [X] of added statistics."""
        ...


@runtime_checkable
class PairedUnits(Units, Protocol):
    """Units whose field has a paired test of its own that referees expect."""

    def paired_test(self, other: Self) -> tuple[float, str]:
        """p between two runs over the same units, and a sentence about the test."""
        ...


@dataclass(frozen=True, kw_only=True)
class SampleWord:
    """A word or label of an output, and how it differs from the reference."""

    text: str
    kind: Literal["right", "wrong", "extra", "missing"] = "right"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One example of a split and a run's output for it."""

    name: str
    """Name such as `sentence 12`; equal for all runs over the split."""
    words: Sequence[SampleWord]
    """The output, word by word or as one text."""
    source: str = ""
    references: Sequence[str] = ()
    cells: Sequence[str] = ()
    """The row of a tracker's table, one cell for each of `SampleTable.columns`."""
    score: float | None = None
    """The metric of this example alone."""
    note: str = ""
    """A remark on the output, such as `copy`."""
    image: str = ""
    """Name of the image that is shown."""
    nearest: str = ""
    """The training example that is most like the output."""
    nearest_image: str = ""


@dataclass(frozen=True, kw_only=True)
class SampleTable:
    """All examples of a split, in its order."""

    columns: Sequence[str]
    """Columns of `Sample.cells`; in a column called `image` stand the names of images."""
    rows: Sequence[Sample]
    noun: str
    """The examples in the plural, such as `sentences`."""
    reference: str = "reference"
    """Heading of the references."""
    paired: bool = True
    """True where row i of every run is the same example; texts that a model draws are its own."""


@dataclass(frozen=True, kw_only=True)
class ErrorOptions:
    """Options of `bench errors`."""

    run: str
    split: str
    folder: Path
    """The run's artifacts."""
    num_confusions: int = 15
    num_groups: int = 8
    num_examples: int = 5


@dataclass(frozen=True, kw_only=True)
class ErrorReport:
    """Analysis of one run that `bench errors` prints and draws."""

    text: str
    picture: str
    """File name of the picture, beside the run's artifacts unless the caller names another."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """Scores of groups of units, drawn for several runs together."""
    axis: str = ""
    """Label of the curves' axis."""
    draw: Callable[[Path], None] | None = None
    """Draws the picture of a report that has no curves."""
    notes: Sequence[str] = ()
    """Printed after the text, such as the place of a picture that the run left."""


class Outputs(ABC):
    """Outputs of one evaluation of one split.

    A subclass is named in `Domain.outputs` of its domain.
    """

    noun: ClassVar[str]
    """The outputs in the plural, such as `translations`."""

    @classmethod
    @abstractmethod
    def path(cls, folder: Path, split: str) -> Path:
        """The file in a run's artifacts."""

    @classmethod
    @abstractmethod
    def read(cls, folder: Path, split: str, record: Record | None = None) -> Self | None:
        """The outputs that a run kept, None where there are none; units need its record."""

    @abstractmethod
    def write(self, folder: Path, split: str) -> None:
        """Keep the outputs in a run's artifacts; readers see whole files or none."""

    @abstractmethod
    def value(self) -> float:
        """The metric of these outputs."""

    def tolerance(self, expected: float) -> float:
        """Largest difference from a record's value that rounding on another machine explains."""
        del expected
        return 1e-6

    def check(self, record: Record, split: str, path: Path) -> None:
        """Raise BenchError where the metric is not the value in the record."""
        value, expected = self.value(), record.metrics[split]
        if not abs(value - expected) <= self.tolerance(expected):
            raise BenchError(
                f"{path}: {record.metric} {value:.4f} where the record {record.id} says "
                f"{expected:.4f}; delete it, or run again with --again"
            )

    @abstractmethod
    def units(self, block_length: int | None = None) -> Units:
        """Test units for `bench compare`; blocks of `block_length` tokens where they are text."""

    @abstractmethod
    def samples(self) -> SampleTable | None:
        """Examples for report and trackers, None where there are none."""

    def errors(self, options: ErrorOptions) -> ErrorReport:
        """Analysis for `bench errors`."""
        raise BenchError(f"run {options.run}: `bench errors` has nothing to say of {self.noun}")


HeaderT = TypeVar("HeaderT", bound=msgspec.Struct)
LineT = TypeVar("LineT", bound=msgspec.Struct)


@dataclass(frozen=True, kw_only=True, eq=False)
class LineOutputs(Outputs, Generic[HeaderT, LineT]):
    """Outputs as JSON lines, `<stem>-<split>.jsonl`: a header, then a line for each example."""

    stem: ClassVar[str]
    header_type: ClassVar[type[msgspec.Struct]]
    line_type: ClassVar[type[msgspec.Struct]]

    header: HeaderT
    lines: Sequence[LineT]
    """All examples of the split, in its order."""

    @classmethod
    def path(cls, folder: Path, split: str) -> Path:
        return folder / f"{cls.stem}-{split}.jsonl"

    @classmethod
    def read(cls, folder: Path, split: str, record: Record | None = None) -> Self | None:
        del record  # the header says all that is needed
        found = read_json_lines(cls.path(folder, split), cls.header_type, cls.line_type)
        return cls(header=found[0], lines=found[1]) if found else None  # type: ignore[arg-type]

    def write(self, folder: Path, split: str) -> None:
        write_json_lines(self.path(folder, split), self.header, self.lines)


def refuse_blocks(block_length: int | None, *, what: str, unit: str) -> None:
    """Raise BenchError for a block length where units are not blocks of text."""
    if block_length is not None:
        raise BenchError(f"--block-length is of text: {what} is resampled by {unit}")


def outputs_class(card: Card, objective: str) -> type[Outputs]:
    """Class of the outputs that runs of an objective keep; BenchError where they keep none."""
    known = load_domain(card.kind).outputs
    if objective not in known:
        raise BenchError(f"runs of the objective {objective!r} keep no test units")
    cls: type[Outputs] = load_attribute(known[objective])
    return cls


def find_outputs(
    suite: Suite,
    record: Record,
    split: str,
    *,
    missing: Missing = "make",
    say: Callable[[str], None] | None = None,
) -> Outputs:
    """Outputs of a finished run, checked against its record; regenerated where they are gone.

    `say` is told before that. Raises BenchError where they are gone and cannot, or with `leave` may
    not, be regenerated, and where their metric is not the record's.
    """
    card = suite.card(record.task)
    cls = outputs_class(card, str(record.config["objective"].get("name", card.objective)))
    folder = suite.artifacts(record.task, record.id)
    found = cls.read(folder, split, record)
    if found is None:
        if missing == "leave":
            raise BenchError(
                f"{cls.noun} of the {split} split were not kept here; `--missing make` regenerates "
                "them from the weights, or by fitting a baseline again"
            )
        if say is not None:
            say(
                f"regenerating the {cls.noun} of {record.id} (the run took "
                f"{record.cost.seconds:,.0f} s; --missing leave goes without)"
            )
        from bench.runs.finished import bring_back, regenerate  # torch is loaded only here

        regenerate(bring_back(suite, record), split, missing=cls.path(folder, split))
        found = cls.read(folder, split, record)
        assert found is not None
    found.check(record, split, cls.path(folder, split))
    return found
