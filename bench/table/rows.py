"""One line of a table: a published number, the runs that measure it, or both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from bench.cards import Metric
from bench.published import PublishedRow, Verified
from bench.structs import Frozen
from bench.table.groups import Group
from bench.table.statistics import Measured, compare, measure

_LOWER = frozenset(("ter", "annotation-median-rank", "search-median-rank"))
_WITHOUT_DIRECTION = frozenset(("copies",))
"""Scores beside the metric that are better when lower, or neither way."""


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


def published_row(published: PublishedRow, group: Group, *, metric: Metric, split: str) -> Row:
    """What was printed beside what was measured."""
    ours = measured_row(group, label=published.label, metric=metric, split=split)
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


def measured_row(group: Group, *, label: str, metric: Metric, split: str) -> Row:
    """Runs that no published number stands beside."""
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
        seconds=_mean([c.seconds for c in cost]),
        tokens_per_sec=_mean([c.tokens_per_sec for c in cost]),
        peak_memory_bytes=_mean([c.peak_memory_bytes for c in cost]),
        unit=cost[0].unit if cost else "token",
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


def _mean(figures: Sequence[float | None]) -> float | None:
    """The mean of the figures that could be read."""
    read = [figure for figure in figures if figure is not None]
    return math.fsum(read) / len(read) if read else None
