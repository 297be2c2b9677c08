"""Transducer decoding: greedy search, beam search, and the probability of label sequences.

Beam search goes along alignments, all utterances and prefixes at once (G. Saon, Z. Tueske and
K. Audhkhasi, "Alignment-length synchronous decoding for RNN transducer", ICASSP 2020). After n
moves a prefix y of u labels stands in frame t = n - u, and no other frame, so every prefix has one
probability, that of all alignments of n moves that spell it,

    alpha(y, t) = alpha(y, t-1) p(blank | t-1, y) + alpha(y', t) p(e | t, y')      y = y' e

(A. Graves, "Sequence transduction with recurrent neural networks", 2012, section 2.4), and the
beam keeps the best of all that have made equally many moves. A prefix ends where a blank leaves
the last frame, with its probability. The search of an utterance stops when all prefixes together
are less probable than the ends it has. What the beam drops is lost to its sums, so the
hypotheses, the greedy search's labels always among the candidates, are scored once more with all
their alignments: a result is never less probable than greedy decoding's. Unlike the paper's cap of
the output length, a label sequence may be as long as the utterance has frames.

Shapes: B utterances, T frames, U labels, S = U + 1 positions, J joint hidden units, K labels to
choose from, V = K + 1 outputs, of which 0 is the blank, W width, C = W + W K candidates, N rows
(B W in the beam search).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bench.speech.decoding.hypotheses import (
    Floats,
    Hypothesis,
    Ints,
    Labels,
    best_first,
    check_search,
)
from bench.speech.decoding.prefixes import Choice, Flags, Prefixes
from bench.speech.transducer_loss import log_likelihood

State = tuple[Tensor, ...]

MAX_LABELS_PER_FRAME = 10
"""Labels in one frame after which the greedy search goes on to the next one."""
CHUNK_ROWS = 1 << 14


class TransducerNetwork(Protocol):
    """Transducer for searches: a prediction network that steps label by label, and a joint network.

    Predictions are projected for the joint network [N, J]; a state is a flat tuple of tensors with
    N rows.
    """

    def begin(self, num_rows: int) -> tuple[Tensor, State]:
        """Predictions and states before the first label."""
        ...

    def predict(self, label_N: Tensor, state: State) -> tuple[Tensor, State]:
        """Predictions and states after one more label each, which are in [1, V)."""
        ...

    def log_probs(self, frame_NJ: Tensor, prediction_NJ: Tensor) -> Tensor:
        """Log-probabilities of the outputs [N, V]; the arguments broadcast."""
        ...


@torch.no_grad()
def greedy_search(network: TransducerNetwork, frame_BTJ: Tensor, frames_B: Tensor) -> list[Labels]:
    """Labels met when the most probable output is taken at each step.

    `frame_BTJ` are the encoder's frames, projected for the joint network. At most
    MAX_LABELS_PER_FRAME labels come from one frame.
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
    """Log-probability of each label sequence in `labels[b]` of utterance b over all alignments."""
    found = []
    for b, of_one in enumerate(labels):
        frame_TJ = frame_BTJ[b, : int(frames_B[b])]
        sequences = [torch.tensor(sequence, dtype=torch.long) for sequence in of_one]
        target_NU = pad_sequence(sequences, batch_first=True, padding_value=1).to(frame_TJ.device)
        labels_N = torch.tensor([len(sequence) for sequence in of_one], device=frame_TJ.device)
        prediction_NSJ = _predictions(network, target_NU)
        moves = _log_moves(network, frame_TJ, prediction_NSJ, target_NU)
        frames_N = torch.full_like(labels_N, len(frame_TJ))
        found.append(log_likelihood(*moves, frames_N, labels_N).cpu().numpy())
    return found


def _predictions(network: TransducerNetwork, target_NU: Tensor) -> Tensor:
    """Projected predictions at every position [N, S, J]."""
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


@torch.no_grad()
def transducer_beam_search(
    network: TransducerNetwork,
    frame_BTJ: Tensor,
    frames_B: Tensor,
    *,
    width: int = 100,
    num_best: int = 1,
) -> list[list[Hypothesis]]:
    """The `num_best` most probable label sequences of each utterance, or fewer, best first.

    `frame_BTJ` are the encoder's frames, projected for the joint network. The result for an
    utterance does not depend on the others.
    """
    lengths = check_search(frame_BTJ, frames_B, width=width, num_best=num_best)
    search = _Search(network, frame_BTJ, np.array(lengths), width, num_best)
    found = search.run()
    greedy = greedy_search(network, frame_BTJ, frames_B)
    candidates = [list(dict.fromkeys([*found[b], greedy[b]])) for b in range(len(lengths))]
    log_probs = transducer_log_probs(network, frame_BTJ, frames_B, candidates)
    return [
        best_first(of_one, log_prob.tolist(), num_best)
        for of_one, log_prob in zip(candidates, log_probs, strict=True)
    ]


