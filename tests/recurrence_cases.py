"""Every architecture with every combination of its `Literal` options, small enough to test.

Tests take every pair of values of two options; all other combinations are marked slow.
"""

from __future__ import annotations

import itertools
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
import pytest
import torch

from bench.models import MODELS, StackOptions, build_recurrence, model_options
from bench.models.recurrence import Recurrence

INPUT_SIZE = 12
SMALL = {
    "hidden_size": 4,
    "context_size": 3,
    "feedback_size": 3,
    "window_length": 3,
    "num_dilations": 2,
    "num_rows": 2,
    "num_columns": 3,
    "kernel_size": 3,
    "state_kernel_size": 3,
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model to build."""

    name: str
    options: tuple[tuple[str, object], ...]

    def __str__(self) -> str:
        return "-".join([self.name, *(str(v) for k, v in self.options if isinstance(v, str))])

    def build(self, **more: object) -> Recurrence:
        """The model in double precision, with weights large enough to be told apart."""
        torch.manual_seed(1)
        options = dict(self.options) | {"init_scale": 0.7} | more
        return build_recurrence(self.name, INPUT_SIZE, options).double()


def combinations(name: str) -> Iterator[Case]:
    """The architecture `name` with every combination of its own `Literal` options."""
    fields = {field.name: field for field in msgspec.structs.fields(model_options(name))}
    own = [key for key in fields if key not in (*StackOptions.__struct_fields__, "init")]
    sizes = [(key, SMALL[key]) for key in own if key in SMALL]
    choices = [
        [(key, value) for value in typing.get_args(fields[key].type)]
        for key in own
        if typing.get_origin(fields[key].type) is typing.Literal
    ]
    for choice in itertools.product(*choices):
        options = dict(sizes) | dict(choice)
        if options.get("input") == "direct":  # the input is split without rest
            options["hidden_size"] = INPUT_SIZE - SMALL["context_size"] * ("context_size" in own)
        yield Case(name=name, options=tuple(options.items()))


def pairs_of(case: Case) -> set[tuple[object, ...]]:
    """Any two of its options; the option itself where there is only one."""
    return set(itertools.combinations(case.options, min(2, len(case.options))))


def pairwise_cover(cases: Iterable[Case]) -> set[Case]:
    """A few of the cases in which every pair of options is found that is found in any of them.

    Greedy: next comes the first of those cases that add the most pairs.
    """
    left = {case: pairs_of(case) for case in cases}
    cover = set()
    while any(left.values()):
        best = max(left, key=lambda case: len(left[case]))
        cover.add(best)
        added = left.pop(best)
        left = {case: pairs - added for case, pairs in left.items()}
    return cover


CASES = [case for name in MODELS for case in combinations(name)]
DEFAULTS = [next(combinations(name)) for name in MODELS]
COVER = {case for name in MODELS for case in pairwise_cover(combinations(name))}
EVERY_CASE = pytest.mark.parametrize(
    "case",
    [case if case in COVER else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
    ids=str,
)
