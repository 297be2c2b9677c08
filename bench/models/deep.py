"""Layers on top of each other: each reads the outputs of the one below, at the same step."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.recurrence import Recurrence, State


class Deep(Recurrence):
    """Recurrences in a pile, with dropout between them (none below the first or above the last).

    The state is the layers' states one after another, the lowest first.
    """

    def __init__(self, layers: Sequence[Recurrence], *, dropout: float = 0.0) -> None:
        super().__init__(layers[0].input_size, layers[-1].output_size)
        self.layers = nn.ModuleList(layers)
        self.dropout = dropout

    def pile(self) -> list[Recurrence]:
        """The layers, the lowest first."""
        return [layer for layer in self.layers if isinstance(layer, Recurrence)]

    @property
    def is_causal(self) -> bool:
        return all(layer.is_causal for layer in self.pile())

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(shape for layer in self.pile() for shape in layer.state_shapes())

    def split(self, state: State) -> list[State]:
        """The state of each layer."""
        parts, start = [], 0
        for layer in self.pile():
            end = start + len(layer.state_shapes())
            parts.append(state[start:end])
            start = end
        return parts

    def between(self, x: Tensor, index: int) -> Tensor:
        """The input of layer `index` from what the layer below put out."""
        if index == 0 or self.dropout == 0.0:
            return x
        # The mask is drawn in the order of memory, which differs between fast and plain loops.
        return F.dropout(x.contiguous(), self.dropout, self.training)

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        after: State = ()
        for index, (layer, part) in enumerate(zip(self.pile(), self.split(state), strict=True)):
            x_BD, part = layer.step(self.between(x_BD, index), part)
            after += part
        return x_BD, after

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        outputs, after = self.every_layer(x_BTD, state, lengths_B)
        return outputs[-1], after

    def every_layer(
        self, x_BTD: Tensor, state: State | None = None, lengths_B: Tensor | None = None
    ) -> tuple[list[Tensor], State]:
        """What each layer puts out, the lowest first, and the state after it."""
        state = self.initial_state(len(x_BTD), x_BTD) if state is None else state
        outputs: list[Tensor] = []
        after: State = ()
        for index, (layer, part) in enumerate(zip(self.pile(), self.split(state), strict=True)):
            x_BTD, part = layer(self.between(x_BTD, index), part, lengths_B)
            outputs.append(x_BTD)
            after += part
        return outputs, after

    def forward_reference(
        self, x_BTD: Tensor, state: State | None = None, lengths_B: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Layer by layer, as some layers have no step; dropout falls as in `forward`."""
        state, _ = self._prepare(x_BTD, state, lengths_B)
        after: State = ()
        for index, (layer, part) in enumerate(zip(self.pile(), self.split(state), strict=True)):
            x_BTD, part = layer.forward_reference(self.between(x_BTD, index), part, lengths_B)
            after += part
        return x_BTD, after

    def flops_per_step(self) -> int:
        return sum(layer.flops_per_step() for layer in self.pile())
