"""Bytes that a training step must move between memory and processor, however clever it is.

With P numbers of weights, of which P_E are word vectors, N tokens, D and H the sizes of the
recurrence's input and output, m moments of the optimiser and s bytes a number, a whole step moves

    (1)  s [2 (P - P_E) + (4 + 2 m) P + 4 N (D + H)]

at the least: weights are read forward and backward (of word vectors only the N looked up, which the
inputs count), gradients are written, the optimiser reads weights, gradients and moments and writes
weights and moments; inputs and outputs of the recurrence are written and read, and so are their
gradients. A cell alone, without optimiser, whose input wants no gradient, moves

    (2)  s [2 P + P + 2 N (D + H)]

Weights count once for all time steps, as if they stayed in caches or registers; scores of the
words and what a cell keeps for its gradient do not count, as they can stay there or be computed
again. So the share of the bandwidth is one that no program can bring above 100 %.
"""

from __future__ import annotations

from torch import nn

from bench.core.config import OptimConfig

BYTES = 4
"""Of a number."""


def num_weights(module: nn.Module) -> int:
    """Numbers that are learned."""
    return sum(parameter.numel() for parameter in module.parameters())


def num_looked_up(model: nn.Module) -> int:
    """Numbers of word vectors that are nothing else: of them a step reads those of its words."""
    tables = [layer.weight for layer in model.modules() if isinstance(layer, nn.Embedding)]
    others = [layer for layer in model.modules() if not isinstance(layer, nn.Embedding)]
    shared = {id(weight) for layer in others for weight in layer.parameters(recurse=False)}
    return sum(weight.numel() for weight in tables if id(weight) not in shared)


def step_bytes(
    model: nn.Module, *, num_tokens: int, sizes: tuple[int, int], num_moments: int
) -> int:
    """Of a whole training step, by (1); `sizes` are D and H of its recurrence."""
    total = num_weights(model)
    weights = 2 * (total - num_looked_up(model)) + (4 + 2 * num_moments) * total
    return BYTES * (weights + 4 * num_tokens * sum(sizes))


def cell_bytes(cell: nn.Module, *, num_tokens: int, sizes: tuple[int, int]) -> int:
    """Of a recurrence alone, forward and backward, by (2)."""
    return BYTES * (3 * num_weights(cell) + 2 * num_tokens * sum(sizes))


def num_moments(config: OptimConfig) -> int:
    """Numbers that the optimiser keeps for each weight."""
    return int(config.momentum > 0) if config.name == "sgd" else 2
