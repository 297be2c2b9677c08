"""Labels that a run gave, the baseline, and an evaluation that reads rows backwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np

from bench.core.config import RunConfig
from bench.core.outcome import Outcome
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.ensembles import find_members, load_members, resolve_members
from bench.runs.outputs import (
    ErrorOptions,
    ErrorReport,
    Floats,
    LineOutputs,
    Sample,
    SampleTable,
    SampleWord,
    refuse_blocks,
)
from bench.runs.provenance import Stopwatch, cost_of
from bench.runs.run import RunOptions, run
from bench.training.baseline import Baseline, Report
from bench.training.fit import evaluate
from toy_domain.corpus import ParityCorpus


def signature(order: str = "forward") -> str:
    return f"error-rate|unit:row|read:{order}"


class LabelLine(msgspec.Struct, frozen=True, kw_only=True):
    """A row and the parity that was found."""

    bits: str
    parity: int

    @property
    def is_wrong(self) -> bool:
        return self.bits.count("1") % 2 != self.parity


class LabelsHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of labels."""

    signature: str


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Error and count of each row [U, 2]."""

    sums: Floats

    @property
    def noun(self) -> str:
        return f"{len(self.sums)} rows"

    @property
    def method(self) -> str:
        return "errors are added over rows"

    def metric(self, sums_XK: Floats) -> Floats:
        return np.asarray(100 * sums_XK[..., 0] / sums_XK[..., 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels(LineOutputs[LabelsHeader, LabelLine]):
    """Labels of a split."""

    noun: ClassVar[str] = "labels"
    stem: ClassVar[str] = "labels"
    header_type: ClassVar[type[msgspec.Struct]] = LabelsHeader
    line_type: ClassVar[type[msgspec.Struct]] = LabelLine

    def value(self) -> float:
        return 100 * sum(line.is_wrong for line in self.lines) / len(self.lines)

    def units(self, block_length: int | None = None) -> Errors:
        refuse_blocks(block_length, what="parity", unit="rows")
        wrong_U = np.array([line.is_wrong for line in self.lines], float)
        return Errors(sums=np.stack([wrong_U, np.ones_like(wrong_U)], axis=1))

    def samples(self) -> SampleTable:
        return SampleTable(
            columns=["bits", "parity"],
            noun="rows",
            rows=[
                Sample(
                    name=f"row {place + 1}",
                    source=line.bits,
                    references=[str(line.bits.count("1") % 2)],
                    words=[
                        SampleWord(
                            text=str(line.parity), kind="wrong" if line.is_wrong else "right"
                        )
                    ],
                    cells=[line.bits, str(line.parity)],
                )
                for place, line in enumerate(self.lines)
            ],
        )

    def errors(self, options: ErrorOptions) -> ErrorReport:
        wrong = [line.bits for line in self.lines if line.is_wrong]
        text = "\n".join([f"{options.run}: {len(wrong)} wrong", *wrong[: options.num_examples]])
        return ErrorReport(text=text, picture="none.png")


class AlwaysEven(Baseline):
    """Says even of every row."""

    def __init__(self) -> None:
        pass

    def measure(
        self,
        config: RunConfig,
        corpus: ParityCorpus,
        folder: Path,
        *,
        splits: Sequence[str],
        report: Report | None = None,
    ) -> Outcome:
        del config, report
        stopwatch, metrics = Stopwatch.start(), {}
        for split in splits:
            lines = [
                LabelLine(bits="".join(map(str, row)), parity=0) for row in corpus.splits[split]
            ]
            labels = Labels(header=LabelsHeader(signature=signature()), lines=lines)
            labels.write(folder, split)
            metrics[split] = labels.value()
        return Outcome(
            metrics=metrics,
            metric="error-rate",
            signature=signature(),
            cost=cost_of(stopwatch, num_parameters=self.num_parameters),
        )

    @property
    def num_parameters(self) -> int:
        return 0


def evaluate_backwards(
    suite: Suite,
    runs: Sequence[str],
    settings: Mapping[str, Any],
    *,
    device: Any,
    options: RunOptions,
) -> Record:
    """Read the rows of a finished run from their ends."""
    from toy_domain.objective import ParityObjective

    members = find_members(suite, runs, objectives=["parity"], task="parity", act="read backwards")

    def work(resolved: Any, corpus: Any, folder: Path, **_: Any) -> Outcome:
        del resolved, folder
        stopwatch = Stopwatch.start()
        (model,) = load_members(members, ParityObjective, device=device)
        rows = {name: bits_NT[:, ::-1].copy() for name, bits_NT in corpus.splits.items()}
        model.corpus = replace(model.corpus, splits=rows)
        scores = {split: evaluate(model, split).value for split in ("valid", "test")}
        return Outcome(
            metrics=scores,
            metric="error-rate",
            signature=signature("backwards"),
            cost=cost_of(stopwatch, num_parameters=0),
        )

    assert not settings
    return run(resolve_members(members, "backwards", {}), suite, options, work=work)
