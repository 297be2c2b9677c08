"""Options are typed and strict, and the names cost no import of torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import msgspec
import pytest
import torch

from bench.core.errors import BenchError
from bench.models import MODELS, build_recurrence, model_class, model_options, resolve_options
from bench.models.recurrence import Recurrence


def test_names_cost_no_torch() -> None:
    code = "import sys, bench.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", MODELS)
def test_every_name_is_a_recurrence_that_says_what_it_is(name: str) -> None:
    cls = model_class(name)
    assert issubclass(cls, Recurrence)
    module = sys.modules[cls.__module__]
    assert "(1)  " in str(module.__doc__)


@pytest.mark.parametrize("name", MODELS)
def test_defaults_are_the_constructor_s(name: str) -> None:
    options = msgspec.structs.asdict(model_options(name)())
    assert options["num_layers"] == 1
    assert options["direction"] == "forward"
    assert options["hidden_size"] == 100
    assert resolve_options(name, {}) == model_options(name)()


def test_text_is_read_as_the_option_s_type() -> None:
    given = {"hidden_size": "30", "alpha": "0.9", "num_layers": "2", "init_scale": "0.1"}
    options = msgspec.structs.asdict(resolve_options("scrn", given))
    assert [options[key] for key in given] == [30, 0.9, 2, 0.1]


def test_options_cannot_be_changed() -> None:
    options = resolve_options("srn", {})
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        options.num_layers = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("sern", {}, ["'sern'", "'srn'"]),
        ("mamba", {}, ["'mamba'", "known:", "scrn"]),
        ("srn", {"hiden_size": 3}, ["'srn'", "'model.hiden_size'", "'hidden_size'"]),
        ("srn", {"context_size": 3}, ["'srn'", "unknown key 'model.context_size'"]),
        ("srn", {"hidden_size": "many"}, ["'srn'", "model.hidden_size", "int"]),
        ("srn", {"hidden_size": 0}, ["model.hidden_size", ">= 1"]),
        ("srn", {"num_layers": 0}, ["model.num_layers", ">= 1"]),
        ("srn", {"nonlinearity": "selu"}, ["model.nonlinearity", "'selu'", "sigmoid"]),
        ("scrn", {"alpha": 1.0}, ["model.alpha", "< 1.0"]),
        ("lstm", {"dropout": 1.0}, ["model.dropout", "< 1.0"]),
        ("lstm", {"direction": "backward"}, ["model.direction", "'backward'", "bidirectional"]),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(BenchError) as caught:
        build_recurrence(name, 3, options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_wrong_input_size_is_named() -> None:
    with pytest.raises(BenchError, match=r"SRN was built for inputs of size 3, got 4"):
        build_recurrence("srn", 3)(torch.zeros(1, 1, 4))


@pytest.mark.parametrize("lengths", [[1, 6], [-1, 2]])
def test_impossible_lengths_are_named(lengths: list[int]) -> None:
    with pytest.raises(BenchError, match="5 steps"):
        build_recurrence("srn", 3)(torch.zeros(2, 5, 3), None, torch.tensor(lengths))


@pytest.mark.parametrize("name", MODELS)
def test_seed_decides_the_weights(name: str) -> None:
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(torch.cat([p.flatten() for p in build_recurrence(name, 3).parameters()]))
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0], built[2])
