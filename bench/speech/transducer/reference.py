"""The transducer's probability of a label sequence, as the plain double loop over its lattice.

A. Graves, "Sequence transduction with recurrent neural networks", 2012, section 2.4: with
alpha(t, u) the probability of having put out the first u labels when frame t is reached,

    (1)  alpha(0, 0) = 1
    (2)  alpha(t, u) = alpha(t-1, u) p(blank | t-1, u) + alpha(t, u-1) p(y_u | t, u-1)
    (3)  Pr(y | x)   = alpha(T-1, U) p(blank | T-1, U)

This is the oracle of the fast recursion, differentiable by the library, one utterance at a time.

Shapes: T frames, U labels, S = U + 1 positions between labels, V outputs, of which 0 is the blank.
"""

from __future__ import annotations

import torch
from torch import Tensor


def plain_log_likelihood(log_p_TSV: Tensor, target_U: Tensor) -> Tensor:
    """Natural log Pr(y | x), [], of one utterance; the lattice is taken whole, without padding."""
    num_frames, num_positions, _ = log_p_TSV.shape
    target = target_U.tolist()
    alpha: dict[tuple[int, int], Tensor] = {}
    for t in range(num_frames):
        for u in range(num_positions):
            arriving = [log_p_TSV.new_zeros(())] if t == u == 0 else []  # (1)
            if t > 0:
                arriving.append(alpha[t - 1, u] + log_p_TSV[t - 1, u, 0])  # (2)
            if u > 0:
                arriving.append(alpha[t, u - 1] + log_p_TSV[t, u - 1, target[u - 1]])
            alpha[t, u] = torch.stack(arriving).logsumexp(0)
    return alpha[num_frames - 1, num_positions - 1] + log_p_TSV[-1, -1, 0]  # (3)
