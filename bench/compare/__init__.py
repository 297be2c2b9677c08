"""Comparison of runs and groups of seeds, with intervals and significance tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from msgspec.structs import replace

from bench.compare.formats import render
from bench.compare.over_seeds import POWER
from bench.compare.over_units import Difference, bootstrap_units, min_bootstrap_p
from bench.compare.pairs import Resampling, compare_pairs
from bench.compare.reading import Reading, read_units
from bench.compare.result import Comparison, Interval, Measurement, Pair, Significance, verdict
from bench.compare.subjects import Subject, find_subjects
from bench.core.errors import BenchError
from bench.core.statistics import CONFIDENCE, LEVEL, measure
from bench.core.suite import Suite
from bench.runs.outputs import Missing, Units

__all__ = [
    "Comparison",
    "Interval",
    "Measurement",
    "Missing",
    "Pair",
    "Reading",
    "Resampling",
    "Significance",
    "Units",
    "compare",
    "render",
]


def compare(
    suite: Suite,
    names: Sequence[str],
    *,
    task: str | None = None,
    reading: Reading | None = None,
    resampling: Resampling | None = None,
) -> Comparison:
    """Compare runs, groups and rows of one task; see `find_subjects` for their names.

    Raises BenchError for unknown names, for two tasks or two metric signatures, and for invalid
    settings. Missing test units are a note, not an error.
    """
    reading, resampling = reading or Reading(split="test"), resampling or Resampling()
    _check_settings(names, reading, resampling)
    subjects, notes = find_subjects(suite, names, task=task, split=reading.split)
    units, missing = _all_units(suite, subjects, reading)
    intervals, differences = _bootstrap(units, resampling)
    card = suite.card(subjects[0].finished[0].task)
    comparison = Comparison(
        task=card.task,
        title=card.title,
        metric=subjects[0].finished[0].metric,
        direction=card.metric.direction,
        signature=subjects[0].finished[0].signature,
        split=reading.split,
        confidence=CONFIDENCE,
        level=LEVEL,
        power=POWER,
        num_resamples=resampling.num_resamples,
        seed=resampling.seed,
        units=next((runs[0].noun for runs in units.values()), None),
        method=next((runs[0].method for runs in units.values()), None),
        measurements=[
            _measurement(subject, intervals.get(i), reading.split)
            for i, subject in enumerate(subjects)
        ],
        pairs=compare_pairs(
            subjects,
            differences,
            split=reading.split,
            direction=card.metric.direction,
            resampling=resampling,
        ),
        notes=[*notes, *missing, *_cautions(units)],
    )
    return replace(
        comparison,
        pairs=[replace(pair, verdict=verdict(comparison, pair)) for pair in comparison.pairs],
        notes=[*comparison.notes, *_too_few_resamples(comparison)],
    )


def _check_settings(names: Sequence[str], reading: Reading, resampling: Resampling) -> None:
    if not names:
        raise BenchError("name runs or groups, as in `bench compare lstm-9d0e srn-5f6a`")
    if resampling.num_resamples < 100:
        raise BenchError(f"--resamples {resampling.num_resamples}: give 100 or more")
    if resampling.seed < 0:
        raise BenchError(f"--seed {resampling.seed}: give 0 or more")
    if reading.block_length is not None and reading.block_length < 1:
        raise BenchError(f"--block-length {reading.block_length}: give 1 token or more")


def _cautions(units: Mapping[int, Sequence[Units]]) -> list[str]:
    """Remarks of the units on their own resampling, each once."""
    found = (getattr(each, "caution", None) for group in units.values() for each in group)
    return list(dict.fromkeys(caution for caution in found if caution))


def _too_few_resamples(comparison: Comparison) -> list[str]:
    """Note that no bootstrap can be significant after correction, if so."""
    tested = [pair.tests[0] for pair in comparison.pairs if pair.tests]
    least = min_bootstrap_p(comparison.num_resamples) * len(tested)
    if least < LEVEL or all(test.over == "seeds" for test in tested):
        return []
    return [
        f"{comparison.num_resamples:,} resamples and {len(tested)} comparisons leave no p below "
        f"{min(1.0, least):.2g}: give more --resamples"
    ]


def _all_units(
    suite: Suite, subjects: Sequence[Subject], reading: Reading
) -> tuple[dict[int, list[Units]], list[str]]:
    """Units of the runs by index of the subject, and notes on subjects without units."""
    units: dict[int, list[Units]] = {}
    reasons: dict[str, list[str]] = {}
    for i, subject in enumerate(subjects):
        try:
            units[i] = read_units(suite, subject, reading)
        except BenchError as error:
            reasons.setdefault(str(error), []).append(subject.name)
    missing = [f"No test units of {', '.join(who)}: {why}." for why, who in reasons.items()]
    return units, missing


def _bootstrap(
    units: dict[int, list[Units]], resampling: Resampling
) -> tuple[dict[int, Interval], dict[tuple[int, int], Difference]]:
    """Bootstrap intervals by index of the subject, and differences by pair of indices."""
    if not units:
        return {}, {}
    intervals, differences = bootstrap_units(
        list(units.values()),
        list(combinations(range(len(units)), 2)),
        num_resamples=resampling.num_resamples,
        seed=resampling.seed,
    )
    by_pair = zip(combinations(units, 2), differences, strict=True)
    return dict(zip(units, intervals, strict=True)), dict(by_pair)


def _measurement(subject: Subject, over_units: Interval | None, split: str) -> Measurement:
    measured = measure(subject.values(split))
    low, high = measured.interval()
    return Measurement(
        name=subject.name,
        label=subject.label,
        runs=[record.id for record in subject.finished],
        seedless=subject.is_seedless,
        num_diverged=subject.num_diverged,
        measured=measured,
        over_seeds=Interval(low=low, high=high) if measured.std is not None else None,
        over_units=over_units,
    )
