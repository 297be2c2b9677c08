"""Next tokens of the rows of a search: the few best, without all probabilities written down.

`NextWords` takes them from a softmax's logits chunk by chunk, while a chunk is in the cache. Every
sum is the one that the softmax's losses have: the library's log_softmax adds one number after the
other, so that long rows lose digits (over a sentence the fifth behind the point), by which a search
and a rescoring would differ.

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

BLOCK = 64


class Best(NamedTuple):
    """Best tokens of each row, with natural log-probabilities normalised over all V tokens."""

    log_probs: Tensor
    """[N, k], largest first; min(k, V) of them."""
    tokens: Tensor
    """[N, k]."""
    log_prob_of_end: Tensor
    """[N], whether or not the end is among the best."""


class Continuations(Protocol):
    """Next token of N rows."""

    def best(self, k: int, forbidden: Sequence[int], *, end: int) -> Best:
        """Most probable k tokens that are not forbidden; the caller may overwrite them."""

    def log_probs(self) -> Tensor:
        """Natural log-probabilities of all tokens [N, V]."""


@dataclass(frozen=True)
class LogProbs:
    """Continuations whose log-probabilities [N, V] are all computed."""

    values: Tensor

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
    """Continuations by a softmax over readouts r_NR."""

    output: FullSoftmax
    readouts: Tensor

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


def top_entries(values_NV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Largest k entries [N, k] of each row, largest first, and their places [N, k].

    They lie in the k blocks (M of W entries, R left over) with the largest maxima; on a CPU these
    maxima are found much quicker than the library selects among all entries.
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
