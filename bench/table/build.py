"""Tables of one task: published rows matched to groups of records, with verdicts and ranks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from bench.core.cards import Card
from bench.core.published import PublishedRow
from bench.core.record import Record
from bench.core.statistics import LEVEL, holm, welch
from bench.core.structs import Frozen
from bench.table.groups import (
    Group,
    base_label,
    choices_label,
    difference_label,
    group_records,
    matches,
    preference_key,
)
from bench.table.rows import Row, bound_rows, measured_row, published_row, unmeasured_row

MIN_SEEDS = 2
"""Fewest seeds of a ranked row: one has no standard deviation to test a difference against."""


class Table(Frozen, frozen=True, kw_only=True):
    """All rows of a task in blocks, one per metric signature."""

    task: str
    title: str
    metric: str
    direction: Literal["min", "max"]
    split: str
    blocks: list[list[Row]]
    """Main signature first; it includes the published rows that nothing measures."""
    num_left_out: int = 0
    """Records of other versions of the card."""

    @property
    def rows(self) -> list[Row]:
        """Rows of all blocks."""
        return [row for block in self.blocks for row in block]


def build_table(
    card: Card,
    published: Sequence[PublishedRow],
    records: Iterable[Record],
    *,
    split: str = "test",
    target: float | None = None,
) -> Table:
    """Build the table of `card` from published rows and records.

    Records that agree in everything but the seed form a group. A published row is filled by the
    group that contains its `match`; of several, by the one nearest the card's recipe (fewest
    choices of the caller), then by the best validation. The others, and groups that match nothing,
    are rows of their own, labelled by what differs. With a `target` the rows have the training time
    until a validation was as good.
    """
    of_task = [record for record in records if record.task == card.task]
    current = [record for record in of_task if record.card_version == card.version]
    direction = card.metric.direction
    main, assignments = assign_groups(published, group_records(current), direction=direction)
    blocks: dict[str | None, list[Row]] = {main: []}
    for found in assignments:
        for row in _rows(found, card, split, target):
            blocks.setdefault(row.signature or main, []).append(row)
    for signature, block in blocks.items():
        blocks[signature] = [*rank_rows(block, direction=direction), *bound_rows(block)]
    return Table(
        task=card.task,
        title=card.title,
        metric=card.metric.name,
        direction=direction,
        split=split,
        blocks=[blocks[key] for key in sorted(blocks, key=lambda key: (key != main, str(key)))],
        num_left_out=len(of_task) - len(current),
    )


def measured_rows(table: Table) -> Table:
    """Copy of the table without the rows that nothing measures."""
    return _filter_rows(table, lambda row: row.measured is not None)


def published_rows(table: Table) -> Table:
    """Copy of the table with only the measured published rows and the bounds, ranked anew."""
    alone = _filter_rows(measured_rows(table), lambda row: row.where is not None)
    blocks = [[replace(row, rank=None) for row in block] for block in alone.blocks]
    return replace(alone, blocks=[rank_rows(block, direction=table.direction) for block in blocks])


def _filter_rows(table: Table, is_kept: Callable[[Row], bool]) -> Table:
    """Copy of the table with the rows to keep, and with the bounds of blocks that have any."""
    blocks = []
    for block in table.blocks:
        kept = [row for row in block if is_kept(row)]
        bounds = [row for row in block if row.verdict == "bound"]
        blocks.append([*kept, *bounds] if kept else [])
    return replace(table, blocks=blocks)


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A published row, or a model without one, and its groups."""

    row: PublishedRow | None
    first: Group | None
    """Group that represents the row."""
    others: list[Group]
    """Groups that differ from it in settings."""


