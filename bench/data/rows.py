"""Vocabularies, and sentences as rows of ids, end to end in one array: no object a sentence."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """Symbols, most frequent first (ties: first occurrence), with their training counts."""

    symbols: tuple[str, ...]
    counts: Ids
    index: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index = {symbol: number for number, symbol in enumerate(self.symbols)}
        assert len(index) == len(self.symbols) == len(self.counts)
        object.__setattr__(self, "index", index)

    def __len__(self) -> int:
        return len(self.symbols)


class Rows(Sequence[Ids]):
    """Rows of ids; row i is `flat[first_N[i] : first_N[i] + length_N[i]]`."""

    def __init__(self, flat: npt.NDArray[np.int32], length_N: Ids) -> None:
        assert int(length_N.sum()) == len(flat)
        self.flat, self.length_N = flat, length_N
        self.first_N = np.cumsum(length_N) - length_N

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> Rows:
        """Rows of lists."""
        flat, lengths = array("i"), array("q")
        for row in rows:
            flat.extend(row)
            lengths.append(len(row))
        return cls(np.array(flat, np.int32), np.array(lengths, np.int64))

    def __len__(self) -> int:
        return len(self.length_N)

    @overload
    def __getitem__(self, place: int) -> Ids: ...
    @overload
    def __getitem__(self, place: slice) -> list[Ids]: ...
    def __getitem__(self, place: int | slice) -> Ids | list[Ids]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        first = int(self.first_N[place])
        return self.flat[first : first + int(self.length_N[place])].astype(np.int64)

    def __iter__(self) -> Iterator[Ids]:
        return (self[place] for place in range(len(self)))

    def counts(self, size: int) -> Ids:
        """Occurrences of each id below `size`."""
        return np.bincount(self.flat, minlength=size).astype(np.int64)

    def padded(self, places: Ids, *, end: int) -> tuple[Ids, Ids]:
        """Rows at `places` [B, T], `end` and then zeros behind each, and lengths with the end."""
        length_B = self.length_N[places]
        ids_BT = np.zeros((len(places), int(length_B.max()) + 1), np.int64)
        column_T = np.arange(ids_BT.shape[1])
        inside_BT = column_T < length_B[:, None]
        place_BT = self.first_N[places][:, None] + column_T
        ids_BT[inside_BT] = self.flat[place_BT[inside_BT]]
        ids_BT[np.arange(len(places)), length_B] = end
        return ids_BT, length_B + 1
