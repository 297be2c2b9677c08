"""Searches over many sources at once beside searches over one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from bench.cli.listing import aligned
from bench.speed.machine import moved
from bench.speed.timing import CPU, wait_for

NUM_ALONE = 40
"""Sources that are searched one by one; all of a split would take minutes."""


def decoding_table(
    beam_size: int,
    many: Sequence[Any],
    alone: Sequence[Any],
    *,
    decode: Callable[[Any], object],
    size_of: Callable[[Any], int],
    source: str,
    num_all: int,
    device: torch.device = CPU,
) -> str:
    """Time each way once; `size_of` a batch is its number of sources, `num_all` that of the split.

    `source` is what a source is called.
    """
    rows, each_sec = [], list[float]()
    for name, batches in (("in batches", many), ("one by one", alone)):
        num_sources = sum(map(size_of, batches))
        there = moved(list(batches), device)
        wait_for(device)
        begun = time.perf_counter()
        for batch in there:
            decode(batch)
        wait_for(device)
        each_sec.append((time.perf_counter() - begun) / num_sources)
        times = f"{each_sec[-1] / each_sec[0]:.1f}"
        whole = f"{each_sec[-1] * num_all:.1f}"
        rows.append((f"{name} ({num_sources:,})", f"{1e3 * each_sec[-1]:.1f}", whole, times))
    columns = (f"beam {beam_size}", f"ms a {source}", f"s for {num_all:,}", "x batches")
    return aligned(columns, rows)
