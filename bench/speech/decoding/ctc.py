"""CTC decoding: best path, prefix beam search, and the probability of label sequences.

A. Graves, S. Fernandez, F. Gomez and J. Schmidhuber, ICML 2006. A path has one output a frame;
repeated outputs, then blanks, are taken out of it, and a label sequence has the probability of
all its paths.

Prefix beam search (ibid., section 3.2, in the beam form of A. Graves and N. Jaitly, ICML 2014,
algorithm 1) takes all utterances and all prefixes of their beams at once. With p_b and p_l the
probability of a prefix y by paths that end in a blank and in y's last label, p their sum, and
y' = y without its last label e,

    p_b(y, t) = p(y, t-1) p(blank | t)
    p_l(y, t) = p_l(y, t-1) p(e | t) + { p_b(y', t-1) if y' ends in e, else p(y', t-1) } p(e | t)

of which a beam keeps the best. What it drops is lost to its sums, so the returned hypotheses,
the best path's labels always among the candidates, are scored once more with all their paths: a
result never has a lower score than best-path decoding.

Shapes: B utterances, T frames, W width, K labels, V = K + 1 outputs, of which 0 is the blank for
the network and the end of the sequence for label models, C = W + W K candidates, N sequences,
S states of a label model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.core.errors import BenchError
from bench.speech.decoding.hypotheses import (
    Floats,
    Hypothesis,
    Ints,
    Labels,
    best_first,
    check_search,
)
from bench.speech.decoding.prefixes import Choice, Prefixes
from bench.text.baselines.ngram import NGram


def best_path(log_p_BTV: Tensor, frames_B: Tensor) -> list[Labels]:
    """Label sequence of each utterance's most probable path (ibid., section 3.2)."""
    lengths = check_search(log_p_BTV, frames_B)
    return [
        collapsed(path[:length])
        for path, length in zip(log_p_BTV.argmax(2).tolist(), lengths, strict=True)
    ]


def collapsed(path: Sequence[int]) -> Labels:
    """Labels of a path: its outputs where they change, without blanks."""
    before = [0, *path]
    return tuple(now for was, now in zip(before, path, strict=False) if now not in (was, 0))


def ctc_log_probs(
    log_p_BTV: Tensor, frames_B: Tensor, labels: Sequence[Sequence[Labels]]
) -> list[Floats]:
    """Log-probability of each label sequence in `labels[b]` of utterance b, all paths summed.

    It is minus infinity where an utterance has too few frames.
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


class LabelModel(Protocol):
    """Model of label sequences; its states are numbers that it hands out."""

    def start(self) -> int:
        """State before the first label."""
        ...

    def log_probs(self, state_N: Ints) -> Floats:
        """log p(next | state) [N, V]; column 0 is the end of the sequence."""
        ...

    def advance(self, state_N: Ints, label_N: Ints) -> Ints:
        """States after one more label each [N]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fusion:
    """score = log p(labels | x) + weight * log p(labels) + insertion_bonus * number of labels."""

    model: LabelModel
    weight: float = 1.0
    insertion_bonus: float = 0.0

    def __post_init__(self) -> None:
        if not (self.weight > 0 and math.isfinite(self.weight + self.insertion_bonus)):
            raise BenchError(
                f"label model with weight {self.weight}, insertion bonus {self.insertion_bonus}: "
                "the weight is above 0, both are finite; without a model give no fusion"
            )

    def increments(self, state_N: Ints) -> Floats:
        """Addition of each next output to the score [N, V]; column 0 is the end."""
        increment_NV = self.weight * self.model.log_probs(state_N)
        increment_NV[:, 1:] += self.insertion_bonus
        return increment_NV

    def total(self, labels: Labels) -> float:
        """Addition of the model to the score of a whole sequence."""
        state, total = np.array([self.model.start()]), 0.0
        for label in labels:
            total += float(self.increments(state)[0, label])
            state = self.model.advance(state, np.array([label]))
        return total + float(self.increments(state)[0, 0])


