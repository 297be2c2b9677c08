"""Beam searches by one network or by an ensemble, a bounded number of scores at a time.

Shapes: B sources, K beams, N rows, S words, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from bench.data.tokens import END, START
from bench.seq2seq.beam import Hypothesis, LengthPenalty, StateT, StepNetwork, beam_search
from bench.seq2seq.next_words import Continuations, LogProbs
from bench.seq2seq.writer import Sources, Writer

MAX_SCORES = 1 << 26
"""Scores of a step, sources x beams x words, that are held at once."""
NO_PENALTY = LengthPenalty()


class Ensemble(Generic[StateT]):
    """Mean of the probabilities, at every step, of networks with one vocabulary."""

    def __init__(self, networks: Sequence[StepNetwork[StateT]]) -> None:
        self.networks = networks

    def begin(self) -> tuple[StateT, ...]:
        return tuple(network.begin() for network in self.networks)

    def step(
        self, token_N: Tensor, state: tuple[StateT, ...]
    ) -> tuple[Continuations, tuple[StateT, ...]]:
        pairs = zip(self.networks, state, strict=True)
        each, after = zip(*(network.step(token_N, own) for network, own in pairs), strict=True)
        if len(each) == 1:
            return each[0], after
        return LogProbs(mean_log_prob([one.log_probs() for one in each])), after

    def reorder(self, state: tuple[StateT, ...], row_BK: Tensor) -> tuple[StateT, ...]:
        pairs = zip(self.networks, state, strict=True)
        return tuple(network.reorder(own, row_BK) for network, own in pairs)


def mean_log_prob(log_probs: Sequence[Tensor]) -> Tensor:
    """Log of the mean of probabilities that are given by their logs."""
    total = log_probs[0]
    for log_p in log_probs[1:]:
        total = torch.logaddexp(total, log_p)
    return total - math.log(len(log_probs)) if len(log_probs) > 1 else total


@dataclass(frozen=True, kw_only=True)
class Search:
    """Beam search by an ensemble of writers, each with its own sources; one beam is greedy."""

    beam_size: int = 1
    penalty: LengthPenalty = NO_PENALTY

    @property
    def name(self) -> str:
        """Name in signatures: greedy, beam(K) or beam(K)+penalty."""
        if self.beam_size == 1:
            return "greedy"
        penalty = "" if self.penalty.kind == "none" else f"+{self.penalty.signature}"
        return f"beam({self.beam_size}){penalty}"

    def best(
        self,
        networks: Sequence[Writer],
        sources: Sequence[Sources],
        max_length_B: Tensor,
        *,
        forbidden: Sequence[int],
        num_best: int,
    ) -> list[list[Hypothesis]]:
        """Best sequences of each source, best first; `max_length_B` counts the end."""
        size = max(1, MAX_SCORES // (self.beam_size * networks[0].embedding.num_embeddings))
        found: list[list[Hypothesis]] = []
        for first in range(0, len(max_length_B), size):
            rows = slice(first, first + size)
            pairs = zip(networks, sources, strict=True)
            found += beam_search(
                Ensemble(
                    [network.stepwise(*(x[rows] for x in source)) for network, source in pairs]
                ),
                max_length_B[rows],
                start=START,
                end=END,
                forbidden=forbidden,
                beam_size=self.beam_size,
                num_best=num_best,
                penalty=self.penalty,
            )
        return found


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Words with their end [B, S], zero behind it, and lengths with the end [B]."""
    lengths = [len(row) + 1 for row in rows]
    ids = torch.zeros(len(rows), max(lengths), dtype=torch.long)
    for row, words, length in zip(ids, rows, lengths, strict=True):
        row[:length] = torch.tensor([*words, END])
    return ids.to(device), torch.tensor(lengths, device=device)
