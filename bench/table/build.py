"""Tables: published rows and records of one task, set side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from msgspec.structs import replace

from bench.core.cards import Card
from bench.core.published import PublishedRow
from bench.core.record import Record
from bench.core.structs import Frozen
from bench.table.assignment import Family, assign
from bench.table.groups import Group, base_label, chosen_label, difference_label, group_records
from bench.table.ranking import rank
from bench.table.rows import Row, bound_rows, measured_row, published_row, unmeasured_row

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
