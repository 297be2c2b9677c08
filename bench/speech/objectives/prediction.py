"""The prediction network: a recurrence that reads labels and knows nothing of the sound.

A. Graves, "Sequence transduction with recurrent neural networks", 2012, section 2.2. A label is a
vector with a single one, what stands before the first label a vector of zeros.

Shapes: B sequences, U labels, S = U + 1 positions, K labels to choose from, P outputs, N rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.errors import BenchError
from bench.models import Arrangement, build_recurrence
from bench.models.recurrence import State


class Prediction(nn.Module):
    """A causal recurrence over labels; they count from 1, 0 stands before the first."""

    def __init__(self, model: str, options: Mapping[str, object], num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.recurrence = build_recurrence(model, num_labels, options)
        if not self.recurrence.is_causal:
            raise BenchError(
                f"{model} with these options reads labels that are yet to come, a prediction "
                "network may not: choose --model.direction forward"
            )
        self.output_size = self.recurrence.output_size

    def forward(self, label_BU: Tensor) -> Tensor:
        """Outputs p_BSP before the first label and after each; padding comes after a sequence."""
        before_BS = F.pad(label_BU, (1, 0))
        p_BSP, _ = self.recurrence(self._vectors(before_BS))
        return torch.as_tensor(p_BSP)

    def begin(self, num_rows: int) -> tuple[Tensor, State]:
        """Outputs [N, P] and states before the first label."""
        like = next(self.parameters())
        none_N = torch.zeros(num_rows, dtype=torch.long, device=like.device)
        return self.step(none_N, self.recurrence.initial_state(num_rows, like))

    def step(self, label_N: Tensor, state: State) -> tuple[Tensor, State]:
        """Outputs [N, P] and states after one more label each."""
        p_N1P, state = self.recurrence(self._vectors(label_N[:, None]), state)
        return p_N1P[:, 0], state

    def _vectors(self, label_BU: Tensor) -> Tensor:
        like = next(self.parameters())
        return F.one_hot(label_BU, self.num_labels + 1)[..., 1:].to(like.dtype)


def prediction_options(
    model: Mapping[str, object], prediction_model: str, hidden_size: int
) -> dict[str, object]:
    """Options of a prediction network beside an encoder of the configuration `model`.

    One of the encoder's own architecture shares its options but size and arrangement.
    """
    own: dict[str, object] = {}
    if model["name"] == prediction_model:
        left_out = {"name", *Arrangement.__struct_fields__}
        own = {key: value for key, value in model.items() if key not in left_out}
    return {**own, "hidden_size": hidden_size}
