"""How far back a network really looks: its loss when the history is cut off.

For each position t the network starts anew, with the state of a text's beginning, k words before,
and predicts w_t from these k words alone. The same positions with their whole history are the
measure that the losses are held against.

Shapes: P positions, B of a batch, T = k words.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.text.diagnosis.gradients import spaced, text_of
from bench.text.objectives.language_model import LanguageModel

LENGTHS = (1, 2, 3, 5, 10, 20, 50, 100)
MAX_STEPS = 50_000
"""Steps of all rows of a batch together: bounds the memory."""


def positions(num_tokens: int, count: int) -> torch.Tensor:
    """Places of predicted words, each with the longest history of `usable_lengths` before it."""
    longest = max(usable_lengths(num_tokens))
    return spaced(longest - 1, num_tokens - 1, count)


def usable_lengths(num_tokens: int) -> list[int]:
    """The lengths that leave half of the text as positions; one at least."""
    return [length for length in LENGTHS if length == 1 or length <= num_tokens // 2]


@torch.no_grad()
def truncated_losses(
    model: LanguageModel, split: str, places_P: torch.Tensor, lengths: Sequence[int]
) -> dict[int, float]:
    """Length k -> mean loss in nats at the positions, each from its last k words."""
    model.eval()
    input_N, target_N = text_of(model, split)
    losses: dict[int, float] = {}
    for length in lengths:
        total = 0.0
        for places_B in torch.split(places_P, max(1, MAX_STEPS // length)):
            windows_BT = places_B[:, None] + torch.arange(1 - length, 1)
            y_BTH, _ = model.recurrence(model.embedding(input_N[windows_BT]))
            log_p_B = model.output.log_probs(y_BTH[:, -1], target_N[places_B])
            total -= float(log_p_B.double().sum())
        losses[length] = total / len(places_P)
    return losses
