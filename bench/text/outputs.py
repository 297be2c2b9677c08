"""Per-token log-probabilities of a run, kept beside its other heavy output.

`<artifacts>/log_probs_<split>.npy`: natural log p(w_t | w_1 .. w_{t-1}) of each token [N], float32.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import BenchError
from bench.core.record import write_atomically

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
