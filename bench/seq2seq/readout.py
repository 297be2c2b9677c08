"""What the softmax reads: of the decoder's output s, the context c and the word before, y.

    linear  [s; c]
    tanh    tanh(W [s; c])                                   M.-T. Luong et al., 2015, equation 5
    maxout  max of pairs of U_o s + V_o E y + C_o c + b      D. Bahdanau et al., 2015, A.2.2
    multimodal  1.7159 tanh(2/3 (V_r s + V_I c + V_w E y))   J. Mao et al., 2015, equation 2

Shapes: B sentences, T steps, H output, A context (0 where there is none), E embedding, R readout.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError

Kind = Literal["linear", "tanh", "maxout", "multimodal"]


class Readout(nn.Module):
    """One of the four; `size` is what it puts out."""

    def __init__(
        self,
        kind: Kind,
        output_size: int,
        context_size: int,
        embedding_size: int,
        *,
        size: int,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.size = size
        both = output_size + context_size
        if kind == "linear" and size != both:
            raise BenchError(
                f"a linear readout has the {both} entries of output and context, not {size}: "
                "leave out --objective.readout-size, or choose --objective.readout tanh"
            )
        self.affine: nn.Linear | None = None
        if kind == "tanh":
            self.affine = nn.Linear(both, size, bias=False)
        elif kind == "maxout":
            self.affine = nn.Linear(both + embedding_size, 2 * size)
        elif kind == "multimodal":
            self.affine = nn.Linear(both + embedding_size, size, bias=False)

    def forward(self, s_BTH: Tensor, c_BTA: Tensor | None, word_BTE: Tensor) -> Tensor:
        """r_BTR of any leading dimensions."""
        parts = [s_BTH] if c_BTA is None else [s_BTH, c_BTA]
        if self.affine is None:
            return torch.cat(parts, dim=-1)
        if self.kind == "tanh":
            return torch.tanh(self.affine(torch.cat(parts, dim=-1)))
        if self.kind == "multimodal":
            all_BTR = self.affine(torch.cat([*parts, word_BTE], dim=-1))
            return 1.7159 * torch.tanh(all_BTR * (2 / 3))
        pairs = self.affine(torch.cat([*parts, word_BTE], dim=-1))
        return torch.as_tensor(pairs.unflatten(-1, (self.size, 2)).amax(-1))

    def flops_per_step(self) -> int:
        """Matrix products only."""
        return 0 if self.affine is None else 2 * self.affine.weight.numel()