class NGramLabels:
    """N-gram model as a `LabelModel`; a state is the labels that its contexts can reach.

    `word_V` maps each label to a word of the n-gram model, and entry 0 to its end of sentence.
    Distributions are looked up when a state is first met, and kept: 8 V bytes a state.
    """

    def __init__(self, model: NGram, word_V: Ints) -> None:
        self.model = model
        self.word_V = np.asarray(word_V, dtype=np.int64)
        self._number: dict[Labels, int] = {}
        self._history: list[Labels] = []
        self._log_p_SV: Floats = np.empty((0, len(self.word_V)))
        self._next_SV: Ints = np.empty((0, len(self.word_V)), dtype=np.int64)

    def start(self) -> int:
        return self._state(())

    def log_probs(self, state_N: Ints) -> Floats:
        return self._log_p_SV[state_N]

    def advance(self, state_N: Ints, label_N: Ints) -> Ints:
        next_N = self._next_SV[state_N, label_N]
        unknown_N = next_N < 0
        for state, label in set(zip(state_N[unknown_N], label_N[unknown_N], strict=True)):
            number = self._state((*self._history[state], int(label)))
            self._next_SV[state, label] = number
        next_N[unknown_N] = self._next_SV[state_N[unknown_N], label_N[unknown_N]]
        return next_N

    def _state(self, history: Labels) -> int:
        """Number of the state after some labels, of which the last order - 1 count."""
        history = history[max(0, len(history) - self.model.order + 1) :]
        if history not in self._number:
            number = self._number[history] = len(self._history)
            if number == len(self._log_p_SV):
                size = max(64, len(self._log_p_SV)), len(self.word_V)
                self._log_p_SV = np.concatenate([self._log_p_SV, np.zeros(size)])
                self._next_SV = np.concatenate([self._next_SV, np.full(size, -1)])
            p_V = self.model.distribution(self.word_V[list(history)])[self.word_V]
            with np.errstate(divide="ignore"):
                self._log_p_SV[number] = np.log(p_V)
            self._history.append(history)
        return self._number[history]


GROUP = 16
"""Utterances searched at once: enough to spread the cost of calls, few enough for the caches."""


def prefix_beam_search(
    log_p_BTV: Tensor,
    frames_B: Tensor,
    *,
    width: int = 100,
    num_best: int = 1,
    fusion: Fusion | None = None,
) -> list[list[Hypothesis]]:
    """The `num_best` best label sequences of each utterance, or fewer, best first.

    `log_p_BTV` are natural logs of the network's softmax, of which the first `frames_B` count. The
    result for an utterance does not depend on the others.
    """
    lengths = check_search(log_p_BTV, frames_B, width=width, num_best=num_best)
    whole_BTV = log_p_BTV.detach().cpu().double().numpy()
    longest_first = sorted(range(len(lengths)), key=lambda b: -lengths[b])
    found: dict[int, list[Labels]] = {}
    for start in range(0, len(lengths), GROUP):
        group = longest_first[start : start + GROUP]
        frames = np.array([lengths[b] for b in group])
        search = _Search(whole_BTV[group, : frames[0]], frames, width, fusion)
        found.update(zip(group, search.run(num_best), strict=True))
    greedy = best_path(log_p_BTV, frames_B)
    candidates = [list(dict.fromkeys([*found[b], greedy[b]])) for b in range(len(lengths))]
    log_probs = ctc_log_probs(log_p_BTV, frames_B, candidates)
    bonus = [] if fusion is None else [fusion.total]
    return [
        best_first(of_one, log_prob.tolist(), num_best, *bonus)
        for of_one, log_prob in zip(candidates, log_probs, strict=True)
    ]


