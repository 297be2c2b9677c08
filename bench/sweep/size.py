"""The hidden size at which a network has a given number of weights.

Counted are the parameters of the whole objective as it would be trained: input vectors, recurrence
and output layer, shared ones once. The objective is built on torch's meta device, which knows
shapes and holds no numbers.
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
"""Hidden sizes above are no networks of this suite."""
_corpora: dict[tuple[object, ...], Corpus] = {}


def solve_size(resolved: Resolved, num_parameters: int) -> Size:
    """The settings under which the network comes nearest to `num_parameters` weights.

    `model.hidden_size`, and `objective.embedding_size` where the input vectors have to be as long
    as the recurrence's output and that is longer than its hidden layer. Of two sizes that are
    equally near the smaller one. Raises BenchError where hidden size 1 has more weights already,
    or where no size gives a network.
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
    """The size from 1 to LARGEST whose count is nearest to `target`; counts grow with the size."""
    low, high = 1, 2
    while high < LARGEST and count(high) < target:
        low, high = high, 2 * high
    while high - low > 1:  # count(low) <= target, and count(high) >= target or high is the end
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= target else (low, middle)
    return low if target - count(low) <= abs(count(high) - target) else high


def with_size(config: RunConfig, hidden_size: int) -> RunConfig:
    """`config` with another hidden size, and input vectors of the length that it asks for."""
    model: dict[str, Scalar] = {**config.model, "hidden_size": hidden_size}
    objective = dict(config.objective)
    if "embedding_size" in objective and _input_is_as_long_as_output(config):
        if objective["embedding_size"] != 0:
            raise BenchError(
                f"objective.embedding_size {objective['embedding_size']} leaves no choice of the "
                "hidden size where input vectors are tied or direct: set it to 0 with "
                "budget.parameters"
            )
        output_size = _output_size(model)
        objective["embedding_size"] = 0 if output_size == hidden_size else output_size
    return msgspec.structs.replace(config, model=model, objective=objective)


def _input_is_as_long_as_output(config: RunConfig) -> bool:
    return config.objective.get("embeddings") == "tied" or config.model.get("input") == "direct"


def _output_size(model: dict[str, Scalar]) -> int:
    """Length of the recurrence's output, whatever it reads."""
    options = {key: value for key, value in model.items() if key != "name"}
    if "input" in options:
        options["input"] = "projected"  # direct input asks for an input of the right length first
    with torch.device("meta"):
        return build_recurrence(str(model["name"]), 1, options).output_size


def count_parameters(config: RunConfig, objective: type[Any], corpus: Corpus) -> int:
    """Weights of an objective of that class, shared ones once; nothing is allocated."""
    with torch.device("meta"), warnings.catch_warnings():
        # The adaptive softmax gives rare words a fraction of the hidden size: none of a tiny one.
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        network = objective(config, corpus)
    return sum(parameter.numel() for parameter in network.parameters())


def _vocabulary_of(resolved: Resolved) -> Corpus:
    """The corpus of a configuration, of text the vocabulary only, read once a process."""
    card, data = resolved.card, resolved.config.data
    key = (card.task, card.version, msgspec.structs.replace(data, download="never"))
    if key not in _corpora:
        corpus = corpus_of(resolved)
        if isinstance(corpus, TextCorpus):
            corpus = dataclasses.replace(corpus, splits={})
        _corpora[key] = corpus
    return _corpora[key]
