"""Scheduled sampling: in training the decoder reads more and more of what it wrote itself.

S. Bengio, O. Vinyals, N. Jaitly and N. Shazeer, "Scheduled sampling for sequence prediction with
recurrent neural networks", 2015. At training step i, before each word but the first, a coin that
shows heads with probability eps_i decides between the word that is written and one drawn from the
network's own distribution. As no gradient goes through a draw, the words are drawn first, a step at
a time; the gradient is then that of reading them, by the fast path. The draws are made without
dropout within the decoder.

Shapes: B sentences, T words, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.seq2seq.attention import Memory
from bench.seq2seq.decoder import Carried
from bench.seq2seq.options import Decay

Step = Callable[[Tensor, Memory, Carried], tuple[Tensor, Carried]]


def teacher_forcing(decay: Decay, step: int, *, num_steps: int, floor: float) -> float:
    """eps_i, the share of words that are read as written, never below `floor`.

    linear 1 - i / k, exponential exp(-i / k), inverse-sigmoid k / (k + exp(i / k)), k = num_steps.
    """
    if decay == "always":
        return 1.0
    place = step / num_steps
    share = {
        "linear": 1.0 - place,
        "exponential": math.exp(-place),
        "inverse-sigmoid": num_steps / (num_steps + math.exp(min(place, 700.0))),
    }[decay]
    return max(floor, share)


@torch.no_grad()
def mixed_inputs(
    step: Step, input_BT: Tensor, memory: Memory, carried: Carried, share: float
) -> Tensor:
    """`input_BT` with each word but the first kept with probability `share`, else drawn."""
    written_BT = torch.rand(input_BT.shape, device=input_BT.device) < share
    words = [input_BT[:, 0]]
    for t in range(1, input_BT.shape[1]):
        log_p_BV, carried = step(words[-1], memory, carried)
        drawn_B = torch.multinomial(log_p_BV.exp(), 1)[:, 0]
        words.append(torch.where(written_BT[:, t], input_BT[:, t], drawn_B))
    return torch.stack(words, dim=1)
