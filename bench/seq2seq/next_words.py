"""The next word by a softmax; see `bench.seq2seq.next_words.Continuations`.

The best words are taken from the logits chunk by chunk, while a chunk is in the cache; log p of all
words is written down only where it is asked for. Every sum is the one that the softmax's losses
have: the library's log_softmax adds one number after the other, so that long rows lose digits, over
a sentence the fifth behind the point, by which a search and a rescoring would differ.

Shapes: N rows, M of them a chunk, R readout, V vocabulary, k wanted, F forbidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bench.layers.full import FullSoftmax

# The largest entries of long rows.
#
# Shapes: N rows, V entries, k wanted, M blocks of W entries, R entries that fill no block, C
# candidates.


BLOCK = 64


def top_entries(values_NV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries [N, k] of each row, largest first, and where they stand [N, k].

    The k largest lie in the k blocks with the largest maxima, and on a CPU these maxima are found
    much quicker than the library selects among all entries.
    """
    num_blocks = values_NV.shape[1] // BLOCK
    if num_blocks <= 2 * k or values_NV.is_cuda:
        return torch.topk(values_NV, k)
    blocked_NV, rest_NR = values_NV.tensor_split([num_blocks * BLOCK], dim=1)
    values_NMW = blocked_NV.view(-1, num_blocks, BLOCK)
    block_Nk = values_NMW.amax(2).topk(k).indices
    inside_NkW = values_NMW.gather(1, block_Nk[:, :, None].expand(-1, -1, BLOCK))
    best_Nk, place_Nk = torch.cat([inside_NkW.flatten(1), rest_NR], dim=1).topk(k)
    index_Nk = block_Nk.gather(1, (place_Nk // BLOCK).clamp(max=k - 1)) * BLOCK + place_Nk % BLOCK
    in_rest_Nk = place_Nk >= k * BLOCK
    return best_Nk, torch.where(in_rest_Nk, place_Nk + (num_blocks - k) * BLOCK, index_Nk)


# What may follow the rows of a search, as far as the search asks for it.
#
# A search wants the few best of many tokens and the end: a network that finds them while it works
# out its outputs never has to write all their probabilities down.
#
# Shapes: N rows, V vocabulary, k wanted.


class Best(NamedTuple):
    """Natural log-probabilities, of all V tokens, the forbidden ones as well."""

    log_probs: Tensor
    """[N, k], the largest first; min(k, V) of them."""
    tokens: Tensor
    """Whose they are [N, k]."""
    log_prob_of_end: Tensor
    """[N], be the end among them or not."""


class Continuations(Protocol):
    """The next token of N rows."""

    def best(self, k: int, forbidden: Sequence[int], *, end: int) -> Best:
        """The k most probable tokens that are not forbidden; the caller may overwrite them."""
        ...

    def log_probs(self) -> Tensor:
        """Natural log-probabilities of all [N, V]."""
        ...


@dataclass(frozen=True)
class LogProbs:
    """All of them at hand."""

    values: Tensor
    """[N, V]."""

    def best(self, k: int, forbidden: Sequence[int], *, end: int) -> Best:
        log_p_NV = self.values
        if forbidden:
            absent = torch.tensor(forbidden, device=log_p_NV.device)
            log_p_NV = log_p_NV.index_fill(1, absent, -math.inf)
        return Best(*top_entries(log_p_NV, min(k, log_p_NV.shape[1])), self.values[:, end])

    def log_probs(self) -> Tensor:
        return self.values


@dataclass(frozen=True)
class NextWords:
    """What a softmax makes of readouts."""

    output: FullSoftmax
    readouts: Tensor
    """r_NR."""

    @torch.no_grad()
    def best(self, k: int, forbidden: Sequence[int], *, end: int) -> Best:
        absent, parts = list(forbidden), list[Best]()
        for _, z_MV in self.output.logit_chunks(self.readouts):
            end_M1, absent_MF = z_MV[:, end, None].clone(), z_MV[:, absent]
            z_MV[:, absent] = -math.inf
            best_Mk, word_Mk = top_entries(z_MV, min(k, z_MV.shape[1]))
            largest_M1 = best_Mk[:, :1]
            log_sum_M1 = z_MV.sub_(largest_M1).exp_().sum(1, keepdim=True).log_() + largest_M1
            if absent:
                log_sum_M1 = torch.logaddexp(log_sum_M1, absent_MF.logsumexp(1, keepdim=True))
            log_p_end_M = (end_M1 - log_sum_M1)[:, 0]
            parts.append(Best(best_Mk - log_sum_M1, word_Mk, log_p_end_M))
        return Best(*(torch.cat(part) for part in zip(*parts, strict=True)))

    @torch.no_grad()
    def log_probs(self) -> Tensor:
        log_p_NV = self.readouts.new_empty(len(self.readouts), self.output.vocabulary_size)
        for rows, z_MV in self.output.logit_chunks(self.readouts):
            torch.sub(z_MV, z_MV.logsumexp(1, keepdim=True), out=log_p_NV[rows])
        return log_p_NV
