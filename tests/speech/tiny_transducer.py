"""A small transducer: one tanh layer as prediction network, and the joint of the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.speech.joint import Joint

State = tuple[Tensor, ...]


class Network:
    """Random weights; `sharpness` scales the scores, `blank` is added to the blank's."""

    def __init__(
        self, num_outputs: int, *, seed: int = 0, sharpness: float = 3.0, blank: float = 0.0
    ) -> None:
        torch.manual_seed(seed)
        H = 6
        self.num_outputs = num_outputs
        self.recurrent = torch.randn(H, H, dtype=torch.float64)
        self.embedding = torch.randn(num_outputs, H, dtype=torch.float64)
        self.joint = Joint(5, H, num_outputs, hidden_size=8).double()
        with torch.no_grad():
            self.joint.output.weight *= sharpness
            self.joint.output.bias[0] += blank

    def frames(self, encoder_BTE: Tensor) -> Tensor:
        return self.joint.project_frames(encoder_BTE).detach()

    def begin(self, num_rows: int) -> tuple[Tensor, State]:
        h_NH = self.recurrent.new_zeros(num_rows, len(self.recurrent))
        return self.joint.project_predictions(h_NH), (h_NH,)

    def predict(self, label_N: Tensor, state: State) -> tuple[Tensor, State]:
        assert int(label_N.min()) > 0
        h_NH = torch.tanh(self.embedding[label_N] + state[0] @ self.recurrent)
        return self.joint.project_predictions(h_NH), (h_NH,)

    def log_probs(self, frame_NJ: Tensor, prediction_NJ: Tensor) -> Tensor:
        return self.joint.log_probs(frame_NJ, prediction_NJ)


def utterances(lengths: list[int], *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random encoder outputs [B, T, 5] and their lengths [B]."""
    generator = torch.Generator().manual_seed(seed)
    size = len(lengths), max(lengths), 5
    return torch.randn(*size, generator=generator, dtype=torch.float64), torch.tensor(lengths)
