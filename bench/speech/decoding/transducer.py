"""Decoding a transducer greedily, and the exact probability of label sequences under it.

Shapes: B utterances, T frames, U labels, S = U + 1 positions, N rows, J joint hidden units,
V outputs, of which 0 is the blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bench.seq2seq.hypothesis import Floats, Labels, check_search
from bench.speech.transducer.lattice import log_likelihood

State = tuple[Tensor, ...]

MAX_LABELS_PER_FRAME = 10
"""After so many labels in one frame the greedy search goes on to the next one."""
CHUNK_ROWS = 1 << 14


class TransducerNetwork(Protocol):
    """What a search asks of a transducer: its prediction network a label at a time, and its joint.

    Predictions are what the joint takes of them, [N, J]; a state is a flat tuple of tensors with N
    rows.
    """

    def begin(self, num_rows: int) -> tuple[Tensor, State]:
        """Predictions and states before the first label."""
        ...

    def predict(self, label_N: Tensor, state: State) -> tuple[Tensor, State]:
        """Predictions and states after one more label each, which are in [1, V)."""
        ...

    def log_probs(self, frame_NJ: Tensor, prediction_NJ: Tensor) -> Tensor:
        """Natural logs of the probabilities of the outputs, [N, V]; the arguments broadcast."""
        ...


@torch.no_grad()
def greedy_search(network: TransducerNetwork, frame_BTJ: Tensor, frames_B: Tensor) -> list[Labels]:
    """The labels met when the most probable output is taken at each step.

    `frame_BTJ` are the encoder's frames as the joint takes them. At most MAX_LABELS_PER_FRAME
    labels come from one frame.
    """
    lengths = check_search(frame_BTJ, frames_B)
    rows_B = torch.arange(len(lengths), device=frame_BTJ.device)
    end_B = frames_B.to(rows_B)
    t_B, in_frame_B = torch.zeros_like(rows_B), torch.zeros_like(rows_B)
    prediction_BJ, state = network.begin(len(lengths))
    steps = []
    while bool((t_B < end_B).any()):
        frame_BJ = frame_BTJ[rows_B, t_B.clamp(max=frame_BTJ.shape[1] - 1)]
        output_B = network.log_probs(frame_BJ, prediction_BJ).argmax(1)
        takes_B = (output_B > 0) & (t_B < end_B) & (in_frame_B < MAX_LABELS_PER_FRAME)
        steps.append(output_B.where(takes_B, 0))
        grown_N = takes_B.nonzero()[:, 0]
        if len(grown_N):
            before = tuple(part[grown_N] for part in state)
            after_NJ, after = network.predict(output_B[grown_N], before)
            prediction_BJ = prediction_BJ.index_copy(0, grown_N, after_NJ)
            state = tuple(
                part.index_copy(0, grown_N, new) for part, new in zip(state, after, strict=True)
            )
        in_frame_B = (in_frame_B + 1).where(takes_B, 0)
        t_B = t_B + (~takes_B).long()
    emitted = torch.stack(steps, dim=1).tolist()
    return [tuple(label for label in row if label) for row in emitted]


@torch.no_grad()
def transducer_log_probs(
    network: TransducerNetwork,
    frame_BTJ: Tensor,
    frames_B: Tensor,
    labels: Sequence[Sequence[Labels]],
) -> list[Floats]:
    """Natural log-probability of each label sequence of each utterance, all alignments summed.

    `labels[b]` are some sequences for utterance b.
    """
    found = []
    for b, of_one in enumerate(labels):
        frame_TJ = frame_BTJ[b, : int(frames_B[b])]
        target_NU, labels_N = _padded(of_one, frame_BTJ.device)
        prediction_NSJ = _predictions(network, target_NU)
        moves = _log_moves(network, frame_TJ, prediction_NSJ, target_NU)
        frames_N = torch.full_like(labels_N, len(frame_TJ))
        found.append(log_likelihood(*moves, frames_N, labels_N).cpu().numpy())
    return found


def _padded(sequences: Sequence[Labels], device: torch.device) -> tuple[Tensor, Tensor]:
    """Sequences [N, U], padded with label 1, and their lengths [N]."""
    lengths = [len(sequence) for sequence in sequences]
    rows = np.ones((len(sequences), max(lengths)), dtype=np.int64)
    for row, sequence in zip(rows, sequences, strict=True):
        row[: len(sequence)] = sequence
    return torch.from_numpy(rows).to(device), torch.tensor(lengths, device=device)


def _predictions(network: TransducerNetwork, target_NU: Tensor) -> Tensor:
    """What the joint takes of the prediction network at every position, [N, S, J]."""
    prediction_NJ, state = network.begin(len(target_NU))
    predictions = [prediction_NJ]
    for u in range(target_NU.shape[1]):
        prediction_NJ, state = network.predict(target_NU[:, u], state)
        predictions.append(prediction_NJ)
    return torch.stack(predictions, dim=1)


def _log_moves(
    network: TransducerNetwork, frame_TJ: Tensor, prediction_NSJ: Tensor, target_NU: Tensor
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of blanks [N, T, S] and of the next labels [N, T, U], frames in chunks."""
    blanks, labels = [], []
    N, S, _ = prediction_NSJ.shape
    num_frames = max(1, CHUNK_ROWS // (N * S))
    for start in range(0, len(frame_TJ), num_frames):
        frame_MJ = frame_TJ[start : start + num_frames]
        log_p = network.log_probs(frame_MJ[:, None], prediction_NSJ[:, None])
        index = target_NU[:, None, :, None].expand(-1, len(frame_MJ), -1, 1)
        blanks.append(log_p[..., 0])
        labels.append(log_p[:, :, :-1].gather(3, index)[..., 0])
    return torch.cat(blanks, dim=1), torch.cat(labels, dim=1)