def assign_groups(
    rows: Sequence[PublishedRow], groups: Sequence[Group], *, direction: Literal["min", "max"]
) -> tuple[str | None, list[Assignment]]:
    """Assign groups to published rows, and the remaining ones to their models.

    Returns the main signature and the assignments, those of published rows first. Every group is
    in at least one assignment and among the `others` of at most one.
    """
    by_model: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_model[group.model].append(group)
    matching = [_matching_groups(row, by_model) for row in rows]
    main = _main_signature(matching, groups)

    def ordered(found: list[Group], given: Sequence[str]) -> list[Group]:
        def key(group: Group) -> tuple[bool, bool, int, float]:
            return preference_key(group, given=given, direction=direction, signature=main)

        return sorted(found, key=key)

    orders = [
        ordered(found, list(row.match or ())) for row, found in zip(rows, matching, strict=True)
    ]
    placed = {order[0] for order in orders if order}
    assignments: list[Assignment] = []
    for row, order in zip(rows, orders, strict=True):
        others = [group for group in order[1:] if group not in placed]
        placed.update(others)
        assignments.append(Assignment(row=row, first=order[0] if order else None, others=others))
    unpublished: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        if group not in placed:
            unpublished[base_label(group), group.signature].append(group)
    for _, found in sorted(unpublished.items()):
        first, *others = ordered(found, ())
        assignments.append(Assignment(row=None, first=first, others=others))
    return main, assignments


def _matching_groups(row: PublishedRow, by_model: dict[str, list[Group]]) -> list[Group]:
    if row.match is None:
        return []
    found = by_model.get(str(row.match["model.name"]), [])
    return [group for group in found if matches(group, row.match)]


def _main_signature(matching: list[list[Group]], groups: Sequence[Group]) -> str | None:
    """Signature that measures most published rows; of several, the one nearest the recipes."""
    num_rows = Counter(s for found in matching for s in {group.signature for group in found})
    num_runs: Counter[str] = Counter()
    num_choices: dict[str, int] = {}
    for group in groups:
        num_runs[group.signature] += len(group.finished)
        known = num_choices.get(group.signature, len(group.choices))
        num_choices[group.signature] = min(known, len(group.choices))
    return min(
        num_choices,
        key=lambda s: (-num_rows[s], num_choices[s], -num_runs[s], s),
        default=None,
    )


def _rows(assignment: Assignment, card: Card, split: str, target: float | None) -> list[Row]:
    published, first, metric = assignment.row, assignment.first, card.metric
    if first is None:
        assert published is not None
        return [unmeasured_row(published, metric=metric, split=split)]
    if published is None:
        label = base_label(first)
        full = "; ".join(filter(None, (label, choices_label(first))))
        rows = [measured_row(first, label=full, metric=metric, split=split, target=target)]
    else:
        label = published.label
        rows = [published_row(published, first, metric=metric, split=split, target=target)]
    for group in assignment.others:
        full = f"{label}; {difference_label(group, first)}"
        rows.append(measured_row(group, label=full, metric=metric, split=split, target=target))
    return rows


def rank_rows(block: Sequence[Row], *, direction: Literal["min", "max"]) -> list[Row]:
    """Mark the best measured mean of one signature and the means tied with it.

    Tied: Welch's t between the means has p >= `LEVEL` after Holm's correction for as many
    comparisons as there are other configurations. Rows of fewer than `MIN_SEEDS` seeds take no
    part; with fewer than two rows left, nothing is marked.
    """
    ranked = {tuple(row.records): row.measured for row in block if is_ranked(row) and row.measured}
    if len(ranked) < 2:
        return list(block)
    best = min(ranked, key=lambda key: ranked[key].mean * (1 if direction == "min" else -1))
    others = [key for key in ranked if key != best]
    tests = (welch(ranked[best], ranked[key]) for key in others)
    p_values = holm([p for p in tests if p is not None])
    ranks: dict[tuple[str, ...], Literal["best", "tied"]] = {best: "best"}
    ranks |= {key: "tied" for key, p in zip(others, p_values, strict=True) if p >= LEVEL}
    return [replace(row, rank=ranks.get(tuple(row.records), row.rank)) for row in block]


def is_ranked(row: Row) -> bool:
    """Test whether the row has enough seeds to be ranked."""
    return row.measured is not None and row.measured.n >= MIN_SEEDS


def num_better_unranked(block: Sequence[Row], *, direction: Literal["min", "max"]) -> int:
    """Number of unranked rows with a better value than the marked best one."""
    best = next((row.measured.mean for row in block if row.rank == "best" and row.measured), None)
    if best is None:
        return 0
    values = [row.measured.mean for row in block if row.measured and not is_ranked(row)]
    return sum(value < best if direction == "min" else value > best for value in values)
