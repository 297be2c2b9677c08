"""The largest entries of long rows.

Shapes: N rows, V entries, k wanted, M blocks of W entries, R entries that fill no block, C
candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 64


def top_entries(values_NV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries [N, k] of each row, largest first, and where they stand [N, k].

    The k largest lie in the k blocks with the largest maxima, and on a CPU these maxima are found
    much quicker than the library selects among all entries.
    """
    num_blocks = values_NV.shape[1] // BLOCK
    if num_blocks <= 2 * k or values_NV.is_cuda:
        return torch.topk(values_NV, k)
    blocked_NV, rest_NR = values_NV.tensor_split([num_blocks * BLOCK], dim=1)
    values_NMW = blocked_NV.view(-1, num_blocks, BLOCK)
    block_Nk = values_NMW.amax(2).topk(k).indices
    inside_NkW = values_NMW.gather(1, block_Nk[:, :, None].expand(-1, -1, BLOCK))
    best_Nk, place_Nk = torch.cat([inside_NkW.flatten(1), rest_NR], dim=1).topk(k)
    index_Nk = block_Nk.gather(1, (place_Nk // BLOCK).clamp(max=k - 1)) * BLOCK + place_Nk % BLOCK
    in_rest_Nk = place_Nk >= k * BLOCK
    return best_Nk, torch.where(in_rest_Nk, place_Nk + (num_blocks - k) * BLOCK, index_Nk)
