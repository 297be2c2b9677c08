"""The continuous cache: hidden states seen lately say which words follow states like this one.

E. Grave, A. Joulin and N. Usunier, "Improving neural language models with a continuous cache",
ICLR 2017. With h_t the recurrence's output from which w_{t+1} is predicted,

    (1)  p_cache(w | h_1..h_t) ~ sum_{i = t-W .. t-1} 1{w = w_{i+1}} exp(theta h_t . h_i)
    (2)  p = (1 - lambda) p_model + lambda p_cache

over a window of W states. A state enters the cache after its word has been predicted. Where the
cache is empty, at a text's first token, p_cache is p_model.

Shapes: N tokens, M tokens of a block, J states at hand, H size of a state, K thetas.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bench.text.objectives.language_model import LanguageModel
from bench.text.outputs import Floats


@torch.no_grad()
def neural_cache_log_probs(
    model: LanguageModel, split: str, *, window: int, thetas: Sequence[float]
) -> tuple[Floats, Floats]:
    """Log-probabilities of a split's tokens under the model [N], and under its cache [K, N].

    The cache's are -inf where it does not hold the word.
    """
    of_model: list[Tensor] = []
    of_cache: list[Tensor] = []
    keys_JH, words_J = torch.empty(0), torch.empty(0, dtype=torch.int64)
    model.eval().begin_sequence()
    for input_BT, target_BT in model.evaluation_loader(split):
        target_M = target_BT.flatten()
        y_MH = model.read(input_BT).flatten(0, 1)
        of_model.append(model.output.log_probs(y_MH, target_M))
        keys_JH = torch.cat([keys_JH.to(y_MH).reshape(-1, y_MH.shape[1])[-window:], y_MH])
        words_J = torch.cat([words_J[-window:], target_M])
        of_cache.append(cache_block(keys_JH, words_J, len(y_MH), window=window, thetas=thetas))
    model_N, cache_KN = torch.cat(of_model), torch.cat(of_cache, dim=1)
    cache_KN[:, 0] = model_N[0]
    return _array(model_N), _array(cache_KN)


def cache_block(
    keys_JH: Tensor, words_J: Tensor, num_tokens: int, *, window: int, thetas: Sequence[float]
) -> Tensor:
    """Log p_cache by (1) of the last `num_tokens` words [K, M], each from the states before it."""
    place_J = torch.arange(len(keys_JH))
    query_M1 = place_J[-num_tokens:].unsqueeze(1)
    held_MJ = (place_J < query_M1) & (place_J >= query_M1 - window)
    same_MJ = held_MJ & (words_J == words_J[-num_tokens:].unsqueeze(1))
    score_MJ = keys_JH[-num_tokens:] @ keys_JH.t()
    rows = []
    for theta in thetas:
        all_M = (theta * score_MJ).masked_fill(~held_MJ, -torch.inf).logsumexp(1)
        hit_M = (theta * score_MJ).masked_fill(~same_MJ, -torch.inf).logsumexp(1)
        rows.append(torch.where(hit_M.isneginf(), hit_M, hit_M - all_M))
    return torch.stack(rows)


def _array(tensor: Tensor) -> Floats:
    return np.asarray(tensor.double().cpu().numpy(), dtype=np.float64)
