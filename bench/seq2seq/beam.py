"""Beam search for networks that write a sequence token by token, many sentences at a time.

A sentence has K places. At each step its best continuations, as many as it has free places, go on;
one that takes the end keeps its place and is finished, so that one beam is greedy search and a beam
that is wide enough is exhaustive (D. Bahdanau, K. Cho and Y. Bengio, 2015; I. Sutskever, O. Vinyals
and Q. Le, 2014). A sentence leaves the batch when no place is free or when no unfinished sequence
can still come among the best; the other sentences of the batch make no difference.

Shapes: B sentences still searched, K beams, N = B K rows, C candidates, T tokens so far; a
step's rows stand sentence by sentence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor

from bench.core.errors import BenchError
from bench.seq2seq.next_words import Continuations

Kind = Literal["none", "average", "gnmt"]
Numbers = TypeVar("Numbers", float, Tensor)
StateT = TypeVar("StateT")


@dataclass(frozen=True, kw_only=True)
class LengthPenalty:
    """Score of a finished sequence: its log-probability, divided by a function of its length.

        none     log p(y | x)
        average  log p(y | x) / |y|
        gnmt     log p(y | x) / ((5 + |y|) / 6)^alpha

    The last is equation (14) of Y. Wu et al., "Google's neural machine translation system", 2016,
    without coverage; it alone reads `alpha`. |y| counts the end, as log p does.
    """

    kind: Kind = "none"
    alpha: float = 0.6

    def score(self, log_prob: Numbers, length: Numbers) -> Numbers:
        """Score of a finished sequence."""
        if self.kind == "none":
            return log_prob
        if self.kind == "average":
            return log_prob / length
        divisor: Numbers = ((5 + length) / 6) ** self.alpha
        return log_prob / divisor

    def upper_bound(self, log_prob: Tensor, length: Tensor, max_length: Tensor) -> Tensor:
        """Highest score of an unfinished sequence, if every further token were certain.

        Its final length is between `length` and `max_length`; the score is monotone in it.
        """
        return torch.maximum(self.score(log_prob, length), self.score(log_prob, max_length))

    @property
    def signature(self) -> str:
        """Name in the signatures of searches."""
        return f"gnmt({self.alpha:g})" if self.kind == "gnmt" else self.kind


class StepNetwork(Protocol[StateT]):
    """Interface of a network that has read its B sentences (or images) and is searched."""

    def begin(self) -> StateT:
        """State before the first token, a row a sentence."""

    def step(self, token_N: Tensor, state: StateT) -> tuple[Continuations, StateT]:
        """Continuations after these tokens, of N rows."""

    def reorder(self, state: StateT, row_BK: Tensor) -> StateT:
        """Select rows of the state, sentence by sentence.

        The rows of a sentence of the new state are rows of one sentence of the old one. The
        sentences keep their order; some may be gone.
        """


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """Finished sequence."""

    tokens: tuple[int, ...]
    """Tokens without the end."""
    log_prob: float
    """Natural log-probability of the tokens and the end."""
    score: float
    """`log_prob` after the length penalty."""


@torch.no_grad()
def beam_search(
    network: StepNetwork[StateT],
    max_length_B: Tensor,
    *,
    start: int,
    end: int,
    forbidden: Sequence[int] = (),
    beam_size: int,
    num_best: int = 1,
    penalty: LengthPenalty | None = None,
) -> list[list[Hypothesis]]:
    """Find the `num_best` best sequences of each sentence, best first.

    `max_length_B` [B] >= 1 counts the end, which is the only token that may come last. Fewer than
    `num_best` come back where so few exist. `forbidden` tokens are never written. Raises BenchError
    for sizes that make no search, and where the network's outputs are NaN.
    """
    if not 1 <= num_best <= beam_size:
        raise BenchError(
            f"{num_best} best of a beam of {beam_size}: choose 1 <= num_best <= beam_size"
        )
    if len(max_length_B) and int(max_length_B.min()) < 1:
        raise BenchError("a sequence has one token at the least, its end: max_length_B >= 1")
    beam = _Beam(max_length_B, beam_size, num_best, end, tuple(forbidden), penalty)
    token_N, state = torch.full_like(max_length_B, start), network.begin()
    while len(beam.sentence_B):
        continuations, state = network.step(token_N, state)
        row_BK = beam.advance(continuations)
        state = network.reorder(state, row_BK)
        token_N = beam.token_BKT[:, :, -1].flatten()
    return [sorted(of_one, key=lambda one: -one.score)[:num_best] for of_one in beam.finished]


class _Beam:
    """Unfinished sequences of the sentences that are still searched, and all finished ones."""

    def __init__(
        self,
        max_length_B: Tensor,
        beam_size: int,
        num_best: int,
        end: int,
        forbidden: tuple[int, ...],
        penalty: LengthPenalty | None,
    ) -> None:
        B, device = len(max_length_B), max_length_B.device
        self.beam_size, self.end, self.forbidden = beam_size, end, forbidden
        self.penalty = penalty or LengthPenalty()
        self.finished: list[list[Hypothesis]] = [[] for _ in range(B)]
        self.sentence_B = torch.arange(B, device=device)
        self.max_length_B = max_length_B
        self.token_BKT = max_length_B.new_empty(B, 1, 0)
        # Summed in float64, so that the order of sums is no matter; -inf: nothing goes on here.
        self.log_prob_BK = torch.zeros(B, 1, dtype=torch.float64, device=device)
        self.free_B = torch.full_like(max_length_B, beam_size)
        self.best_Bn = torch.full((B, num_best), -math.inf, dtype=torch.float64, device=device)

    def advance(self, continuations: Continuations) -> Tensor:
        """Append a token to every sequence. Returns the rows [B, K] that the next step extends."""
        length, width = self.token_BKT.shape[2] + 1, self.log_prob_BK.shape[1]
        log_prob_BK, beam_BK, token_BK = self._candidates(continuations, length)
        before_BKT = self.token_BKT.gather(1, beam_BK[:, :, None].expand(-1, -1, length - 1))
        rank_K = torch.arange(beam_BK.shape[1], device=beam_BK.device)
        taken_BK = (rank_K < self.free_B[:, None]) & log_prob_BK.isfinite()
        ended_BK = taken_BK & (token_BK == self.end)
        self._finish(ended_BK, before_BKT, log_prob_BK, length)
        row_BK = beam_BK + width * torch.arange(len(beam_BK), device=beam_BK.device)[:, None]
        self.token_BKT = torch.cat([before_BKT, token_BK[:, :, None]], dim=2)
        self.log_prob_BK = log_prob_BK.where(taken_BK & ~ended_BK, -math.inf)
        self.free_B = self.free_B - ended_BK.sum(1)
        return self._drop_decided(row_BK, length)

    def _candidates(
        self, continuations: Continuations, length: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """K best of each sentence, best first: log-probability, the beam extended, the token."""
        best_NC, token_NC, end_N = continuations.best(self.beam_size, self.forbidden, end=self.end)
        if bool(best_NC.isnan().any()):
            raise BenchError(
                "the network's outputs are not numbers (NaN): it has diverged, nothing can be "
                "decoded from it"
            )
        B, C = len(self.sentence_B), best_NC.shape[1]
        last_B = self.max_length_B == length
        if bool(last_B.any()):  # nothing but the end may follow
            last_N = last_B.repeat_interleave(self.log_prob_BK.shape[1])
            best_NC[last_N] = -math.inf
            best_NC[last_N, 0] = end_N[last_N]
            token_NC[last_N] = self.end
        sum_BC = (self.log_prob_BK.flatten()[:, None] + best_NC.double()).view(B, -1)
        log_prob_BK, place_BK = sum_BC.topk(min(self.beam_size, sum_BC.shape[1]))
        return log_prob_BK, place_BK // C, token_NC.view(B, -1).gather(1, place_BK)

    def _finish(
        self, ended_BK: Tensor, before_BKT: Tensor, log_prob_BK: Tensor, length: int
    ) -> None:
        """Store the sequences that have ended."""
        if not bool(ended_BK.any()):
            return
        length_BK = torch.full_like(log_prob_BK, length)
        score_BK = self.penalty.score(log_prob_BK, length_BK)
        sentences = self.sentence_B[:, None].expand_as(ended_BK)[ended_BK].tolist()
        ended = (before_BKT[ended_BK], log_prob_BK[ended_BK], score_BK[ended_BK])
        for b, tokens, log_prob, score in zip(sentences, *(e.tolist() for e in ended), strict=True):
            one = Hypothesis(tokens=tuple(tokens), log_prob=log_prob, score=score)
            self.finished[b].append(one)
        scores = torch.cat([self.best_Bn, score_BK.where(ended_BK, -math.inf)], dim=1)
        self.best_Bn = scores.topk(self.best_Bn.shape[1]).values

    def _drop_decided(self, row_BK: Tensor, length: int) -> Tensor:
        """Remove the sentences that are decided. Returns the rows of the others."""
        best_B = self.log_prob_BK.amax(1)
        max_length_B = self.max_length_B.double()
        next_B = torch.full_like(max_length_B, length + 1)
        bound_B = self.penalty.upper_bound(best_B, next_B, max_length_B)
        open_B = (bound_B > self.best_Bn[:, -1]) & (best_B > -math.inf)
        if bool(open_B.all()):
            return row_BK
        self.sentence_B, self.max_length_B = self.sentence_B[open_B], self.max_length_B[open_B]
        self.token_BKT, self.log_prob_BK = self.token_BKT[open_B], self.log_prob_BK[open_B]
        self.free_B, self.best_Bn = self.free_B[open_B], self.best_Bn[open_B]
        return row_BK[open_B]
