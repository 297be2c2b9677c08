"""Small network that writes sequences: a tanh layer, other weights for each sentence."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from bench.seq2seq.next_words import LogProbs

START, END = 1, 2
State = tuple[Tensor, Tensor]


class Writer:
    """Random weights over `num_tokens`; sentence b begins from row b of `first`."""

    def __init__(
        self,
        num_tokens: int,
        num_sentences: int,
        *,
        seed: int = 0,
        sharpness: float = 2.0,
        end: float = 0.0,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)

        def draw(*size: int) -> Tensor:
            return torch.randn(*size, generator=generator, dtype=torch.float64)

        self.embedding, self.recurrent = draw(num_tokens, 6), draw(6, 6)
        self.output = sharpness * draw(6, num_tokens)
        self.bias = torch.zeros(num_tokens, dtype=torch.float64)
        self.bias[END] = end
        self.first = draw(num_sentences, 6)
        self.num_rows: list[int] = []

    def only(self, sentences: list[int]) -> Writer:
        """Network over some of the sentences."""
        other = object.__new__(Writer)
        other.__dict__.update(self.__dict__, first=self.first[sentences], num_rows=[])
        return other

    def begin(self) -> State:
        return self.first, torch.arange(len(self.first))

    def step(self, token_N: Tensor, state: State) -> tuple[LogProbs, State]:
        self.num_rows.append(len(token_N))
        h_NH = torch.tanh(self.embedding[token_N] + state[0] @ self.recurrent)
        log_p_NV = (h_NH @ self.output + self.bias).log_softmax(1)
        return LogProbs(log_p_NV), (h_NH, state[1])

    def reorder(self, state: State, row_BK: Tensor) -> State:
        first_B1 = state[1][row_BK[:, :1]]
        assert bool((state[1][row_BK] == first_B1).all()), "rows of one sentence only"
        return state[0][row_BK.flatten()], state[1][row_BK.flatten()]

    def log_prob(self, sentence: int, tokens: tuple[int, ...]) -> float:
        """log p of some tokens and the end, a token at a time."""
        state, before, total = self.only([sentence]).begin(), START, 0.0
        for token in (*tokens, END):
            following, state = self.step(torch.tensor([before]), state)
            total += float(following.log_probs()[0, token])
            before = token
        return total


def every_sequence(num_tokens: int, max_length: int) -> Iterator[tuple[int, ...]]:
    """All sequences of tokens other than start and end with fewer than `max_length` of them."""
    tokens = [token for token in range(num_tokens) if token not in (START, END)]
    for length in range(max_length):
        yield from itertools.product(tokens, repeat=length)
