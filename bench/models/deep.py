"""Stack of layers: each reads the outputs of the one below, at the same step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.recurrence import Recurrence, State

Read = Callable[[Recurrence, Tensor, State], tuple[Tensor, State]]


class Deep(Recurrence):
    """Stacked recurrences with dropout between them (none below the first or above the last).

    The state is the layers' states one after another, the lowest first.
    """

    def __init__(self, layers: Sequence[Recurrence], *, dropout: float = 0.0) -> None:
        super().__init__(layers[0].input_size, layers[-1].output_size)
        self.layers = nn.ModuleList(layers)
        self.dropout = dropout

    def stack(self) -> list[Recurrence]:
        """Layers, the lowest first."""
        return [layer for layer in self.layers if isinstance(layer, Recurrence)]

    @property
    def is_causal(self) -> bool:
        return all(layer.is_causal for layer in self.stack())

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(shape for layer in self.stack() for shape in layer.state_shapes())

    def split(self, state: State) -> list[State]:
        """Split the state into those of the layers."""
        parts, start = [], 0
        for layer in self.stack():
            end = start + len(layer.state_shapes())
            parts.append(state[start:end])
            start = end
        return parts

    def step(self, x_BD: Tensor, state: State) -> tuple[Tensor, State]:
        outputs, after = self._run(x_BD, state, lambda layer, x, own: layer.step(x, own))
        return outputs[-1], after

    def scan(self, x_BTD: Tensor, state: State, lengths_B: Tensor | None) -> tuple[Tensor, State]:
        outputs, after = self.layer_outputs(x_BTD, state, lengths_B)
        return outputs[-1], after

    def layer_outputs(
        self, x_BTD: Tensor, state: State | None = None, lengths_B: Tensor | None = None
    ) -> tuple[list[Tensor], State]:
        """Outputs of every layer, the lowest first, and the state after the last step."""
        state = self.initial_state(len(x_BTD), x_BTD) if state is None else state
        return self._run(x_BTD, state, lambda layer, x, own: layer(x, own, lengths_B))

    def forward_reference(
        self, x_BTD: Tensor, state: State | None = None, lengths_B: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Plain loops layer by layer, as some layers have no step; dropout is as in `forward`."""
        state, _ = self._prepare(x_BTD, state, lengths_B)
        outputs, after = self._run(
            x_BTD, state, lambda layer, x, own: layer.forward_reference(x, own, lengths_B)
        )
        return outputs[-1], after

    def _run(self, x: Tensor, state: State, read: Read) -> tuple[list[Tensor], State]:
        """Outputs of every layer by `read`, and the state after it."""
        outputs: list[Tensor] = []
        after: State = ()
        for layer, part in zip(self.stack(), self.split(state), strict=True):
            if outputs and self.dropout:
                # The mask is drawn in the order of memory, which differs between fast and plain
                # loops.
                x = F.dropout(x.contiguous(), self.dropout, self.training)
            x, part = read(layer, x, part)
            outputs.append(x)
            after += part
        return outputs, after

    def flops_per_step(self) -> int:
        return sum(layer.flops_per_step() for layer in self.stack())
