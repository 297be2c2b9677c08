"""The next word by a softmax; see `bench.seq2seq.continuations.Continuations`.

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

import torch
from torch import Tensor

from bench.layers.output.full import FullSoftmax
from bench.seq2seq.continuations import Best
from bench.seq2seq.top import top_entries


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
