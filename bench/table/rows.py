"""Rows of a table: a published value, the runs that measure it, or both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from bench.core.cards import Metric
from bench.core.published import PublishedRow, Verified
from bench.core.statistics import LEVEL, Measured, compare, measure
from bench.core.structs import Frozen
from bench.table.groups import Group

_LOWER_IS_BETTER = frozenset(("ter", "annotation-median-rank", "search-median-rank"))
_WITHOUT_DIRECTION = frozenset(("copies",))
_COSTS = (
    "num_parameters", "flops_per_token", "counted_flops_per_token", "flops", "seconds",
    "tokens_per_sec", "share_of_limit", "peak_memory_bytes", "energy_joules",
)  # fmt: skip
"""Fields of `Cost` that a row averages over its runs."""


class PairwiseTest(Frozen, frozen=True, kw_only=True):
    """Test of a row's measured mean against that of another row."""

    against: str
    """Label of the other row."""
    over: Literal["seeds", "units"]
    p: float
    """Two-sided, with Holm's correction for the number of tested rows."""

    @property
    def is_significant(self) -> bool:
        return self.p < LEVEL


class TimeToTarget(Frozen, frozen=True, kw_only=True):
    """Training time until the validation metric reached a target."""

    value: float
    seconds: float | None
    """Mean over the runs that reached it."""
    num_reached: int
    num_timed: int
    """Runs whose records time their validations."""


class Row(Frozen, frozen=True, kw_only=True):
    """One row; the order of the fields is that of the keys in JSON."""

    label: str
    model: str | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    """Configuration without the seed; the published row's `match` if nothing was run."""
    metric: str
    published: int | float | None = None
    measured: Measured | None = None
    difference: float | None = None
    """Measured mean minus published value."""
    protocol: str | None = None
    """Protocol of the published value."""
    verified: Verified | None = None
    verdict: str
    """Verdict of `compare`, or one of: not run, diverged, not published, bound, no SPLIT."""
    rank: Literal["best", "tied"] | None = None
    """Best measured mean of a signature, or tied with it; see `rank_rows`."""
    records: list[str] = msgspec.field(default_factory=list)
    signature: str | None = None
    split: str
    bound: float | None = None
    excess: float | None = None
    """Distance of the measured mean from the bound, positive on the worse side."""
    cite: str | None = None
    where: str | None = None
    why: str | None = None
    """Reason why a published row is not measured."""
    num_diverged: int = 0
    num_parameters: float | None = None
    flops_per_token: float | None = None
    seconds: float | None = None
    tokens_per_sec: float | None = None
    peak_memory_bytes: float | None = None
    beside: dict[str, Measured] = msgspec.field(default_factory=dict)
    """Signature -> measured secondary score; each has its own column."""
    published_beside: dict[str, int | float] = msgspec.field(default_factory=dict)
    """Score -> published secondary value."""
    unit: str = "token"
    """Unit that `tokens_per_sec` and `flops_per_token` count in."""
    flops: float | None = None
    counted_flops_per_token: float | None = None
    share_of_limit: float | None = None
    energy_joules: float | None = None
    target: TimeToTarget | None = None
    tested: PairwiseTest | None = None


def score_name(signature: str) -> str:
    """Name of the score that a signature such as `bleu|case:mixed` defines."""
    return signature.partition("|")[0]


def unmeasured_row(published: PublishedRow, *, metric: Metric, split: str) -> Row:
    """Row of a published value that no run measures."""
    match = published.match or {}
    return Row(
        label=published.label,
        model=match.get("model.name"),
        config=match,
        metric=metric.name,
        verdict="not run",
        split=split,
        why=published.why,
        **_published_fields(published, split),
    )


def published_row(
    published: PublishedRow,
    group: Group,
    *,
    metric: Metric,
    split: str,
    target: float | None = None,
) -> Row:
    """Row of a published value and the runs that measure it."""
    ours = measured_row(group, label=published.label, metric=metric, split=split, target=target)
    row = replace(ours, **_published_fields(published, split))
    if row.measured is None:
        return row
    if row.published is None:
        return replace(row, verdict=_secondary_verdict(row) or row.verdict)
    verdict = compare(
        row.published, row.measured, direction=metric.direction, protocol=published.protocol
    )
    return replace(row, difference=row.measured.mean - row.published, verdict=verdict)


def measured_row(
    group: Group, *, label: str, metric: Metric, split: str, target: float | None = None
) -> Row:
    """Row of runs without a published value; `target` is a value on the validation split."""
    values = group.values(split)
    measured = measure(values) if values else None
    bounds = {record.bound for record in group.finished if split == "test"} - {None}
    bound = min(bounds, default=None, key=lambda bound: bound or 0.0)
    excess = None
    if bound is not None and measured is not None:
        excess = (measured.mean - bound) * (1 if metric.direction == "min" else -1)
    costs: dict[str, Any] = {
        name: _mean([getattr(record.cost, name) for record in group.finished]) for name in _COSTS
    }
    return Row(
        label=label,
        model=group.model,
        config=group.config,
        metric=group.metric,
        measured=measured,
        verdict="not published" if measured else "diverged" if group.diverged else f"no {split}",
        records=[record.id for record in (*group.finished, *group.diverged)],
        signature=group.signature,
        split=split,
        bound=bound,
        excess=excess,
        num_diverged=len(group.diverged),
        unit=group.finished[0].cost.unit if group.finished else "token",
        target=None if target is None else _time_to_target(group, target, metric),
        beside={name: measure(found) for name, found in group.secondary_values(split).items()},
        **costs,
    )


def bound_rows(rows: Sequence[Row]) -> list[Row]:
    """One row per bound: a single one unless the corpus itself was varied."""
    first = {row.bound: row for row in reversed(rows) if row.bound is not None}
    return [
        Row(
            label="bound (the generator's own)",
            metric=row.metric,
            verdict="bound",
            signature=row.signature,
            split=row.split,
            bound=bound,
            excess=0.0,
        )
        for bound, row in sorted(first.items())
    ]


def _published_fields(published: PublishedRow, split: str) -> dict[str, Any]:
    return {
        "published": published.metrics.get(split),
        "protocol": published.protocol,
        "verified": published.verified,
        "cite": published.cite,
        "where": published.where,
        "published_beside": published.secondary_scores(split),
    }


def _secondary_verdict(row: Row) -> str | None:
    """Verdict on the last secondary score that is published and measured, with its name."""
    for name, value in reversed(row.published_beside.items()):
        for signature, measured in row.beside.items():
            if score_name(signature) == name and name not in _WITHOUT_DIRECTION:
                direction: Literal["min", "max"] = "min" if name in _LOWER_IS_BETTER else "max"
                protocol = row.protocol or "same"
                verdict = compare(value, measured, direction=direction, protocol=protocol)
                return verdict if row.protocol != "same" else f"{name}: {verdict}"
    return None


def _time_to_target(group: Group, target: float, metric: Metric) -> TimeToTarget:
    timed = [record for record in group.finished if record.cost.seconds_by_point]
    seconds = [record.seconds_to(target, metric.direction) for record in timed]
    return TimeToTarget(
        value=target,
        seconds=_mean(seconds),
        num_reached=sum(value is not None for value in seconds),
        num_timed=len(timed),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are not None."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
