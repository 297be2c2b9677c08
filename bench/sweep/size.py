"""Solver for the hidden size at which a network has a given number of weights.

All parameters of the objective count: embeddings, recurrence and output layer, shared ones once.
The objective is built on torch's meta device, which allocates nothing.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import msgspec
import torch

from bench.core.config import RunConfig, Scalar
from bench.core.errors import BenchError
from bench.data.corpora import Corpus
from bench.models import build_recurrence
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of
from bench.text.data.corpus import TextCorpus

Size = dict[str, Scalar]
LARGEST = 2**20
"""Upper limit of the search."""
_corpora: dict[tuple[object, ...], Corpus] = {}


def solve_size(resolved: Resolved, num_parameters: int) -> Size:
    """Settings with which the network comes nearest to `num_parameters` weights.

    These are `model.hidden_size` and, if the input vectors must match an output longer than the
    hidden layer, `objective.embedding_size`. Of two equally near sizes the smaller one is taken.
    Raises BenchError if hidden size 1 already exceeds the budget, or no size reaches it.
    """
    corpus, objective = _vocabulary_of(resolved), resolved.objective_class()

    def count(hidden_size: int) -> int:
        return count_parameters(with_size(resolved.config, hidden_size), objective, corpus)

    what = f"budget.parameters {num_parameters:,} for {resolved.config.model['name']}"
    if (least := count(1)) > num_parameters:
        raise BenchError(
            f"{what}: at hidden size 1 the network has {least:,} weights already, raise the budget "
            "or make its other parts smaller"
        )
    hidden_size = nearest_size(count, num_parameters)
    if hidden_size >= LARGEST:
        raise BenchError(f"{what}: not reached at hidden size {LARGEST:,}, lower the budget")
    size: Size = {"model.hidden_size": hidden_size}
    embedding_size = with_size(resolved.config, hidden_size).objective.get("embedding_size")
    if embedding_size != resolved.config.objective.get("embedding_size"):
        size["objective.embedding_size"] = embedding_size
    return size


def nearest_size(count: Callable[[int], int], target: int) -> int:
    """Size from 1 to LARGEST whose count, which grows with the size, is nearest to `target`."""
    low, high = 1, 2
    while high < LARGEST and count(high) < target:
        low, high = high, 2 * high
    while high - low > 1:  # count(low) <= target, and count(high) >= target or high is the end
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= target else (low, middle)
    return low if target - count(low) <= abs(count(high) - target) else high


def with_size(config: RunConfig, hidden_size: int) -> RunConfig:
    """Copy of `config` with another hidden size and input vectors of matching length."""
    model: dict[str, Scalar] = {**config.model, "hidden_size": hidden_size}
    objective = dict(config.objective)
    if "embedding_size" in objective and _ties_input_to_output(config):
        if objective["embedding_size"] != 0:
            raise BenchError(
                f"objective.embedding_size {objective['embedding_size']} leaves no choice of the "
                "hidden size where input vectors are tied or direct: set it to 0 with "
                "budget.parameters"
            )
        output_size = _output_size(model)
        objective["embedding_size"] = 0 if output_size == hidden_size else output_size
    return msgspec.structs.replace(config, model=model, objective=objective)


def _ties_input_to_output(config: RunConfig) -> bool:
    return config.objective.get("embeddings") == "tied" or config.model.get("input") == "direct"


def _output_size(model: dict[str, Scalar]) -> int:
    """Length of the recurrence's output, for any input."""
    options = {key: value for key, value in model.items() if key != "name"}
    if "input" in options:
        options["input"] = "projected"  # direct input needs a matching length, not known yet
    with torch.device("meta"):
        return build_recurrence(str(model["name"]), 1, options).output_size


def count_parameters(config: RunConfig, objective: type[Any], corpus: Corpus) -> int:
    """Number of weights of an objective, shared ones once; nothing is allocated."""
    with torch.device("meta"), warnings.catch_warnings():
        # The adaptive softmax gives rare words a fraction of the hidden size, which may round to 0.
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        network = objective(config, corpus)
    return sum(parameter.numel() for parameter in network.parameters())


def _vocabulary_of(resolved: Resolved) -> Corpus:
    """Corpus of a configuration, of text the vocabulary alone; cached in the process."""
    card, data = resolved.card, resolved.config.data
    key = (card.task, card.version, msgspec.structs.replace(data, download="never"))
    if key not in _corpora:
        corpus = corpus_of(resolved)
        if isinstance(corpus, TextCorpus):
            corpus = dataclasses.replace(corpus, splits={})
        _corpora[key] = corpus
    return _corpora[key]
