"""The plain program that the shipped path is held against: what one writes first.

A loop over time in Python, `nn.Linear` over the vocabulary, `cross_entropy`, Adam as it comes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.core.config import TrainerConfig
from bench.models.recurrence import Recurrence, State
from bench.training.precision import autocast


class PlainLanguageModel(nn.Module):
    """Embedding, a recurrence read by its plain loop, a linear layer and cross entropy."""

    def __init__(self, recurrence: Recurrence, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, recurrence.input_size)
        self.recurrence = recurrence
        self.output = nn.Linear(recurrence.output_size, vocabulary_size)

    def forward(
        self, input_BT: Tensor, target_BT: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Mean loss over the tokens, and the state at the end."""
        y_BTH, state = self.recurrence.forward_reference(self.embedding(input_BT), state)
        scores_NV = self.output(y_BTH.flatten(0, 1))
        return nn.functional.cross_entropy(scores_NV, target_BT.flatten()), state


class LibraryLanguageModel(nn.Module):
    """The same around `nn.LSTM`."""

    def __init__(self, embedding_size: int, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, vocabulary_size)

    def forward(
        self, input_BT: Tensor, target_BT: Tensor, state: State | None
    ) -> tuple[Tensor, State]:
        """Mean loss over the tokens, and the state at the end."""
        y_BTH, (h, c) = self.lstm(self.embedding(input_BT), state)
        scores_NV = self.output(y_BTH.flatten(0, 1))
        return nn.functional.cross_entropy(scores_NV, target_BT.flatten()), (h, c)


def lstm_size(num_parameters: int, embedding_size: int, vocabulary_size: int) -> int:
    """The hidden size at which `LibraryLanguageModel` has about `num_parameters`."""

    def count(hidden: int) -> int:
        cell = 4 * hidden * (embedding_size + hidden + 2)
        return vocabulary_size * (embedding_size + hidden + 1) + cell

    low, high = 1, 1
    while count(high) < num_parameters:
        low, high = high, 2 * high
    return min(range(low, high + 1), key=lambda hidden: abs(count(hidden) - num_parameters))


class PlainLoop:
    """Training steps of a plain model over the given batches, one a call."""

    def __init__(
        self,
        model: nn.Module,
        batches: list[tuple[Tensor, Tensor]],
        *,
        clip: float,
        trainer: TrainerConfig,
    ) -> None:
        self.model, self.batches, self.clip, self.trainer = model, batches, clip, trainer
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        self.state: State | None = None
        self.place = 0

    def __call__(self) -> float:
        input_BT, target_BT = self.batches[self.place % len(self.batches)]
        self.place += 1
        state = None if self.state is None else tuple(s.detach() for s in self.state)
        with autocast(self.trainer, input_BT.device):
            loss, self.state = self.model(input_BT, target_BT, state)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return float(loss.detach())
