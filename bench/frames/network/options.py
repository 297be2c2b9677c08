"""The options of frame prediction."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bench.core.config import Count
from bench.core.structs import Frozen

Reads = Literal["frame", "patch"]
Future = Literal["forecaster", "free-running", "teacher-forcing"]


class FramePredictionOptions(Frozen, frozen=True, kw_only=True):
    """What is read, and how the future is said."""

    batch_size: Count = 16
    """Sequences of a batch over all processes."""
    patch_size: Count = 4
    """Pixels of a side of the patches that a frame is cut into (Shi et al., 2015)."""
    reads: Reads = "frame"
    """frame: one sequence of whole frames, which conv-lstm reads as a grid of patches; patch: the
    sequence of each place by itself, with one network for all (Ranzato et al., 2014)."""
    surround: Annotated[int, msgspec.Meta(ge=0)] = 0
    """With `patch`: patches on each side that are read beside the one that is predicted."""
    future: Future = "forecaster"
    """forecaster: a second recurrence that reads nothing goes on from the state of the first;
    free-running: the only one reads what it has predicted; teacher-forcing: in training it reads
    the true frames, and predicts each next one."""
    readout: Literal["top", "all"] = "top"
    """Layers that predictions are made from."""