class _Search:
    """Search of a group of utterances, longest first; a row rests after its own frames."""

    def __init__(self, log_p_BTV: Floats, frames: Ints, width: int, fusion: Fusion | None) -> None:
        self.log_p_BTV, self.frames = log_p_BTV, frames
        self.prefixes = Prefixes(len(frames), width)
        shape = len(frames), width
        self.blank_BW: Floats = np.full(shape, -np.inf)
        self.blank_BW[:, 0] = 0.0
        self.label_BW: Floats = np.full(shape, -np.inf)
        self.bonus = None if fusion is None else _Bonus(fusion, shape)

    def run(self, num_best: int) -> list[list[Labels]]:
        """Label sequences of the best final prefixes of each utterance."""
        for t in range(self.log_p_BTV.shape[1]):
            num_left = int((self.frames > t).sum())
            self.step(self.log_p_BTV[:num_left, t])
        score_BW = np.logaddexp(self.blank_BW, self.label_BW)
        if self.bonus is not None:
            score_BW += self.bonus.final()
        best_BN = np.argsort(-score_BW, axis=1, kind="stable")[:, :num_best]
        return [
            [
                self.prefixes.labels(b, place, int(self.frames[b]))
                for place in best_BN[b].tolist()
                if score_BW[b, place] > -np.inf
            ]
            for b in range(len(best_BN))
        ]

    def step(self, log_p_BV: Floats) -> None:
        """Search a frame of the utterances that still have one, the first n."""
        n, W = len(log_p_BV), self.prefixes.width
        total_BW = np.logaddexp(self.blank_BW[:n], self.label_BW[:n])
        log_p_BC = np.empty((n, W * log_p_BV.shape[1]))
        extension_BWK = log_p_BC[:, W:].reshape(n, W, -1)
        stay_label_BW = self.extend(total_BW, log_p_BV, extension_BWK)
        self.prefixes.merge(stay_label_BW, extension_BWK)
        stay_blank_BW = total_BW + log_p_BV[:, :1]
        np.logaddexp(stay_blank_BW, stay_label_BW, out=log_p_BC[:, :W])
        bonus_BC = None if self.bonus is None else self.bonus.candidates(n)
        choice = self.prefixes.choose(log_p_BC if bonus_BC is None else log_p_BC + bonus_BC)
        if self.bonus is not None and bonus_BC is not None:
            self.bonus.choose(choice, bonus_BC)
        self.blank_BW[:n] = np.where(choice.stays, choice.of(stay_blank_BW), -np.inf)
        label_BW = np.where(choice.stays, choice.of(stay_label_BW), choice.at(log_p_BC))
        self.label_BW[:n] = label_BW

    def extend(self, total_BW: Floats, log_p_BV: Floats, extension_BWK: Floats) -> Floats:
        """Write the extensions by each label; return p_l of the prefixes before the merge."""
        n = len(total_BW)
        last_BW = self.prefixes.last_BW[:n]
        log_p_last_BW = np.take_along_axis(log_p_BV, last_BW, 1)
        np.add(total_BW[:, :, None], log_p_BV[:, None, 1:], out=extension_BWK)
        b_M, place_M = np.nonzero(last_BW)
        repeated_BW = self.blank_BW[:n] + log_p_last_BW
        extension_BWK[b_M, place_M, last_BW[b_M, place_M] - 1] = repeated_BW[b_M, place_M]
        return self.label_BW[:n] + log_p_last_BW


class _Bonus:
    """Additions of a label model to the scores of the prefixes of a beam [B, W]."""

    def __init__(self, fusion: Fusion, shape: tuple[int, int]) -> None:
        self.fusion = fusion
        self.state_BW: Ints = np.full(shape, fusion.model.start())
        self.bonus_BW: Floats = np.zeros(shape)

    def increments(self, n: int) -> Floats:
        state_BW = self.state_BW[:n]
        return self.fusion.increments(state_BW.ravel()).reshape(*state_BW.shape, -1)

    def candidates(self, n: int) -> Floats:
        """Additions for the prefixes as they are, then for all their extensions [n, C]."""
        bonus_BW = self.bonus_BW[:n]
        extended_BWK = bonus_BW[:, :, None] + self.increments(n)[:, :, 1:]
        return np.concatenate([bonus_BW, extended_BWK.reshape(n, -1)], axis=1)

    def choose(self, choice: Choice, bonus_BC: Floats) -> None:
        n = len(bonus_BC)
        self.bonus_BW[:n] = choice.at(bonus_BC)
        state_BW, grows_BW = choice.of(self.state_BW[:n]), ~choice.stays
        longer = self.fusion.model.advance(state_BW[grows_BW], choice.label[grows_BW])
        state_BW[grows_BW] = longer
        self.state_BW[:n] = state_BW

    def final(self) -> Floats:
        """Additions with the end of the sequence [B, W]."""
        return self.bonus_BW + self.increments(len(self.state_BW))[:, :, 0]