class _Search:
    """Beams of a batch after n moves, and the best ends met so far."""

    def __init__(
        self,
        network: TransducerNetwork,
        frame_BTJ: Tensor,
        frames: Ints,
        width: int,
        num_best: int,
    ) -> None:
        self.network, self.frame_BTJ, self.frames = network, frame_BTJ, frames
        self.prefixes = Prefixes(len(frames), width)
        shape = len(frames), width
        self.alpha_BW: Floats = np.full(shape, -np.inf)
        self.alpha_BW[:, 0] = 0.0
        self.length_BW: Ints = np.zeros(shape, dtype=np.int64)
        self.prediction_NJ, self.state = network.begin(len(frames) * width)
        self.slot_BW: Ints = np.arange(len(frames) * width).reshape(shape)
        self.num_moves = 0
        self.end_BE: Floats = np.full((len(frames), num_best), -np.inf)
        self.end_move_BE: Ints = np.zeros((len(frames), num_best), dtype=np.int64)
        self.end_place_BE: Ints = np.zeros((len(frames), num_best), dtype=np.int64)

    def run(self) -> list[list[Labels]]:
        """Label sequences of the best ends of each utterance."""
        while (self.alpha_BW > -np.inf).any():
            self.step()
        return [
            [
                self.prefixes.labels(b, int(place), int(move))
                for end, place, move in zip(ends, places, moves, strict=True)
                if end > -np.inf
            ]
            for b, (ends, places, moves) in enumerate(
                zip(self.end_BE, self.end_place_BE, self.end_move_BE, strict=True)
            )
        ]

    def step(self) -> None:
        """Make one more move with every prefix."""
        W = self.prefixes.width
        log_p_BWV = self.log_probs()
        blank_BW = self.alpha_BW + log_p_BWV[:, :, 0]
        last_frame_BW = self.num_moves - self.length_BW == self.frames[:, None] - 1
        self.keep_ends(np.where(last_frame_BW, blank_BW, -np.inf))
        stay_BW = np.where(last_frame_BW, -np.inf, blank_BW)
        candidates_BC = np.empty((len(stay_BW), W * log_p_BWV.shape[2]))
        extension_BWK = candidates_BC[:, W:].reshape(*stay_BW.shape, -1)
        room_BW = np.where(self.length_BW < self.frames[:, None], self.alpha_BW, -np.inf)
        np.add(room_BW[:, :, None], log_p_BWV[:, :, 1:], out=extension_BWK)
        self.prefixes.merge(stay_BW, extension_BWK)
        candidates_BC[:, :W] = stay_BW
        choice = self.prefixes.choose(candidates_BC)
        self.alpha_BW = choice.at(candidates_BC)
        self.alpha_BW[self.is_over()] = -np.inf
        self.length_BW = choice.of(self.length_BW) + (choice.label > 0)
        self.num_moves += 1
        self.follow(choice)

    def log_probs(self) -> Floats:
        """Log-probabilities of the outputs of living prefixes, minus infinity of others."""
        b_M, place_M = np.nonzero(self.alpha_BW > -np.inf)
        t_M = self.num_moves - self.length_BW[b_M, place_M]
        frame_MJ = self.frame_BTJ[self.index(b_M), self.index(t_M)]
        prediction_MJ = self.prediction_NJ[self.index(self.slot_BW[b_M, place_M])]
        log_p_MV = self.network.log_probs(frame_MJ, prediction_MJ)
        log_p_BWV = np.full((*self.alpha_BW.shape, log_p_MV.shape[1]), -np.inf)
        log_p_BWV[b_M, place_M] = log_p_MV.double().cpu().numpy()
        return log_p_BWV

    def keep_ends(self, end_BW: Floats) -> None:
        """Put the best of the new ends among those met before."""
        num_best = self.end_BE.shape[1]
        both = np.concatenate([self.end_BE, end_BW], axis=1)
        best = np.argsort(-both, axis=1, kind="stable")[:, :num_best]
        place_BW = np.broadcast_to(np.arange(end_BW.shape[1]), end_BW.shape)
        places = np.concatenate([self.end_place_BE, place_BW], axis=1)
        moves = np.concatenate([self.end_move_BE, np.full(end_BW.shape, self.num_moves)], axis=1)
        self.end_BE, self.end_place_BE, self.end_move_BE = (
            np.take_along_axis(part, best, 1) for part in (both, places, moves)
        )

    def is_over(self) -> Flags:
        """Utterances whose ends no prefix can surpass any more."""
        left_B = np.logaddexp.reduce(self.alpha_BW, axis=1)
        over: Flags = self.end_BE[:, -1] >= left_B
        return over

    def follow(self, choice: Choice) -> None:
        """Read the new labels with the prediction network.

        A prefix keeps its slot of the network's rows while it lives, so nothing is copied for
        those that made a blank; longer prefixes get slots that no living one has.
        """
        self.slot_BW = choice.of(self.slot_BW)
        lives_BW = self.alpha_BW > -np.inf
        grows_BW = lives_BW & ~choice.stays
        if not grows_BW.any():
            return
        source_M = self.index(self.slot_BW[grows_BW])
        label_M = self.index(choice.label[grows_BW])
        before = tuple(part[source_M] for part in self.state)
        prediction_MJ, after = self.network.predict(label_M, before)
        is_free_N = np.ones(self.slot_BW.size, dtype=np.bool_)
        is_free_N[self.slot_BW[lives_BW & choice.stays]] = False
        free_M = np.flatnonzero(is_free_N)[: grows_BW.sum()]
        self.slot_BW[grows_BW] = free_M
        place_M = self.index(free_M)
        for part, new in zip(
            (self.prediction_NJ, *self.state), (prediction_MJ, *after), strict=True
        ):
            part.index_copy_(0, place_M, new)

    def index(self, numbers: Ints) -> Tensor:
        """Row numbers where the network lies."""
        return torch.from_numpy(numbers).to(self.prediction_NJ.device)
