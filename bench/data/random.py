"""Uniform random numbers that no version of numpy may change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def uniform(source: np.random.PCG64, num: int) -> npt.NDArray[np.float64]:
    """`num` numbers in [0, 1), made from raw bits alone."""
    return np.asarray((source.random_raw(num) >> np.uint64(11)) * 2.0**-53, np.float64)


def draws(source: np.random.PCG64) -> Iterator[float]:
    """Endless stream of uniform numbers in [0, 1)."""
    while True:
        yield from uniform(source, 1 << 12).tolist()
