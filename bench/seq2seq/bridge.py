"""How the decoder begins, from what the encoder found.

    state     the encoder's last state itself where the decoder's has the same shapes
              (I. Sutskever, O. Vinyals and Q. Le, 2014), else tanh(W [state] + b)
    backward  tanh(W h_1 + b), h_1 the backward reading's output at the first word
              (D. Bahdanau, K. Cho and Y. Bengio, 2015, appendix A.2.2)
    mean      tanh(W mean_k h_k + b)
    zero      zeros

Shapes: B sentences, S source words, A annotation, F entries of what is mapped.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.models.recurrence import Recurrence, State
from bench.seq2seq.options import Handover


class Reader(Protocol):
    """What makes annotations."""

    annotation_size: int

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of its last state; none where it has no state."""
        ...

    @property
    def backward_size(self) -> int:
        """Entries of an annotation, its last ones, that a backward reading wrote; 0: none."""
        ...


class Bridge(nn.Module):
    """From the encoder's last state and annotations to the decoder's first state."""

    def __init__(self, handover: Handover, encoder: Reader, decoder: Recurrence) -> None:
        super().__init__()
        self.handover: Handover = handover
        self.shapes = decoder.state_shapes()
        self.backward_size = encoder.backward_size
        self.affine: nn.Linear | None = None
        if handover == "state" and not encoder.state_shapes:
            raise BenchError(
                "an encoder of words alone has no state to hand over: set --objective.handover to "
                "mean or zero"
            )
        if handover == "backward" and not self.backward_size:
            raise BenchError(
                "--objective.handover backward needs an encoder that reads both ways: add "
                "--model.direction bidirectional"
            )
        sizes = {
            "state": sum(map(math.prod, encoder.state_shapes)),
            "backward": self.backward_size,
            "mean": encoder.annotation_size,
        }
        is_identity = handover == "state" and encoder.state_shapes == self.shapes
        if handover != "zero" and not is_identity:
            self.affine = nn.Linear(sizes[handover], sum(map(math.prod, self.shapes)))

    def forward(self, h_BSA: Tensor, state: State, lengths_B: Tensor) -> State:
        """The decoder's first state; `h_BSA` is zero at padding."""
        if self.handover == "zero":
            return tuple(h_BSA.new_zeros(len(h_BSA), *shape) for shape in self.shapes)
        if self.affine is None:
            return state
        if self.handover == "state":
            found_BF = torch.cat([part.flatten(1) for part in state], dim=1)
        elif self.handover == "backward":
            found_BF = h_BSA[:, 0, -self.backward_size :]
        else:
            found_BF = h_BSA.sum(1) / lengths_B[:, None].to(h_BSA)
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = torch.split(torch.tanh(self.affine(found_BF)), sizes, dim=1)
        return tuple(
            part.reshape(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True)
        )
