"""Sweep files: their content, and errors before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.sweep.definition import Sweep, definition_digest
from bench.sweep.dimension import Choice, Conditions, FloatRange, IntRange
from bench.sweep.specification import (
    COUNTS,
    load_sweep,
    parse_amount,
    parse_count,
    parse_seconds,
    read_sweep,
)

FILE = """
task: synthetic-text
models: [srn, scrn]
fixed: {trainer.max-epochs: 2, objective: {bptt_length: 10}}
space:
  optim.lr: {type: float, low: 1e-3, high: 1e-2, log: true}
  objective.dropout_output: {type: float, low: 0.0, high: 0.6, step: 0.1}
  model.context_size: {type: int, low: 10, high: 80, step: 10, when: {model.name: scrn}}
  optim.name: {type: categorical, choices: [adamw, sgd]}
  optim.momentum: {type: float, low: 0.0, high: 0.99, when: {optim.name: sgd}}
budget: {trials: 8, seconds: 2h, flops: 1e15, parameters: 2.8M}
sampler: {name: tpe, seed: 3, startup: 5}
pruner: {name: median, startup: 3, warmup: 1}
seeds: [1, 2]
repeat_best: 5
start: [{optim.lr: 0.003, model.context_size: 40}]
"""


def write(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """Write FILE with some top-level keys replaced, or left out if the new value is None."""
    tree = {**yaml.safe_load(FILE.replace("1e-3", "0.001").replace("1e-2", "0.01"))}
    tree = {k: v for k, v in {**tree, **(changes or {})}.items() if v is not None}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=tmp_path)


def test_a_file_becomes_a_sweep(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(FILE)
    sweep = read_sweep(path)
    assert (sweep.name, sweep.task, sweep.models) == ("mine", "synthetic-text", ["srn", "scrn"])
    assert sweep.fixed == {"trainer.max_epochs": 2, "objective.bptt_length": 10}
    assert list(sweep.space) == [
        "optim.lr",
        "objective.dropout_output",
        "model.context_size",
        "optim.name",
        "optim.momentum",
    ]
    assert sweep.space["optim.lr"] == FloatRange(low=0.001, high=0.01, log=True)
    when: Conditions = {"model.name": ["scrn"]}
    assert sweep.space["model.context_size"] == IntRange(low=10, high=80, step=10, when=when)
    assert sweep.space["optim.name"] == Choice(choices=["adamw", "sgd"])
    budget = sweep.budget
    assert (budget.trials, budget.seconds, budget.flops) == (8, 7200.0, 1e15)
    assert budget.parameters == 2_800_000
    assert (sweep.sampler.name, sweep.sampler.seed, sweep.sampler.startup) == ("tpe", 3, 5)
    assert (sweep.pruner.name, sweep.pruner.startup, sweep.pruner.warmup) == ("median", 3, 1)
    assert (sweep.seeds, sweep.repeat_best) == ([1, 2], 5)
    assert sweep.start == [{"optim.lr": 0.003, "model.context_size": 40}]


def test_a_sweep_of_one_model(tmp_path: Path) -> None:
    space = {"optim.lr": {"type": "float", "low": 0.1, "high": 1.0}}
    path = write(tmp_path, {"models": None, "model": "gru", "space": space, "start": None})
    assert read_sweep(path).models == ["gru"]


LR = {"type": "float", "low": 0.001, "high": 0.01}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"modles": []}, "unknown key 'modles', did you mean 'models'?"),
    "unknown task": ({"task": "synthetic-txt"}, "did you mean 'synthetic-text'?"),
    "unknown model": ({"models": ["srm"]}, "unknown model 'srm', did you mean 'srn'?"),
    "model twice": ({"models": ["srn", "srn"]}, "given twice"),
    "no model": ({"models": []}, "name one at least"),
    "model and models": ({"model": "srn"}, "either `model: NAME` or `models: "),
    "model is fixed": ({"fixed": {"model.name": "srn"}}, "name the models under `models`"),
    "seed is fixed": ({"fixed": {"seed": 1}}, "fixed.seed: give the seeds under `seeds`"),
    "fixed key": ({"fixed": {"optim.lrr": 1}}, "unknown key 'optim.lrr', did you mean 'lr'?"),
    "fixed value": ({"fixed": {"optim.clip": "nrm"}}, "'nrm' is none of norm, value, none"),
    "fixed and chosen": ({"fixed": {"optim.lr": 0.1}}, "optim.lr is both fixed and in the space"),
    "no space": ({"space": {}, "start": None}, "nothing to choose"),
    "space key": ({"space": {"optim.rl": LR}, "start": None}, "unknown key 'optim.rl'"),
    "option of one model": (
        {"space": {"model.context_size": {"type": "int", "low": 1, "high": 9}}, "start": None},
        "model 'srn': unknown key 'model.context_size', .*needs `when: {model.name: ",
    ),
    "without effect": (
        {"space": {"trainer.threads": {"type": "int", "low": 1, "high": 2}}, "start": None},
        "space.trainer.threads: it does not change a result",
    ),
    "value that a key refuses": (
        {"space": {"objective.dropout_output": {**LR, "high": 1.5}}, "start": None},
        "objective.dropout_output: .*, not 1.5",
    ),
    "choice that a key refuses": (
        {"space": {"optim.name": {"type": "categorical", "choices": ["adamw", "sdg"]}},
         "start": None},
        "optim.name: 'sdg' is none of sgd, adam, adamw, did you mean 'sgd'?",
    ),
    "no type": ({"space": {"optim.lr": {"low": 1, "high": 2}}}, "space.optim.lr.type: expected"),
    "wrong type": (
        {"space": {"optim.lr": {"type": "flot"}}},
        "space.optim.lr.type: 'flot' is none of float, int, categorical, did you mean 'float'?",
    ),
    "unknown key of a range": (
        {"space": {"optim.lr": {**LR, "logg": True}}},
        "unknown key 'space.optim.lr.logg'",
    ),
    "no high": (
        {"space": {"optim.lr": {"type": "float", "low": 1.0}}},
        "space.optim.lr: the entry missing required field high",
    ),
    "no choices": (
        {"space": {"optim.name": {"type": "categorical", "choices": []}}},
        "space.optim.name.choices: expected array of length >= 1",
    ),
    "low above high": ({"space": {"optim.lr": {**LR, "low": 0.1}}}, "low 0.1 is above high 0.01"),
    "log of zero": (
        {"space": {"optim.lr": {**LR, "low": 0.0, "log": True}}},
        "space.optim.lr: log needs a low above 0, not 0",
    ),
    "log with step": ({"space": {"optim.lr": {**LR, "log": True, "step": 0.001}}}, "log and step"),
    "step that misses high": (
        {"space": {"optim.lr": {**LR, "step": 0.004}}},
        "high 0.01 is not low plus whole steps of 0.004",
    ),
    "choice twice": (
        {"space": {"optim.name": {"type": "categorical", "choices": ["sgd", "sgd"]}}},
        "space.optim.name.choices: one is given twice",
    ),
    "condition on no key": (
        {"space": {"optim.lr": {**LR, "when": {"optim.nam": "sgd"}}}},
        "space.optim.lr.when.optim.nam: no such key in the space",
    ),
    "condition on a later key": (
        {
            "space": {
                "optim.momentum": {**LR, "when": {"optim.name": "sgd"}},
                "optim.name": {"type": "categorical", "choices": ["adamw", "sgd"]},
            }
        },
        "when.optim.name: it is chosen later, move optim.name before optim.momentum",
    ),
    "condition that never holds": (
        {"space": {"optim.lr": {**LR, "when": {"model.name": "lstm"}}}},
        "when.model.name: 'lstm' is none of its values, so it never holds",
    ),
    "endless": ({"budget": {"parameters": "1M"}}, "budget: give trials, seconds or flops"),
    "unknown budget": ({"budget": {"trails": 3}}, "unknown key 'budget.trails', .*'trials'"),
    "budget in words": ({"budget": {"seconds": "long"}}, "budget.seconds: expected a number such"),
    "half a trial": ({"budget": {"trials": 2.5}}, "budget.trials: expected a whole number, not 2"),
    "unknown sampler": ({"sampler": {"name": "tpa"}}, "sampler.name: 'tpa' is none of tpe"),
    "setting of another sampler": (
        {"sampler": {"name": "random", "startup": 5}},
        "sampler.startup: .* tpe, not 'random'",
    ),
    "setting of another pruner": (
        {"pruner": {"name": "asha", "warmup": 5}},
        "pruner.warmup: .* median or percentile, not 'asha'",
    ),
    "setting without a pruner": ({"pruner": {"warmup": 5}}, "pruner.warmup: .* median or"),
    "grid of real numbers": (
        {"sampler": {"name": "grid"}, "pruner": None},
        "space.optim.lr: sampler grid needs a step or choices",
    ),
    "size twice": (
        {"fixed": {"model.hidden_size": 9}},
        "fixed.model.hidden_size: budget.parameters decides it",
    ),
    "size of a baseline": (
        {"models": ["ngram"], "space": {"model.order": {"type": "int", "low": 1, "high": 3}},
         "start": None, "fixed": None},
        "baseline 'ngram' has no hidden size",
    ),
    "no seeds": ({"seeds": []}, "seeds: expected different seeds"),
    "seed twice": ({"seeds": [1, 1]}, "seeds: expected different seeds"),
    "start of no key": ({"start": [{"optim.rl": 1}]}, "point 1: optim.rl is not in the space"),
    "start outside": ({"start": [{"optim.lr": 0.1}]}, "start point 1: optim.lr: 0.1 is not one"),
    "start between steps": (
        {"start": [{"optim.lr": 0.003}, {"model.context_size": 45}]},
        "start point 2: model.context_size: 45 is not one",
    ),
    "start against a condition": (
        {"start": [{"optim.name": "adamw", "optim.momentum": 0.9}]},
        "start point 1: no model has all of its keys at once",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_bad_file_is_refused(case: str, suite: Suite) -> None:
    changes, message = WRONG[case]
    path = write(suite.folder, changes)
    with pytest.raises(BenchError, match=message) as caught:
        load_sweep(suite, str(path))
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text


def test_settings_of_the_caller_override_the_file(suite: Suite) -> None:
    path = write(suite.folder)
    sweep = load_sweep(suite, str(path), fixed={"trainer": {"max-epochs": 7}, "data.path": "here"})
    assert sweep.fixed["trainer.max_epochs"] == 7
    assert sweep.fixed["data.path"] == "here"
    with pytest.raises(BenchError, match="unknown key"):
        load_sweep(suite, str(path), fixed={"optim.lrr": 1})


def test_a_sweep_is_found_by_its_name(suite: Suite) -> None:
    assert load_sweep(suite, "ptb-scrn").models == ["scrn"]
    (suite.folder / "sweeps").mkdir()
    write(suite.folder / "sweeps")
    assert load_sweep(suite, "mine").models == ["srn", "scrn"]
    with pytest.raises(BenchError, match="unknown sweep 'ptb-scnr', did you mean 'ptb-scrn'"):
        suite.sweep_path("ptb-scnr")
    with pytest.raises(BenchError, match="no such file"):
        load_sweep(suite, "sweeps/none.yaml")


CHANGES: dict[str, tuple[dict[str, Any], bool]] = {
    "more trials": ({"budget": {"trials": 80, "parameters": "2.8M"}}, True),
    "another kind of budget": ({"budget": {"seconds": 5, "parameters": "2.8M"}}, True),
    "repetitions": ({"repeat_best": 0}, True),
    "a further model": ({"models": ["srn", "scrn", "gru"]}, True),
    "threads": (
        {"fixed": {"trainer.max_epochs": 2, "objective.bptt_length": 10, "trainer.threads": 1}},
        True,
    ),
    "size": ({"budget": {"trials": 8, "parameters": "2.9M"}}, False),
    "fixed": ({"fixed": {"trainer.max_epochs": 3}}, False),
    "sampler": ({"sampler": {"name": "tpe", "seed": 4, "startup": 5}}, False),
    "pruner": ({"pruner": {"name": "none"}}, False),
    "seeds": ({"seeds": [1]}, False),
    "start": ({"start": None}, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with_settings_that_affect_trials(change: str, tmp_path: Path) -> None:
    changes, is_same = CHANGES[change]
    before = definition_digest(read_sweep(write(tmp_path)), 1)
    after = definition_digest(read_sweep(write(tmp_path, changes)), 1)
    assert (before == after) is is_same


def test_the_digest_depends_on_card_and_order_of_choice(tmp_path: Path) -> None:
    sweep = read_sweep(write(tmp_path))
    reordered = dict(reversed(sweep.space.items()))
    variants = [
        definition_digest(sweep, 1),
        definition_digest(sweep, 2),
        definition_digest(msgspec.structs.replace(sweep, space=reordered), 1),
        definition_digest(msgspec.structs.replace(sweep, task="ptb"), 1),
    ]
    assert len(set(variants)) == len(variants)


def test_a_sweep_round_trips_through_json(tmp_path: Path) -> None:
    sweep = read_sweep(write(tmp_path))
    assert msgspec.json.decode(msgspec.json.encode(sweep), type=Sweep) == sweep


QUANTITIES = [
    (parse_count, 2_800_000, 2_800_000),
    (parse_count, "2.8M", 2_800_000),
    (parse_count, "2.8 M", 2_800_000),
    (parse_count, 2.8e6, 2_800_000),
    (parse_count, "30k", 30_000),
    (parse_count, "1_000", 1000),
    (parse_amount, "1e15", 1e15),
    (parse_amount, "3.5P", 3.5e15),
    (parse_amount, "2T", 2e12),
    (parse_seconds, 90, 90.0),
    (parse_seconds, "1.5h", 5400.0),
    (parse_seconds, "20min", 1200.0),
    (parse_seconds, "2d", 172_800.0),
]


@pytest.mark.parametrize(("read", "text", "value"), QUANTITIES)
def test_quantities(read: Any, text: object, value: float) -> None:
    assert read(text, where="here") == value


@pytest.mark.parametrize("text", ["", "M", "2.8m", "-3", "0", True, None, "2 h 5", "1e", "2.5", []])
def test_bad_quantities_are_refused(text: object) -> None:
    with pytest.raises(BenchError, match="here: expected a"):
        parse_count(text, where="here")


@given(st.integers(1, 10**18), st.sampled_from(["", "k", "M", "G"]))
def test_a_count_is_exact(number: int, unit: str) -> None:
    assert parse_count(f"{number}{unit}", where="") == number * COUNTS[unit]
