"""How translations are searched: the beam, its penalty, how long they may get.

Shapes: B sentences, S source words, T target words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from bench.data.tokens import END, START
from bench.seq2seq.beam import Found, LengthPenalty, StateT, StepNetwork, beam_search
from bench.seq2seq.next_words import Continuations, LogProbs
from bench.seq2seq.writer import Sources, Writer
from bench.translation.network import Pairs, TranslationNetwork

# Several networks as one: the mean of their probabilities at every step.
#
# Shapes: B sentences, K beams, N rows, V vocabulary.


class Ensemble(Generic[StateT]):
    """p = (p_1 + ... + p_n) / n, of networks with the same vocabulary that read the same."""

    def __init__(self, networks: Sequence[StepNetwork[StateT]]) -> None:
        self.networks = networks

    def begin(self) -> tuple[StateT, ...]:
        """The states of all."""
        return tuple(network.begin() for network in self.networks)

    def step(
        self, token_N: Tensor, state: tuple[StateT, ...]
    ) -> tuple[Continuations, tuple[StateT, ...]]:
        """What follows by the mean probability, and the states of all."""
        pairs = zip(self.networks, state, strict=True)
        following, after = zip(*(network.step(token_N, own) for network, own in pairs), strict=True)
        if len(following) == 1:
            return following[0], after
        return LogProbs(mean_log_prob([each.log_probs() for each in following])), after

    def reorder(self, state: tuple[StateT, ...], row_BK: Tensor) -> tuple[StateT, ...]:
        """The rows named, of all."""
        pairs = zip(self.networks, state, strict=True)
        return tuple(network.reorder(own, row_BK) for network, own in pairs)


def mean_log_prob(log_probs: Sequence[Tensor]) -> Tensor:
    """The log of the mean of some probabilities."""
    total = log_probs[0]
    for log_p in log_probs[1:]:
        total = torch.logaddexp(total, log_p)
    return total - math.log(len(log_probs)) if len(log_probs) > 1 else total


ADDED_LENGTH = 10
"""Words that a translation may be longer than its factor says."""
NO_PENALTY = LengthPenalty()
MAX_SCORES = 1 << 26
"""Scores of a step, sentences x beams x words, that are held at once."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Translates batches of sentences by one network, or by several as an ensemble.

    A translation has at most `max_length_factor` times the words of its source and ADDED_LENGTH
    more; of nothing it has none.
    """

    beam_size: int = 1
    penalty: LengthPenalty = NO_PENALTY
    max_length_factor: float = 2.0

    def __call__(
        self,
        networks: Sequence[TranslationNetwork],
        source_BS: Tensor,
        lengths_B: Tensor,
        *,
        num_best: int = 1,
    ) -> list[list[Found]]:
        """The best translations of each sentence, best first."""
        words_B = lengths_B - 1
        longest_B = (words_B * self.max_length_factor).ceil().long() + ADDED_LENGTH + 1
        return search_in_parts(
            networks,
            [(source_BS, lengths_B) for _ in networks],
            longest_B.where(words_B > 0, 1),
            forbidden=(START,),
            beam_size=self.beam_size,
            num_best=num_best,
            penalty=self.penalty,
        )

    @property
    def signature(self) -> str:
        """greedy, beam(K) or beam(K)+penalty; a factor that is not the usual one is named."""
        kind = search_name(self.beam_size, self.penalty)
        if self.max_length_factor != Search.max_length_factor:
            kind += f"+longest({self.max_length_factor:g})"
        return kind


def search_name(beam_size: int, penalty: LengthPenalty) -> str:
    """How signatures name a search: greedy, beam(K) or beam(K)+penalty."""
    if beam_size == 1:
        return "greedy"
    return f"beam({beam_size})" + (f"+{penalty.signature}" if penalty.kind != "none" else "")


def search_in_parts(
    networks: Sequence[Writer],
    sources: Sequence[Sources],
    longest_B: Tensor,
    *,
    forbidden: Sequence[int],
    beam_size: int,
    num_best: int,
    penalty: LengthPenalty,
) -> list[list[Found]]:
    """The best sequences of each row by the ensemble of networks, each with its own sources.

    `longest_B` counts the end. No more rows at once than MAX_SCORES allows.
    """
    size = max(1, MAX_SCORES // (beam_size * networks[0].embedding.num_embeddings))
    found: list[list[Found]] = []
    for first in range(0, len(longest_B), size):
        rows = slice(first, first + size)
        ensemble = Ensemble(
            [
                network.searching(*(part[rows] for part in source))
                for network, source in zip(networks, sources, strict=True)
            ]
        )
        found += beam_search(
            ensemble,
            longest_B[rows],
            start=START,
            end=END,
            forbidden=forbidden,
            beam_size=beam_size,
            num_best=num_best,
            penalty=penalty,
        )
    return found


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Words with their end [B, S], zero behind it, and lengths with the end [B]."""
    lengths = [len(row) + 1 for row in rows]
    ids = torch.zeros(len(rows), max(lengths), dtype=torch.long)
    for row, words, length in zip(ids, rows, lengths, strict=True):
        row[:length] = torch.tensor([*words, END])
    return ids.to(device), torch.tensor(lengths, device=device)


def alignments(
    networks: Sequence[TranslationNetwork],
    source_BS: Tensor,
    lengths_B: Tensor,
    found: Sequence[Sequence[Found]],
) -> list[list[Tensor | None]]:
    """Attention's weights of each translation [T, S], both with their end, on the CPU.

    The mean over the networks that have attention; None where none has.
    """
    sentence_of = [b for b, of_one in enumerate(found) for _ in of_one]
    row_N = torch.tensor(sentence_of, dtype=torch.long, device=source_BS.device)
    words = [one.tokens for of_one in found for one in of_one]
    target_NT, target_lengths_N = padded(words, source_BS.device)
    source_lengths_N = lengths_B[row_N]
    pairs = Pairs(source_BS[row_N], source_lengths_N, target_NT, target_lengths_N)
    each = [a for network in networks if (a := network.alignments(pairs)) is not None]
    if not each:
        return [[None for _ in of_one] for of_one in found]
    mean_NTS = torch.stack(each).mean(0).cpu()
    ends = zip(target_lengths_N.tolist(), source_lengths_N.tolist(), strict=True)
    cut = iter([a[:t, :s] for a, (t, s) in zip(mean_NTS, ends, strict=True)])
    return [[next(cut) for _ in of_one] for of_one in found]
