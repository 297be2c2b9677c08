"""Neighbouring frames side by side, so that a recurrence has fewer steps to make.

H. Sak, A. Senior, K. Rao and F. Beaufays, Interspeech 2015, section 2.2, with as many frames in a
stack as are skipped: nothing is read twice, nothing is left out.

Shapes: B utterances, T frames, D features, n frames in a stack, M = ceil(T / n) stacks.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def stack(x_BTD: Tensor, num_frames: int) -> Tensor:
    """[B, M, n D]; what is missing from the last stack is zero."""
    if num_frames == 1:
        return x_BTD
    batch_size, length, size = x_BTD.shape
    missing = -length % num_frames
    return F.pad(x_BTD, (0, 0, 0, missing)).reshape(batch_size, -1, num_frames * size)


def num_stacks(lengths_B: Tensor, num_frames: int) -> Tensor:
    """M of each utterance, [B]."""
    return (lengths_B + num_frames - 1) // num_frames
