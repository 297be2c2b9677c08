"""Which group of runs stands for which published row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.core.published import PublishedRow
from bench.table.groups import Group, base_label, matches, preference


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
