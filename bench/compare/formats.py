"""Comparisons in the formats of tables: text, Markdown, LaTeX, HTML, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args

import msgspec

from bench.compare.over_seeds import smallest_p
from bench.compare.result import (
    Comparison,
    Interval,
    Measurement,
    Pair,
    Significance,
    decimals,
    shown_alone,
    shown_interval,
    shown_p,
)
from bench.core.errors import BenchError, nearest
from bench.table import Format
from bench.table.column import Column, num_decimals
from bench.table.formats import to_html
from bench.table.markup import Section, escape_markdown, to_latex, to_markdown, to_text

# Comparisons as one flat table for other programs.


COLUMNS = (
    "first", "second", "test", "over", "estimate", "std", "n", "n_second", "low", "high", "p",
    "p_holm", "effect_size", "resolvable", "outcome", "detail",
)  # fmt: skip


def to_csv(comparison: Comparison) -> str:
    """A line for each interval of a mean, then one for each test of a difference."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*_means(comparison), *_differences(comparison)])
    return file.getvalue()


def _means(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for m in comparison.measurements:
        mean = {"first": m.name, "test": "mean", "estimate": m.measured.mean}
        mean |= {"std": m.measured.std, "n": m.measured.n}
        yield {**mean, "over": "seeds", **_ends(m.over_seeds)}
        if m.over_units is not None:
            yield {**mean, "over": "units", **_ends(m.over_units)}


def _differences(comparison: Comparison) -> Iterator[dict[str, Any]]:
    numbers = {m.name: m.measured.n for m in comparison.measurements}
    for pair in comparison.pairs:
        of_pair = {
            "first": pair.first,
            "second": pair.second,
            "n": numbers[pair.first],
            "n_second": numbers[pair.second],
            "estimate": pair.difference,
            "p_holm": pair.p,
            "effect_size": pair.effect_size,
            "resolvable": pair.resolvable,
            "outcome": pair.outcome,
        }
        if not pair.tests:
            yield {**of_pair, "test": "none"}
        for test in pair.tests:
            of_test = {"test": test.name, "over": test.over, "p": test.p, "detail": test.detail}
            yield {**of_pair, **of_test, **_ends(test.interval)}


def _ends(interval: Interval | None) -> dict[str, float]:
    return {} if interval is None else {"low": interval.low, "high": interval.high}


def render(comparison: Comparison, format: Format = "text", *, width: int | None = None) -> str:
    """The comparison as text that ends with a line break; `width` is that of the terminal."""
    if format not in get_args(Format):
        raise BenchError(f"unknown format {format!r}, {nearest(format, get_args(Format))}")
    if format == "json":
        return json.dumps(msgspec.to_builtins(comparison), indent=2, ensure_ascii=False) + "\n"
    if format == "csv":
        return to_csv(comparison)
    verdicts = _verdicts(comparison)
    sections = [_measurements(comparison), *_pairs(comparison)]
    notes = legend(comparison)
    title = f"{comparison.title}: comparison"
    if format == "latex":
        label = f"{comparison.task}-comparison"
        return to_latex(sections, [*verdicts, *notes], title=title, label=label)
    if format == "html":
        return to_html(sections, [*verdicts, *notes], title=title)
    if format == "md":
        said = "".join(f"{escape_markdown(line)}\n\n" for line in verdicts)
        return said + to_markdown(sections, notes)
    said = "".join(f"{_filled(line, width)}\n\n" for line in verdicts)
    return said + to_text(sections, notes, title=title, width=width)


def legend(comparison: Comparison) -> list[str]:
    """How the numbers were made, and which are not there."""
    lines = ["Measured: mean ± standard deviation over n seeds."]
    interval, metric = f"{comparison.confidence:.0%}", comparison.metric.replace("-", " ")
    tests = {test.name for pair in comparison.pairs for test in pair.tests}
    if any(m.over_seeds for m in comparison.measurements) or "one-sample t" in tests:
        lines.append(
            f"Over seeds: {interval} intervals and tests of Student's t (Welch's between groups) "
            f"in {metric}; they say what other seeds would change."
        )
    if comparison.units is not None:
        lines.append(
            f"Over test units: bootstrap of {comparison.units}, {comparison.num_resamples:,} "
            f"resamples from seed {comparison.seed}, percentile {interval} intervals; "
            f"{comparison.method}. All runs are seen on the same resamples; they say what other "
            "text would change, not what other seeds would."
        )
    if "sacreBLEU" in tests:
        lines.append(
            "sacreBLEU: its own paired bootstrap of two runs, whose p is the share of resampled "
            "differences that are further from their mean than the one found is from zero."
        )
    if "permutation" in tests:
        lines.append(_about_permutations(comparison))
    if any(pair.resolvable is not None for pair in comparison.pairs):
        lines.append(
            f"Resolves: the smallest true difference that so many seeds find with probability "
            f"{comparison.power:g} in a two-sided t test at {comparison.level:g}, from the pooled "
            "standard deviation."
        )
    if sum(bool(pair.tests) for pair in comparison.pairs) > 1:
        lines.append(
            "p (Holm): of the first test of each pair, corrected for their number; it decides. "
            "Intervals are for each pair alone."
        )
    return lines + comparison.notes


def _verdicts(comparison: Comparison) -> list[str]:
    """A sentence on each pair; pairs that could not be tested share one."""
    untested = [pair for pair in comparison.pairs if not pair.tests]
    if len(untested) < 2:
        return [pair.verdict for pair in comparison.pairs]
    return [
        *(pair.verdict for pair in comparison.pairs if pair.tests),
        f"Not tested: {len(untested)} pairs, without two seeds of each or test units of both.",
    ]


def _about_permutations(comparison: Comparison) -> str:
    numbers = {m.name: m.measured.n for m in comparison.measurements}
    least = max(
        smallest_p(numbers[pair.first], numbers[pair.second])
        for pair in comparison.pairs
        if any(test.name == "permutation" for test in pair.tests)
    )
    line = f"Permutation: of the difference in means over seeds, drawn from seed {comparison.seed}"
    few = f"; so few seeds have no p below {least:.2g}" if least >= comparison.level else ""
    return f"{line}{few}."


def _measurements(comparison: Comparison) -> Section:
    better = "lower" if comparison.direction == "min" else "higher"
    return Section(
        title=(
            f"{comparison.split} {comparison.metric}, {better} is better; "
            f"signature `{comparison.signature}`"
        ),
        columns=_columns(
            {
                "Model": [m.label for m in comparison.measurements],
                "Measured": [_measured(m, comparison.metric) for m in comparison.measurements],
                "n": [str(m.measured.n) for m in comparison.measurements],
                "Diverged": [str(m.num_diverged or "") for m in comparison.measurements],
                "Over seeds": [_range(m.over_seeds, comparison) for m in comparison.measurements],
                "Over units": [_range(m.over_units, comparison) for m in comparison.measurements],
                "Runs": [m.name for m in comparison.measurements],
            }
        ),
    )


def _pairs(comparison: Comparison) -> list[Section]:
    """One line a test, or none where only one thing was named."""
    labels = {m.name: m.label for m in comparison.measurements}
    none: list[Significance | None] = [None]
    lines = [(pair, test) for pair in comparison.pairs for test in pair.tests or none]
    if not lines:
        return []
    first = [test is None or test is pair.tests[0] for pair, test in lines]
    metric = comparison.metric

    def of_first(values: list[str]) -> list[str]:
        return [value if is_first else "" for value, is_first in zip(values, first, strict=True)]

    corrected = sum(bool(pair.tests) for pair in comparison.pairs) > 1
    columns = {
        "Pair": of_first([f"{labels[pair.first]} - {labels[pair.second]}" for pair, _ in lines]),
        "Difference": of_first([_difference(pair, metric) for pair, _ in lines]),
        "Test": [test.name if test else "none" for _, test in lines],
        "Interval": [_range(test.interval, comparison) if test else "" for _, test in lines],
        "p": [_p(test.p) if test else "" for _, test in lines],
        "p (Holm)": of_first([_p(pair.p) if corrected else "" for pair, _ in lines]),
        "g": of_first([_number(pair.effect_size, ".2f") for pair, _ in lines]),
        "Resolves": of_first(
            ["" if p.resolvable is None else shown_alone(p.resolvable, metric) for p, _ in lines]
        ),
        "Details": [test.detail if test else "" for _, test in lines],
    }
    return [Section(title="differences, first minus second", columns=_columns(columns))]


def _columns(cells: dict[str, list[str]]) -> list[Column]:
    texts = ("Model", "Runs", "Pair", "Test", "Details")
    kinds: dict[str, Literal["text", "number"]] = dict.fromkeys(texts, "text")
    return [
        Column(name=name, cells=column, kind=kinds.get(name, "number"))
        for name, column in cells.items()
        if any(column)
    ]


def _measured(measurement: Measurement, metric: str) -> str:
    measured = measurement.measured
    digits = num_decimals(measured.std, metric)
    mean = f"{measured.mean:.{digits}f}"
    return mean if measured.std is None else f"{mean} ± {measured.std:.{digits}f}"


def _difference(pair: Pair, metric: str) -> str:
    interval = pair.tests[0].interval if pair.tests else None
    return f"{pair.difference:+.{decimals(interval, metric)}f}"


def _range(interval: Interval | None, comparison: Comparison) -> str:
    return shown_interval(interval, comparison.metric)


def _p(p: float | None) -> str:
    return "" if p is None else shown_p(p).removeprefix("= ")


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _filled(line: str, width: int | None) -> str:
    return line if width is None else textwrap.fill(line, width)
