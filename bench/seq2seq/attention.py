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
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.seq2seq.options import Score


class Memory(NamedTuple):
    """What attention asks of the sources, computed once."""

    annotations: Tensor
    """h_BSA, zero at padding."""
    keys: Tensor
    """What scores are made from [B, S, K]; empty where none are."""
    valid: Tensor
    """True where a sentence still runs [B, S]."""

    def rows(self, row_M: Tensor) -> Memory:
        """Some of the sentences."""
        return Memory(*(part[row_M] for part in self))


class Attention(nn.Module, ABC):
    """Weights of the annotations for each query."""

    def __init__(self, annotation_size: int) -> None:
        super().__init__()
        self.annotation_size = annotation_size

    def remember(self, h_BSA: Tensor, valid_BS: Tensor) -> Memory:
        """What does not depend on the queries."""
        return Memory(h_BSA, self.keys(h_BSA), valid_BS)

    def forward(self, query_BTQ: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Contexts c_BTA and weights a_BTS, which are zero at padding."""
        score_BTS = self.scores(query_BTQ, memory)
        a_BTS = score_BTS.masked_fill(~memory.valid[:, None], -math.inf).softmax(2)
        return torch.bmm(a_BTS, memory.annotations), a_BTS

    def keys(self, h_BSA: Tensor) -> Tensor:
        """The part of the scores that the annotations alone decide, [B, S, K]."""
        return h_BSA

    @abstractmethod
    def scores(self, query_BTQ: Tensor, memory: Memory) -> Tensor:
        """e_BTS, whatever at padding."""

    def flops_per_word(self) -> int:
        """Floating-point operations of a source word's key, matrix products only."""
        return 0

    def flops_per_query(self, num_words: float) -> float:
        """Of a context of so many words."""
        return 2 * num_words * self.annotation_size


class Mean(Attention):
    """Equal weights."""

    def keys(self, h_BSA: Tensor) -> Tensor:
        return h_BSA[:, :, :0]

    def scores(self, query_BTQ: Tensor, memory: Memory) -> Tensor:
        shape = *query_BTQ.shape[:2], memory.valid.shape[1]
        return memory.annotations.new_zeros(shape)


class Dot(Attention):
    """The product of query and annotation, which have one size."""

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(annotation_size)
        if query_size != annotation_size:
            raise BenchError(
                f"dot attention multiplies annotations of size {annotation_size} by outputs of "
                f"size {query_size}: set --objective.decoder-size {annotation_size} where that is "
                "possible, or --objective.attention general"
            )

    def scores(self, query_BTQ: Tensor, memory: Memory) -> Tensor:
        return torch.bmm(query_BTQ, memory.keys.transpose(1, 2))

    def flops_per_query(self, num_words: float) -> float:
        return 4 * num_words * self.annotation_size


class General(Attention):
    """The product of query and W h."""

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(annotation_size)
        self.of_annotation = nn.Linear(annotation_size, query_size, bias=False)

    def keys(self, h_BSA: Tensor) -> Tensor:
        return torch.as_tensor(self.of_annotation(h_BSA))

    def scores(self, query_BTQ: Tensor, memory: Memory) -> Tensor:
        return torch.bmm(query_BTQ, memory.keys.transpose(1, 2))

    def flops_per_word(self) -> int:
        return 2 * self.of_annotation.weight.numel()

    def flops_per_query(self, num_words: float) -> float:
        return 2 * num_words * (self.annotation_size + self.of_annotation.out_features)


class Additive(Attention):
    """A layer of tanh units of query and annotation."""

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
    """The attention of that name; `hidden_size` is read by `additive` only."""
    if score == "none":
        return None
    if score == "mean":
        return Mean(annotation_size)
    if score == "dot":
        return Dot(query_size, annotation_size)
    if score == "general":
        return General(query_size, annotation_size)
    return Additive(query_size, annotation_size, hidden_size)
