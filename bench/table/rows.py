"""One line of a table: a published number, the runs that measure it, or both."""

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

_LOWER = frozenset(("ter", "annotation-median-rank", "search-median-rank"))
_WITHOUT_DIRECTION = frozenset(("copies",))
"""Scores beside the metric that are better when lower, or neither way."""


class Contrast(Frozen, frozen=True, kw_only=True):
    """A test of the measured mean against that of another row."""

    against: str
    """Label of the other row."""
    over: Literal["seeds", "units"]
    p: float
    """Two-sided, after Holm's correction for the number of rows that were tested."""

    @property
    def is_apart(self) -> bool:
        return self.p < LEVEL


class Reached(Frozen, frozen=True, kw_only=True):
    """How long training took until a validation was as good as a target."""

    value: float
    seconds: float | None
    """The mean over the runs that reached it."""
    num_reached: int
    num_timed: int
    """Runs that say when their validations were."""


class Row(Frozen, frozen=True, kw_only=True):
    """One line; the fields in this order are the keys of its JSON."""

    label: str
    model: str | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    """What was run, but for the seed; the row's `match` where nothing was."""
    metric: str
    published: int | float | None = None
    measured: Measured | None = None
    difference: float | None = None
    """Measured mean minus published."""
    protocol: str | None = None
    """That of the published number."""
    verified: Verified | None = None
    verdict: str
    """That of `compare`, or: not run, diverged, not published, bound."""
    rank: Literal["best", "tied"] | None = None
    """Of the measured means of one signature: the best, and what ties with it; see `rank`."""
    records: list[str] = msgspec.field(default_factory=list)
    signature: str | None = None
    split: str
    bound: float | None = None
    excess: float | None = None
    """How far the measured mean is from the bound, positive on the worse side."""
    cite: str | None = None
    where: str | None = None
    why: str | None = None
    """Why a published row is not measured."""
    num_diverged: int = 0
    num_parameters: float | None = None
    flops_per_token: float | None = None
    seconds: float | None = None
    tokens_per_sec: float | None = None
    peak_memory_bytes: float | None = None
    beside: dict[str, Measured] = msgspec.field(default_factory=dict)
    """Signature -> what else was measured of the same outputs; a column each."""
    published_beside: dict[str, int | float] = msgspec.field(default_factory=dict)
    """Score -> what else was printed."""
    unit: str = "token"
    """What `tokens_per_sec` and `flops_per_token` count."""
    flops: float | None = None
    counted_flops_per_token: float | None = None
    share_of_limit: float | None = None
    energy_joules: float | None = None
    target: Reached | None = None
    tested: Contrast | None = None


def unmeasured_row(published: PublishedRow, *, metric: Metric, split: str) -> Row:
    """What was printed, before anything has been run for it."""
    match = published.match or {}
    return Row(
        label=published.label,
        model=match.get("model.name"),
        config=match,
        metric=metric.name,
        published=published.metrics.get(split),
        protocol=published.protocol,
        verified=published.verified,
        verdict="not run",
        split=split,
        cite=published.cite,
        where=published.where,
        why=published.why,
        published_beside=published.beside_of(split),
    )


def published_row(
    published: PublishedRow,
    group: Group,
    *,
    metric: Metric,
    split: str,
    target: float | None = None,
) -> Row:
    """What was printed beside what was measured."""
    ours = measured_row(group, label=published.label, metric=metric, split=split, target=target)
    row = replace(
        ours,
        published=published.metrics.get(split),
        protocol=published.protocol,
        verified=published.verified,
        cite=published.cite,
        where=published.where,
        published_beside=published.beside_of(split),
    )
    if row.measured is None:
        return row
    if row.published is None:
        return replace(row, verdict=_verdict_beside(row) or row.verdict)
    verdict = compare(
        row.published, row.measured, direction=metric.direction, protocol=published.protocol
    )
    return replace(row, difference=row.measured.mean - row.published, verdict=verdict)


def _verdict_beside(row: Row) -> str | None:
    """The verdict on the last score that was both printed and measured, with its name."""
    for name, value in reversed(row.published_beside.items()):
        for signature, measured in row.beside.items():
            if signature.partition("|")[0] == name and name not in _WITHOUT_DIRECTION:
                direction: Literal["min", "max"] = "min" if name in _LOWER else "max"
                verdict = compare(
                    value, measured, direction=direction, protocol=row.protocol or "same"
                )
                return verdict if row.protocol != "same" else f"{name}: {verdict}"
    return None


def measured_row(
    group: Group, *, label: str, metric: Metric, split: str, target: float | None = None
) -> Row:
    """Runs that no published number stands beside; `target` is one of validation."""
    values = group.values(split)
    measured = measure(values) if values else None
    bounds = {record.bound for record in group.finished if split == "test"} - {None}
    bound = min(bounds, default=None, key=lambda bound: bound or 0.0)
    excess = None
    if bound is not None and measured is not None:
        excess = (measured.mean - bound) * (1 if metric.direction == "min" else -1)
    cost = [record.cost for record in group.finished]
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
        num_parameters=_mean([c.num_parameters for c in cost]),
        flops_per_token=_mean([c.flops_per_token for c in cost]),
        counted_flops_per_token=_mean([c.counted_flops_per_token for c in cost]),
        flops=_mean([c.flops for c in cost]),
        seconds=_mean([c.seconds for c in cost]),
        tokens_per_sec=_mean([c.tokens_per_sec for c in cost]),
        share_of_limit=_mean([c.share_of_limit for c in cost]),
        peak_memory_bytes=_mean([c.peak_memory_bytes for c in cost]),
        energy_joules=_mean([c.energy_joules for c in cost]),
        unit=cost[0].unit if cost else "token",
        target=None if target is None else _reached(group, target, metric),
        beside={name: measure(found) for name, found in group.beside(split).items()},
    )


def bound_rows(rows: Sequence[Row]) -> list[Row]:
    """A row for each bound that `rows` have: one, unless the corpus itself was varied."""
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


def _reached(group: Group, target: float, metric: Metric) -> Reached:
    timed = [record for record in group.finished if record.cost.seconds_by_point]
    taken = [record.seconds_to(target, metric.direction) for record in timed]
    return Reached(
        value=target,
        seconds=_mean(taken),
        num_reached=sum(seconds is not None for seconds in taken),
        num_timed=len(timed),
    )


def _mean(figures: Sequence[float | None]) -> float | None:
    """The mean of the figures that could be read."""
    read = [figure for figure in figures if figure is not None]
    return math.fsum(read) / len(read) if read else None
