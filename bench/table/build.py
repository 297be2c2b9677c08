"""Tables: published rows and records of one task, set side by side."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from bench.core.cards import Card
from bench.core.published import PublishedRow
from bench.core.record import Record
from bench.core.statistics import LEVEL, Measured, holm, welch
from bench.core.structs import Frozen
from bench.table.groups import (
    Group,
    base_label,
    chosen_label,
    difference_label,
    group_records,
    matches,
    preference,
)
from bench.table.rows import Row, bound_rows, measured_row, published_row, unmeasured_row

# Which group of runs stands for which published row.


@dataclass(frozen=True, kw_only=True)
class Family:
    """Groups that go by one name; the first stands for it, the others differ in settings."""

    row: PublishedRow | None
    first: Group | None
    others: list[Group]


def assign(
    rows: Sequence[PublishedRow], groups: Sequence[Group], *, direction: Literal["min", "max"]
) -> tuple[str | None, list[Family]]:
    """The main signature, and a family for each row and then for each model without one.

    Every group is in at least one family, and it is one of the `others` at most once.
    """
    by_model: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_model[group.model].append(group)
    matching = [_matching(row, by_model) for row in rows]
    main = _main_signature(matching, groups)

    def ranked(found: list[Group], given: Sequence[str]) -> list[Group]:
        def rank(group: Group) -> tuple[bool, bool, int, float]:
            return preference(group, given=given, direction=direction, signature=main)

        return sorted(found, key=rank)

    orders = [
        ranked(found, list(row.match or ())) for row, found in zip(rows, matching, strict=True)
    ]
    placed = {order[0] for order in orders if order}
    families: list[Family] = []
    for row, order in zip(rows, orders, strict=True):
        others = [group for group in order[1:] if group not in placed]
        placed.update(others)
        families.append(Family(row=row, first=order[0] if order else None, others=others))
    unpublished: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        if group not in placed:
            unpublished[base_label(group), group.signature].append(group)
    for _, found in sorted(unpublished.items()):
        first, *others = ranked(found, ())
        families.append(Family(row=None, first=first, others=others))
    return main, families


def _matching(row: PublishedRow, by_model: dict[str, list[Group]]) -> list[Group]:
    if row.match is None:
        return []
    found = by_model.get(str(row.match["model.name"]), [])
    return [group for group in found if matches(group, row.match)]


def _main_signature(matching: list[list[Group]], groups: Sequence[Group]) -> str | None:
    """The signature that measures most published rows; then the one nearest the recipes."""
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


# Which measured rows are the best of their block, ties with them included.


LEAST_SEEDS = 2
"""Fewer have no spread, and without one nobody can say what a difference is worth."""


def rank(block: Sequence[Row], *, direction: Literal["min", "max"]) -> list[Row]:
    """The rows of one signature with the best measured mean marked, and all that tie with it.

    Tied: Welch's t between the means has p >= `LEVEL` after Holm's correction for as many
    comparisons as there are other configurations. Rows of fewer than `LEAST_SEEDS` seeds take no
    part; where fewer than two rows remain, nothing is marked.
    """
    ranked = {tuple(row.records): row.measured for row in block if is_ranked(row) and row.measured}
    if len(ranked) < 2:
        return list(block)
    best = min(ranked, key=lambda key: ranked[key].mean * (1 if direction == "min" else -1))
    others = [key for key in ranked if key != best]
    p_values = holm([_p(ranked[best], ranked[key]) for key in others])
    tied = {key for key, p in zip(others, p_values, strict=True) if p >= LEVEL}

    def marked(row: Row) -> Row:
        key = tuple(row.records)
        if key == best:
            return replace(row, rank="best")
        return replace(row, rank="tied") if key in tied else row

    return [marked(row) for row in block]


def is_ranked(row: Row) -> bool:
    """Whether the row has the seeds to be ranked by."""
    return row.measured is not None and row.measured.n >= LEAST_SEEDS


def num_better_unranked(block: Sequence[Row], *, direction: Literal["min", "max"]) -> int:
    """How many rows of too few seeds have a better value than the best that is marked."""
    best = next((row.measured.mean for row in block if row.rank == "best" and row.measured), None)
    if best is None:
        return 0
    values = [row.measured.mean for row in block if row.measured and not is_ranked(row)]
    return sum(value < best if direction == "min" else value > best for value in values)


def _p(a: Measured, b: Measured) -> float:
    p = welch(a, b)
    assert p is not None
    return p


Alternatives = Literal["shown", "hidden"]


class Table(Frozen, frozen=True, kw_only=True):
    """All rows of a task, by metric signature: two signatures never share a block."""

    task: str
    title: str
    metric: str
    direction: Literal["min", "max"]
    split: str
    blocks: list[list[Row]]
    """The main signature first; published rows that nothing measures stand there, too."""
    num_left_out: int = 0
    """Records of other versions of the card."""
    num_hidden: int = 0
    """Configurations that `alternatives="hidden"` left out."""

    @property
    def rows(self) -> list[Row]:
        """The rows of all blocks."""
        return [row for block in self.blocks for row in block]


def build_table(
    card: Card,
    published: Sequence[PublishedRow],
    records: Iterable[Record],
    *,
    split: str = "test",
    alternatives: Alternatives = "shown",
    target: float | None = None,
) -> Table:
    """The table of `card` from what was printed and what was measured.

    Records that agree in everything but the seed form a group. A published row is filled by the
    group that contains its `match`; where several do, by the one nearest the card's recipe
    (fewest choices of the caller), then by the best validation. The others, and groups that match
    nothing, are rows of their own, labelled by what differs. `alternatives="hidden"` leaves out
    those that differ from the row above them neither in a size of the model nor in the signature.
    With a `target` the rows say how long training took until a validation was as good.
    """
    of_task = [record for record in records if record.task == card.task]
    current = [record for record in of_task if record.card_version == card.version]
    main, families = assign(published, group_records(current), direction=card.metric.direction)
    blocks: dict[str | None, list[Row]] = {main: []}
    num_hidden = 0
    for family in families:
        shown = [g for g in family.others if alternatives == "shown" or not _is_variant(g, family)]
        num_hidden += len(family.others) - len(shown)
        for row in _rows(family, shown, card, split, target):
            blocks.setdefault(row.signature or main, []).append(row)
    for signature, block in blocks.items():
        ranked = rank(block, direction=card.metric.direction)
        blocks[signature] = [*ranked, *bound_rows(block)]
    return Table(
        task=card.task,
        title=card.title,
        metric=card.metric.name,
        direction=card.metric.direction,
        split=split,
        blocks=[blocks[key] for key in sorted(blocks, key=lambda key: (key != main, str(key)))],
        num_left_out=len(of_task) - len(current),
        num_hidden=num_hidden,
    )


def measured_rows(table: Table) -> Table:
    """The table without the rows that nothing has measured yet."""
    return _filtered(table, lambda row: row.measured is not None)


def _is_variant(group: Group, family: Family) -> bool:
    first = family.first
    assert first is not None
    return base_label(group) == base_label(first) and group.signature == first.signature


def published_rows(table: Table) -> Table:
    """The table with the measured ones of the published rows, and the bounds, alone.

    They are ranked among themselves: the best of all may be one that is left out.
    """
    alone = _filtered(measured_rows(table), lambda row: row.where is not None)
    blocks = [[replace(row, rank=None) for row in block] for block in alone.blocks]
    return replace(alone, blocks=[rank(block, direction=table.direction) for block in blocks])


def _filtered(table: Table, is_wanted: Callable[[Row], bool]) -> Table:
    blocks = []
    for block in table.blocks:
        wanted = [row for row in block if is_wanted(row)]
        bounds = [row for row in block if row.verdict == "bound"]
        blocks.append([*wanted, *bounds] if wanted else [])
    return replace(table, blocks=blocks)


def _rows(
    family: Family, others: list[Group], card: Card, split: str, target: float | None
) -> list[Row]:
    published, first, metric = family.row, family.first, card.metric
    if first is None:
        assert published is not None
        return [unmeasured_row(published, metric=metric, split=split)]
    if published is None:
        label = base_label(first)
        chosen = chosen_label(first)
        whole = f"{label}; {chosen}" if chosen else label
        rows = [measured_row(first, label=whole, metric=metric, split=split, target=target)]
    else:
        label = published.label
        rows = [published_row(published, first, metric=metric, split=split, target=target)]
    for group in others:
        apart = f"{label}; {difference_label(group, first)}"
        rows.append(measured_row(group, label=apart, metric=metric, split=split, target=target))
    return rows
