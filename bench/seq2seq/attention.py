"""Attention: a context for each query, a weighted mean of the source's annotations.

    c_t = sum_k a_tk h_k,  a_tk = softmax_k e_tk

    mean      a_tk = 1 / S: a bag of words
    additive  e_tk = v . tanh(W q_t + U h_k)     D. Bahdanau, K. Cho and Y. Bengio, 2015
    dot       e_tk = q_t . h_k                   M.-T. Luong, H. Pham and C. Manning, 2015
    general   e_tk = q_t . W h_k                 the same

Shapes: B sentences, T queries of a sentence (steps, or beams), S source words, A annotation,
Q query, K key.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.seq2seq.options import Score


class Memory(NamedTuple):
    """Sources as attention reads them, computed once for all queries."""

    annotations: Tensor
    """h_BSA, zero at padding."""
    keys: Tensor
    """The part of the scores that annotations decide [B, S, K]; empty where there is none."""
    valid: Tensor
    """False at padding [B, S]."""

    def rows(self, row_M: Tensor) -> Memory:
        """Memory of the sentences `row_M`."""
        return Memory(*(part[row_M] for part in self))


class Attention(nn.Module):
    """Base of all scores; by default the product of query and key."""

    def __init__(self, annotation_size: int) -> None:
        super().__init__()
        self.annotation_size = annotation_size

    def build_memory(self, h_BSA: Tensor, valid_BS: Tensor) -> Memory:
        return Memory(h_BSA, self.keys(h_BSA), valid_BS)

    def forward(self, query_BTQ: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Contexts c_BTA and weights a_BTS, which are zero at padding."""
        score_BTS = self.scores(query_BTQ, memory)
        a_BTS = score_BTS.masked_fill(~memory.valid[:, None], -math.inf).softmax(2)
        return torch.bmm(a_BTS, memory.annotations), a_BTS

    def keys(self, h_BSA: Tensor) -> Tensor:
        """Keys [B, S, K] of annotations."""
        return h_BSA

    def scores(self, query_BTQ: Tensor, memory: Memory) -> Tensor:
        """Scores e_BTS; any values at padding."""
        return torch.bmm(query_BTQ, memory.keys.transpose(1, 2))

    def flops_per_word(self) -> int:
        """Floating-point operations of a source word's key, matrix products only."""
        return 0

    def flops_per_query(self, num_words: float) -> float:
        """Floating-point operations of a context of `num_words` words, matrix products only."""
        return 2 * num_words * self.annotation_size


class Mean(Attention):
    """Equal weights."""

    def keys(self, h_BSA: Tensor) -> Tensor:
        return h_BSA[:, :, :0]

    def scores(self, query_BTQ: Tensor, memory: Memory) -> Tensor:
        shape = *query_BTQ.shape[:2], memory.valid.shape[1]
        return memory.annotations.new_zeros(shape)


class Dot(Attention):
    """Product of query and annotation, which have one size."""

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(annotation_size)
        if query_size != annotation_size:
            raise BenchError(
                f"dot attention multiplies annotations of size {annotation_size} by outputs of "
                f"size {query_size}: set --objective.decoder-size {annotation_size} where that is "
                "possible, or --objective.attention general"
            )

    def flops_per_query(self, num_words: float) -> float:
        return 4 * num_words * self.annotation_size


class General(Attention):
    """Product of query and W h."""

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(annotation_size)
        self.of_annotation = nn.Linear(annotation_size, query_size, bias=False)

    def keys(self, h_BSA: Tensor) -> Tensor:
        return torch.as_tensor(self.of_annotation(h_BSA))

    def flops_per_word(self) -> int:
        return 2 * self.of_annotation.weight.numel()

    def flops_per_query(self, num_words: float) -> float:
        return 2 * num_words * (self.annotation_size + self.of_annotation.out_features)


class Additive(Attention):
    """Layer of tanh units over query and annotation."""

    def __init__(self, query_size: int, annotation_size: int, size: int) -> None:
        super().__init__(annotation_size)
        self.of_query = nn.Linear(query_size, size, bias=False)
        self.of_annotation = nn.Linear(annotation_size, size, bias=False)
        self.v_K = nn.Parameter(torch.empty(size).uniform_(-1, 1) / math.sqrt(size))

    def keys(self, h_BSA: Tensor) -> Tensor:
        return torch.as_tensor(self.of_annotation(h_BSA))

    def scores(self, query_BTQ: Tensor, memory: Memory) -> Tensor:
        query_BT1K = self.of_query(query_BTQ)[:, :, None]
        return torch.tanh(query_BT1K + memory.keys[:, None]) @ self.v_K

    def flops_per_word(self) -> int:
        return 2 * self.of_annotation.weight.numel()

    def flops_per_query(self, num_words: float) -> float:
        own = self.of_query.weight.numel() + num_words * len(self.v_K)
        return 2 * own + super().flops_per_query(num_words)


def build_attention(
    score: Score, query_size: int, annotation_size: int, *, hidden_size: int
) -> Attention | None:
    """Attention by the name of its score; `hidden_size` is read by `additive` only."""
    if score == "none":
        return None
    if score == "mean":
        return Mean(annotation_size)
    if score == "additive":
        return Additive(query_size, annotation_size, hidden_size)
    if score == "dot":
        return Dot(query_size, annotation_size)
    return General(query_size, annotation_size)
