"""Beam search of a transducer along alignments, all utterances and prefixes at once.

G. Saon, Z. Tueske and K. Audhkhasi, "Alignment-length synchronous decoding for RNN transducer",
ICASSP 2020. After n moves a prefix y of u labels stands in frame t = n - u, and no other frame, so
every prefix has one probability, that of all alignments of n moves that spell it,

    alpha(y, t) = alpha(y, t-1) p(blank | t-1, y) + alpha(y', t) p(e | t, y')      y = y' e

(A. Graves, "Sequence transduction with recurrent neural networks", 2012, section 2.4), and the
beam keeps the best of all that have made equally many moves. A prefix ends where a blank leaves
the last frame, with its probability. The search of an utterance stops when all prefixes together
are less probable than the ends it has. What the beam drops is lost to its sums, so the hypotheses,
the greedy search's labels always among the candidates, are scored once more with all their
alignments: a result is never less probable than greedy decoding's.

Unlike the paper's cap of the output length, a label sequence may be as long as the utterance has
frames.

Shapes: B utterances, W width, K labels, V = K + 1 outputs (0 the blank), C = W + W K candidates,
J joint hidden units, N = B W.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.seq2seq.hypothesis import (
    Floats,
    Hypothesis,
    Ints,
    Labels,
    best_first,
    check_search,
    distinct,
)
from bench.speech.decoding.prefixes import Choice, Flags, Prefixes
from bench.speech.decoding.transducer import TransducerNetwork, greedy_search, transducer_log_probs


@torch.no_grad()
def transducer_beam_search(
    network: TransducerNetwork,
    frame_BTJ: Tensor,
    frames_B: Tensor,
    *,
    width: int = 100,
    num_best: int = 1,
) -> list[list[Hypothesis]]:
    """The most probable label sequences of each utterance, best first, at most `num_best` of them.

    `frame_BTJ` are the encoder's frames as the joint takes them. The result for an utterance does
    not depend on the others.
    """
    lengths = check_search(frame_BTJ, frames_B, width=width, num_best=num_best)
    search = _Search(network, frame_BTJ, np.array(lengths), width, num_best)
    found = search.run()
    greedy = greedy_search(network, frame_BTJ, frames_B)
    candidates = [distinct([*found[b], greedy[b]]) for b in range(len(lengths))]
    log_probs = transducer_log_probs(network, frame_BTJ, frames_B, candidates)
    return [
        best_first(of_one, log_prob.tolist(), [0.0] * len(of_one), num_best)
        for of_one, log_prob in zip(candidates, log_probs, strict=True)
    ]


class _Search:
    """The beams of a batch after n moves, and the best ends met so far."""

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
        """The label sequences of the best ends of each utterance."""
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
        """One more move of every prefix."""
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
        """Log-probabilities of the outputs of the prefixes that live, minus infinity of others."""
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
        """Let the prediction network read the new labels.

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
