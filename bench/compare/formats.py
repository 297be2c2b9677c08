"""Formats of a comparison: text, Markdown, LaTeX, HTML, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from bench.compare.over_seeds import min_permutation_p
from bench.compare.result import (
    Comparison,
    Interval,
    Pair,
    format_alone,
    format_interval,
    format_p,
    format_value,
)
from bench.core.errors import BenchError, nearest
from bench.table import Format
from bench.table.column import Column, mean_std
from bench.table.formats import to_html
from bench.table.markup import Section, escape_markdown, to_latex, to_markdown, to_text

CSV_COLUMNS = (
    "first", "second", "test", "over", "estimate", "std", "n", "n_second", "low", "high", "p",
    "p_holm", "effect_size", "resolvable", "outcome", "detail",
)  # fmt: skip
_TEXT_COLUMNS = ("Model", "Runs", "Pair", "Test", "Details")


def render(comparison: Comparison, format: Format = "text", *, width: int | None = None) -> str:
    """Render the comparison as text that ends with a newline; `width` is that of the terminal."""
    if format not in get_args(Format):
        raise BenchError(f"unknown format {format!r}, {nearest(format, get_args(Format))}")
    if format == "json":
        return json.dumps(msgspec.to_builtins(comparison), indent=2, ensure_ascii=False) + "\n"
    if format == "csv":
        return _to_csv(comparison)
    verdicts = _verdicts(comparison)
    sections = [_measurements(comparison), *_pairs(comparison)]
    notes = _legend(comparison)
    title = f"{comparison.title}: comparison"
    if format == "latex":
        label = f"{comparison.task}-comparison"
        return to_latex(sections, [*verdicts, *notes], title=title, label=label)
    if format == "html":
        return to_html(sections, [*verdicts, *notes], title=title)
    if format == "md":
        paragraphs = "".join(f"{escape_markdown(line)}\n\n" for line in verdicts)
        return paragraphs + to_markdown(sections, notes)
    lines = verdicts if width is None else [textwrap.fill(line, width) for line in verdicts]
    paragraphs = "".join(f"{line}\n\n" for line in lines)
    return paragraphs + to_text(sections, notes, title=title, width=width)


def _verdicts(comparison: Comparison) -> list[str]:
    """One sentence per pair; pairs that could not be tested share one."""
    untested = [pair for pair in comparison.pairs if not pair.tests]
    if len(untested) < 2:
        return [pair.verdict for pair in comparison.pairs]
    return [
        *(pair.verdict for pair in comparison.pairs if pair.tests),
        f"Not tested: {len(untested)} pairs, without two seeds of each or test units of both.",
    ]


def _measurements(comparison: Comparison) -> Section:
    better = "lower" if comparison.direction == "min" else "higher"
    metric, measurements = comparison.metric, comparison.measurements
    return Section(
        title=(
            f"{comparison.split} {metric}, {better} is better; signature `{comparison.signature}`"
        ),
        columns=_columns(
            {
                "Model": [m.label for m in measurements],
                "Measured": [mean_std(m.measured, metric) for m in measurements],
                "n": [str(m.measured.n) for m in measurements],
                "Diverged": [str(m.num_diverged or "") for m in measurements],
                "Over seeds": [format_interval(m.over_seeds, metric) for m in measurements],
                "Over units": [format_interval(m.over_units, metric) for m in measurements],
                "Runs": [m.name for m in measurements],
            }
        ),
    )


def _pairs(comparison: Comparison) -> list[Section]:
    """One line per test; no section for a single subject."""
    rows = [row for pair in comparison.pairs for row in _pair_rows(comparison, pair)]
    if not rows:
        return []
    names = ("Pair", "Difference", "Test", "Interval", "p", "p (Holm)", "g", "Resolves", "Details")
    columns = _columns({name: [row.get(name, "") for row in rows] for name in names})
    return [Section(title="differences, first minus second", columns=columns)]


def _pair_rows(comparison: Comparison, pair: Pair) -> list[dict[str, str]]:
    """Cells by column; those of the pair itself are in the line of its first test."""
    labels = {m.name: m.label for m in comparison.measurements}
    metric = comparison.metric
    rows = [
        {
            "Test": test.name,
            "Interval": format_interval(test.interval, metric),
            "p": _p(test.p),
            "Details": test.detail,
        }
        for test in pair.tests
    ] or [{"Test": "none"}]
    interval = pair.tests[0].interval if pair.tests else None
    rows[0] |= {
        "Pair": f"{labels[pair.first]} - {labels[pair.second]}",
        "Difference": format_value(pair.difference, interval, metric, sign="+"),
        "p (Holm)": _p(pair.p) if _num_tested(comparison) > 1 else "",
        "g": "" if pair.effect_size is None else f"{pair.effect_size:.2f}",
        "Resolves": "" if pair.resolvable is None else format_alone(pair.resolvable, metric),
    }
    return rows


def _p(p: float | None) -> str:
    return "" if p is None else format_p(p).removeprefix("= ")


def _num_tested(comparison: Comparison) -> int:
    return sum(bool(pair.tests) for pair in comparison.pairs)


def _columns(cells: dict[str, list[str]]) -> list[Column]:
    return [
        Column(name=name, cells=column, kind="text" if name in _TEXT_COLUMNS else "number")
        for name, column in cells.items()
        if any(column)
    ]


def _legend(comparison: Comparison) -> list[str]:
    """Explanations of the numbers, and notes on missing ones."""
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
        lines.append(_permutation_note(comparison))
    if any(pair.resolvable is not None for pair in comparison.pairs):
        lines.append(
            f"Resolves: the smallest true difference that so many seeds find with probability "
            f"{comparison.power:g} in the deciding t test at {comparison.level:g}, before Holm's "
            "correction, from the pooled standard deviation."
        )
    if _num_tested(comparison) > 1:
        lines.append(
            "p (Holm): of the first test of each pair, corrected for their number; it decides. "
            "Intervals are for each pair alone."
        )
    return lines + comparison.notes


def _permutation_note(comparison: Comparison) -> str:
    numbers = {m.name: m.measured.n for m in comparison.measurements}
    least = max(
        min_permutation_p(numbers[pair.first], numbers[pair.second])
        for pair in comparison.pairs
        if any(test.name == "permutation" for test in pair.tests)
    )
    line = f"Permutation: of the difference in means over seeds, drawn from seed {comparison.seed}"
    few = f"; so few seeds have no p below {least:.2g}" if least >= comparison.level else ""
    return f"{line}{few}."


def _to_csv(comparison: Comparison) -> str:
    """One line per interval of a mean, then one per test of a difference."""
    file = io.StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*_mean_lines(comparison), *_difference_lines(comparison)])
    return file.getvalue()


def _mean_lines(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for m in comparison.measurements:
        mean = {"first": m.name, "test": "mean", "estimate": m.measured.mean}
        mean |= {"std": m.measured.std, "n": m.measured.n}
        yield {**mean, "over": "seeds", **_ends(m.over_seeds)}
        if m.over_units is not None:
            yield {**mean, "over": "units", **_ends(m.over_units)}


def _difference_lines(comparison: Comparison) -> Iterator[dict[str, Any]]:
    numbers = {m.name: m.measured.n for m in comparison.measurements}
    for pair in comparison.pairs:
        line = {
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
            yield {**line, "test": "none"}
        for test in pair.tests:
            of_test = {"test": test.name, "over": test.over, "p": test.p, "detail": test.detail}
            yield {**line, **of_test, **_ends(test.interval)}


def _ends(interval: Interval | None) -> dict[str, float]:
    return {} if interval is None else {"low": interval.low, "high": interval.high}
