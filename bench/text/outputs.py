"""Per-token log-probabilities of a run, kept beside its other heavy output.

`<artifacts>/log_probs_<split>.npy`: natural log p(w_t | w_1 .. w_{t-1}) of each token [N], float32.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.core.json_lines import read_json_lines, write_json_lines
from bench.core.record import Record, write_atomically
from bench.core.suite import Suite
from bench.text.metric import nats_per_symbol

Floats = NDArray[np.float64]


def log_probs_path(folder: Path, split: str) -> Path:
    """Where a run whose artifacts lie in `folder` keeps them."""
    return folder / f"log_probs_{split}.npy"


def write_log_probs(folder: Path, split: str, log_probs_N: Floats) -> None:
    """Keep the log-probabilities of a split; a reader sees the whole file or none."""
    content = io.BytesIO()
    np.save(content, np.asarray(log_probs_N, dtype=np.float32))
    write_atomically(log_probs_path(folder, split), content.getvalue())


def read_log_probs(folder: Path, split: str) -> Floats | None:
    """What was kept, as float64 [N]; None where nothing was."""
    path = log_probs_path(folder, split)
    if not path.is_file():
        return None
    try:
        log_probs_N = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BenchError(
            f"{path}: not an array ({error}); delete it to have it made anew"
        ) from None
    return np.asarray(log_probs_N, dtype=np.float64)


# Per-token log-probabilities that a run left behind, checked against its record.
#
# Needs neither weights nor torch: what only reads does not wait for either.


TOLERANCE_NATS = 1e-3
"""Room for float32 sums and for products that another machine rounds otherwise."""


def kept_log_probs(suite: Suite, record: Record, split: str) -> Floats | None:
    """Natural log-probability of each token of `split` [N]; None where nothing was kept.

    Raises BenchError where their mean is not the value in the record.
    """
    folder = suite.artifacts(record.task, record.id)
    kept_N = read_log_probs(folder, split)
    if kept_N is None:
        return None
    expected = nats_per_symbol(record.metric, record.metrics[split])
    found = -math.fsum(kept_N) / max(len(kept_N), 1)
    if not abs(found - expected) <= TOLERANCE_NATS:
        raise BenchError(
            f"{log_probs_path(folder, split)}: {found:.4f} nats a token where the record "
            f"{record.id} says {expected:.4f}; delete it, or run again with --again"
        )
    return kept_N


# Texts that a language model has drawn, kept beside a run's weights.
#
#     texts-test.jsonl    how they were drawn, then a line a text
#
# Needs neither weights nor torch.


class TextSample(msgspec.Struct, frozen=True, kw_only=True):
    """One text, from the start of a sentence on."""

    text: str


class TextSamplesHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of texts."""

    drawn: str
    """Such as `from p(w | history), seed 1`."""


@dataclass(frozen=True, kw_only=True)
class TextSamples:
    """All texts of a file."""

    header: TextSamplesHeader
    lines: Sequence[TextSample]


def text_samples_path(folder: Path, split: str) -> Path:
    """Where the texts that belong to a split's evaluation are kept."""
    return folder / f"texts-{split}.jsonl"


def write_text_samples(folder: Path, split: str, made: TextSamples) -> None:
    """Keep them."""
    write_json_lines(text_samples_path(folder, split), made.header, made.lines)


def read_text_samples(folder: Path, split: str) -> TextSamples | None:
    """What was kept; None where nothing was."""
    found = read_json_lines(text_samples_path(folder, split), TextSamplesHeader, TextSample)
    return TextSamples(header=found[0], lines=found[1]) if found else None
