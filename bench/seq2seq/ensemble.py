"""Several networks as one: the mean of their probabilities at every step.

Shapes: B sentences, K beams, N rows, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Generic

import torch
from torch import Tensor

from bench.seq2seq.beam import StateT, StepNetwork
from bench.seq2seq.continuations import Continuations, LogProbs


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
