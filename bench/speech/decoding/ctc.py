"""Connectionist temporal classification: the best path, and the probability of label sequences.

A. Graves, S. Fernandez, F. Gomez and J. Schmidhuber, ICML 2006. A path has one output a frame;
repeated outputs, then blanks, are taken out of it, and a label sequence has the probability of
all its paths.

Shapes: B utterances, T frames, V outputs, of which 0 is the blank.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.seq2seq.hypothesis import Floats, Labels, check_search


def best_path(log_p_BTV: Tensor, frames_B: Tensor) -> list[Labels]:
    """The label sequence of each utterance's most probable path (ibid., section 3.2)."""
    lengths = check_search(log_p_BTV, frames_B)
    return [
        collapsed(path[:length])
        for path, length in zip(log_p_BTV.argmax(2).tolist(), lengths, strict=True)
    ]


def collapsed(path: Sequence[int]) -> Labels:
    """The labels of a path: its outputs where they change, without blanks."""
    before = [0, *path]
    return tuple(now for was, now in zip(before, path, strict=False) if now not in (was, 0))


def ctc_log_probs(
    log_p_BTV: Tensor, frames_B: Tensor, labels: Sequence[Sequence[Labels]]
) -> list[Floats]:
    """Natural log-probability of each label sequence of each utterance, all paths summed.

    `labels[b]` are some sequences for utterance b; minus infinity where an utterance has too few
    frames for one.
    """
    counts = [len(of_one) for of_one in labels]
    row_N = torch.arange(len(labels)).repeat_interleave(torch.tensor(counts))
    sequences = [sequence for of_one in labels for sequence in of_one]
    length_N = torch.tensor([len(sequence) for sequence in sequences])
    target = torch.tensor([label for sequence in sequences for label in sequence]).long()
    log_p_TNV = log_p_BTV.detach().cpu().double()[row_N].transpose(0, 1)
    frames_N = frames_B.cpu()[row_N]
    loss_N = F.ctc_loss(log_p_TNV, target, frames_N, length_N, reduction="none")
    return np.split(-loss_N.numpy(), np.cumsum(counts)[:-1])
