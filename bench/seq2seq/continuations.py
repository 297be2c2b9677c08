"""What may follow the rows of a search, as far as the search asks for it.

A search wants the few best of many tokens and the end: a network that finds them while it works out
its outputs never has to write all their probabilities down.

Shapes: N rows, V vocabulary, k wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bench.seq2seq.top import top_entries


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
