"""What models wrote, beside what is right: phones, translated sentences; drawn texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.report.content import TaskContent, split_label, truncate

# Which runs of a task left what they wrote, the best of each configuration first.


SPLIT = "test"
MOST_MODELS = 6
KeptT = TypeVar("KeptT")


@dataclass(frozen=True, kw_only=True)
class Kept(Generic[KeptT]):
    """What one run wrote of the test split."""

    name: str
    settings: str
    record: Record
    outputs: KeptT


def kept_of(
    suite: Suite,
    content: TaskContent,
    path: Callable[[Path, str], Path],
    read: Callable[[Record], KeptT],
) -> tuple[list[Kept[KeptT]], list[str]]:
    """What some configurations wrote, the best on test first, and what cannot be read, in words.

    A run of each configuration; never more than `MOST_MODELS`.
    """
    sign = 1 if content.card.metric.direction == "min" else -1
    found: list[Kept[KeptT]] = []
    problems: list[str] = []
    seen: set[str] = set()
    finished = [r for r in content.records if r.status == "finished" and SPLIT in r.metrics]
    for record in sorted(finished, key=lambda r: (sign * r.metrics[SPLIT], r.id)):
        label = content.label_of(record)
        name, settings = split_label(label)
        there = path(suite.artifacts(record.task, record.id), SPLIT).is_file()
        if not there or label in seen or len(found) == MOST_MODELS:
            continue
        try:
            outputs = read(record)
        except BenchError as error:
            problems.append(str(error))
            continue
        seen.add(label)
        found.append(
            Kept(name=name, settings=truncate(settings, 60), record=record, outputs=outputs)
        )
    return found, problems


def spread(number: int, wanted: int) -> list[int]:
    """At most `wanted` places of `number`, evenly apart, the first and the last among them."""
    if number <= wanted:
        return list(range(number))
    return [round(i * (number - 1) / (wanted - 1)) for i in range(wanted)]


NUM_SAMPLES = 6


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word or a phone; `kind` says how it differs from what is right."""

    text: str
    kind: str = "right"
    """right, wrong, extra or missing."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What one model made of it."""

    name: str
    settings: str
    run_id: str
    words: list[Word]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One example of the test split."""

    name: str
    source: str
    reference: str
    outputs: list[Output]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples of a task, or why there are none."""

    samples: list[Sample] = field(default_factory=list)
    how: str = ""
    """How they were chosen."""
    why: str = ""
    """Why there are none."""
    problems: Sequence[str] = ()


def samples_of(suite: Suite, content: TaskContent) -> Samples | None:
    """Samples of a task whose runs keep what they wrote; None for other tasks."""
    makers: dict[str, Callable[[Suite, TaskContent], Samples]] = {
        "text": _drawn,
        "speech": _recognised,
        "translation": _translated,
    }
    maker = makers.get(content.card.kind)
    if maker is None or not content.records:
        return None
    found = maker(suite, content)
    return found if found.samples or found.why or found.problems else None


def _recognised(suite: Suite, content: TaskContent) -> Samples:
    from bench.speech.metrics import align
    from bench.speech.outputs import Recognitions, kept_recognitions, recognitions_path

    def read(record: Record) -> Recognitions:
        return kept_recognitions(suite, record, SPLIT, missing="leave")

    found, problems = kept_of(suite, content, recognitions_path, read)
    if not found:
        return _none("recognitions", problems)

    def output(kept: Kept[Recognitions], place: int) -> Output:
        line = kept.outputs.lines[place]
        pairs = align(line.reference.split(), line.hypothesis.split())
        words = [_compared(right, heard) for right, heard in pairs]
        return Output(name=kept.name, settings=kept.settings, run_id=kept.record.id, words=words)

    first = found[0].outputs.lines
    samples = [
        Sample(
            name=f"utterance {first[place].utterance}",
            source="",
            reference=first[place].reference,
            outputs=[output(kept, place) for kept in found],
        )
        for place in spread(len(first), NUM_SAMPLES)
    ]
    return Samples(samples=samples, how=_how(len(samples), "utterances"), problems=problems)


def _translated(suite: Suite, content: TaskContent) -> Samples:
    from bench.translation.outputs import Translations, kept_translations, translations_path

    def read(record: Record) -> Translations:
        return kept_translations(suite, record, SPLIT, missing="leave")

    found, problems = kept_of(suite, content, translations_path, read)
    if not found:
        return _none("translations", problems)
    first = found[0].outputs.lines
    samples = [
        Sample(
            name=f"sentence {place + 1}",
            source=first[place].source,
            reference=first[place].reference,
            outputs=[
                Output(
                    name=kept.name,
                    settings=kept.settings,
                    run_id=kept.record.id,
                    words=[Word(text=kept.outputs.lines[place].hypothesis)],
                )
                for kept in found
            ],
        )
        for place in spread(len(first), NUM_SAMPLES)
    ]
    return Samples(samples=samples, how=_how(len(samples), "sentences"), problems=problems)


def _drawn(suite: Suite, content: TaskContent) -> Samples:
    from bench.text.outputs import TextSamples, read_text_samples, text_samples_path

    def read(record: Record) -> TextSamples:
        found = read_text_samples(suite.artifacts(record.task, record.id), SPLIT)
        assert found is not None
        return found

    found, problems = kept_of(suite, content, text_samples_path, read)
    if not found:
        return Samples(problems=problems)
    samples = [
        Sample(
            name=f"Drawn {kept.outputs.header.drawn}",
            source="",
            reference="",
            outputs=[
                Output(
                    name=kept.name,
                    settings=kept.settings,
                    run_id=kept.record.id,
                    words=[Word(text=line.text)],
                )
                for line in kept.outputs.lines[:NUM_SAMPLES]
            ],
        )
        for kept in found
    ]
    return Samples(
        samples=samples, how="Texts that the models drew, the first of each.", problems=problems
    )


def _compared(right: str | None, heard: str | None) -> Word:
    if heard is None:
        return Word(text=right or "", kind="missing")
    if right is None:
        return Word(text=heard, kind="extra")
    return Word(text=heard, kind="right" if right == heard else "wrong")


def _how(number: int, noun: str) -> str:
    return (
        f"{number} {noun} evenly spaced over the test split, in its order; "
        "models from the best to the worst, none of them chosen by hand."
    )


def _none(what: str, problems: Sequence[str]) -> Samples:
    return Samples(
        why=(
            f"No {what} of these runs are kept here: they lie in artifacts/ of the machine that "
            f"made them. `bench errors RUN` makes them again from the weights."
        ),
        problems=problems,
    )
