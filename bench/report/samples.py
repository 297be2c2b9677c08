"""Outputs of a task's best runs beside the references: labels, sentences, drawn texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.core.cards import Card
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.domains import load_domain
from bench.report.content import TaskContent, split_label, truncate
from bench.runs.outputs import Outputs, Sample, SampleTable, SampleWord, find_outputs, outputs_class

SPLIT = "test"
MOST_MODELS = 6
NUM_SAMPLES = 6


@dataclass(frozen=True, kw_only=True)
class RunSamples:
    """Samples of one run."""

    name: str
    settings: str
    record: Record
    table: SampleTable


@dataclass(frozen=True, kw_only=True)
class Output:
    """One model's output for an example."""

    name: str
    settings: str
    run_id: str
    words: Sequence[SampleWord]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One example of the test split with the outputs of several models."""

    name: str
    source: str
    reference: str
    outputs: list[Output]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples of a task, or why there are none."""

    samples: list[Example] = field(default_factory=list)
    how: str = ""
    """Sentence on how they were chosen."""
    reference: str = "reference"
    """Heading of the references."""
    why: str = ""
    """Reason where there are none."""
    problems: Sequence[str] = ()

    @property
    def shows_edits(self) -> bool:
        """True where words are marked as wrong, extra or missing."""
        outputs = [output for sample in self.samples for output in sample.outputs]
        return any(word.kind != "right" for output in outputs for word in output.words)


def run_samples(suite: Suite, content: TaskContent) -> tuple[list[RunSamples], list[str]]:
    """Samples of a run of each configuration, the best on test first, and what cannot be read.

    Never of more than `MOST_MODELS`.
    """
    card, known = content.card, load_domain(content.card.kind).outputs
    sign = 1 if card.metric.direction == "min" else -1
    found: list[RunSamples] = []
    problems: list[str] = []
    seen: set[str] = set()
    finished = [r for r in content.records if r.status == "finished" and SPLIT in r.metrics]
    for record in sorted(finished, key=lambda r: (sign * r.metrics[SPLIT], r.id)):
        label = content.label_of(record)
        objective = str(record.config["objective"].get("name", card.objective))
        if objective not in known or label in seen or len(found) == MOST_MODELS:
            continue
        path = outputs_class(card, objective).path(suite.artifacts(record.task, record.id), SPLIT)
        if not path.is_file():
            continue
        try:
            table = find_outputs(suite, record, SPLIT, missing="leave").samples()
        except BenchError as error:
            problems.append(str(error))
            continue
        if table is not None:
            seen.add(label)
            name, settings = split_label(label)
            settings = truncate(settings, 60)
            found.append(RunSamples(name=name, settings=settings, record=record, table=table))
    return found, problems


def samples_of(suite: Suite, content: TaskContent) -> Samples | None:
    """Samples of a task whose runs keep outputs; None for other tasks and those with pictures."""
    domain = load_domain(content.card.kind)
    if not domain.outputs or domain.images or not content.records:
        return None
    found, problems = run_samples(suite, content)
    if not found:
        why = missing_outputs(content.card)
        return Samples(why=why, problems=problems) if why or problems else None
    first = found[0].table
    if not first.paired:
        return Samples(
            samples=[_drawn(run) for run in found],
            how="Texts that the models drew, the first of each.",
            problems=problems,
        )
    places = spread(len(first.rows), NUM_SAMPLES)
    return Samples(
        samples=[_example(found, place) for place in places],
        how=(
            f"{len(places)} {first.noun} evenly spaced over the test split, in its order; "
            "models from the best to the worst, none of them chosen by hand."
        ),
        reference=first.reference,
        problems=problems,
    )


def spread(number: int, wanted: int) -> list[int]:
    """At most `wanted` places of `number`, evenly apart, the first and the last among them."""
    if number <= wanted:
        return list(range(number))
    return [round(i * (number - 1) / (wanted - 1)) for i in range(wanted)]


def _example(found: list[RunSamples], place: int) -> Example:
    first = found[0].table.rows[place]
    return Example(
        name=first.name,
        source=first.source,
        reference=" ".join(first.references),
        outputs=[_output(run, run.table.rows[place]) for run in found],
    )


def _drawn(run: RunSamples) -> Example:
    rows = run.table.rows[:NUM_SAMPLES]
    outputs = [_output(run, row) for row in rows]
    return Example(name=rows[0].name, source="", reference="", outputs=outputs)


def _output(run: RunSamples, sample: Sample) -> Output:
    return Output(name=run.name, settings=run.settings, run_id=run.record.id, words=sample.words)


def missing_outputs(card: Card) -> str:
    """Advice where no run kept its outputs; empty where `bench errors` cannot regenerate them."""
    cls = outputs_class(card, next(iter(load_domain(card.kind).outputs)))
    if cls.errors is Outputs.errors:
        return ""
    return (
        f"No {cls.noun} of these runs are kept here: they lie in artifacts/ of the machine that "
        "made them. `bench errors RUN` regenerates them from the weights."
    )
