"""Search spaces: order, conditions, and the configuration of a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.config import dotted
from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.sweep.definition import Budget, Sweep
from bench.sweep.dimension import Choice, Conditions, Dimension, FloatRange, IntRange
from bench.sweep.space import (
    clean,
    grid,
    is_active,
    model_space,
    prerequisites,
    resolve_trial,
    start_points,
    suggest,
    tree_of,
)

SCRN: Conditions = {"model.name": ["scrn"]}
SPACE: dict[str, Dimension] = {
    "optim.lr": FloatRange(low=0.001, high=0.01, log=True),
    "objective.dropout_output": FloatRange(low=0.0, high=0.6, step=0.1),
    "model.context_size": IntRange(low=10, high=80, step=10, when=SCRN),
    "optim.name": Choice(choices=["adamw", "sgd"]),
    "optim.momentum": FloatRange(low=0.0, high=0.99, when={"optim.name": ["sgd"]}),
    "model.alpha": FloatRange(low=0.5, high=0.9, when={**SCRN, "optim.name": ["sgd"]}),
    "optim.back_to_best": Choice(choices=[True, False], when={"optim.momentum": [0.5]}),
}
SWEEP = Sweep(
    name="mine",
    task="synthetic-text",
    models=["srn", "scrn"],
    fixed={"trainer.max_epochs": 2},
    space=SPACE,
    budget=Budget(trials=3),
    start=[{"optim.lr": 0.003, "model.context_size": 40}, {"model.context_size": 20}],
)
optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(folder=tmp_path_factory.mktemp("suite"))


def ask(fixed: dict[str, Any] | None = None, seed: int = 1) -> optuna.Trial:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    if fixed:
        study.enqueue_trial(fixed)
    return study.ask()


CHOSEN = [
    ("srn", {"optim.name": "adamw"}, ["optim.lr", "objective.dropout_output", "optim.name"]),
    (
        "srn",
        {"optim.name": "sgd", "optim.momentum": 0.4},
        ["optim.lr", "objective.dropout_output", "optim.name", "optim.momentum"],
    ),
    (
        "scrn",
        {"optim.name": "sgd", "optim.momentum": 0.5},
        list(SPACE),
    ),
    (
        "scrn",
        {"optim.name": "adamw"},
        ["optim.lr", "objective.dropout_output", "model.context_size", "optim.name"],
    ),
]


@pytest.mark.parametrize(("model", "drawn", "keys"), CHOSEN)
def test_keys_are_chosen_where_their_conditions_hold(
    model: str, drawn: dict[str, Any], keys: list[str]
) -> None:
    assert list(suggest(ask(drawn), SPACE, model)) == keys


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), model=st.sampled_from(["srn", "scrn"]))
def test_every_choice_is_in_the_space_and_active(seed: int, model: str) -> None:
    trial = ask(seed=seed)
    chosen = suggest(trial, SPACE, model)
    assert all(value in SPACE[key] for key, value in chosen.items())
    assert {key for key in SPACE if is_active(SPACE[key], chosen, model)} == set(chosen)
    assert set(chosen) <= set(model_space(SPACE, model))
    assert clean(SPACE, trial.params) == chosen
    fixed = optuna.trial.FixedTrial(chosen)
    assert suggest(fixed, SPACE, model) == chosen
    assert fixed.distributions == trial.distributions


def test_a_model_has_the_keys_whose_conditions_can_hold() -> None:
    assert set(SPACE) - set(model_space(SPACE, "srn")) == {"model.context_size", "model.alpha"}
    assert list(model_space(SPACE, "scrn")) == list(SPACE)


@pytest.mark.parametrize("model", SWEEP.models)
def test_prerequisites_activate_every_key(model: str) -> None:
    for key in model_space(SPACE, model):
        needed = prerequisites(SPACE, key, model)
        assert is_active(SPACE[key], needed, model)
        assert all(value in SPACE[name] for name, value in needed.items())


def test_steps_leave_no_rounding_noise() -> None:
    dimension = FloatRange(low=0.0, high=0.6, step=0.1)
    assert dimension.values == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert dimension.clean(0.1 * 3) == 0.3 != 0.1 * 3
    assert FloatRange(low=0.05, high=0.95, step=0.45).values == [0.05, 0.5, 0.95]


MEMBERS: list[tuple[Dimension, Any, bool]] = [
    (FloatRange(low=0.0, high=1.0), 0.5, True),
    (FloatRange(low=0.0, high=1.0), 1, True),
    (FloatRange(low=0.0, high=1.0), True, False),
    (FloatRange(low=0.0, high=1.0), 1.001, False),
    (FloatRange(low=0.0, high=1.0), "0.5", False),
    (FloatRange(low=0.0, high=0.6, step=0.1), 0.1 * 3, True),
    (FloatRange(low=0.0, high=0.6, step=0.1), 0.35, False),
    (IntRange(low=10, high=40, step=10), 30, True),
    (IntRange(low=10, high=40, step=10), 35, False),
    (IntRange(low=10, high=40, step=10), 50, False),
    (IntRange(low=0, high=1), True, False),
    (IntRange(low=0, high=3), 2.0, False),
    (Choice(choices=["a", None]), None, True),
    (Choice(choices=[1, 2]), True, False),
    (Choice(choices=[True, False]), 1, False),
    (Choice(choices=[0.5]), 0.5, True),
]


@pytest.mark.parametrize(("dimension", "value", "is_member"), MEMBERS)
def test_values_in_a_dimension(dimension: Dimension, value: Any, is_member: bool) -> None:
    assert (value in dimension) is is_member


def test_a_grid_lists_every_value_of_a_model() -> None:
    space: dict[str, Dimension] = {
        "model.context_size": IntRange(low=10, high=30, step=10, when=SCRN),
        "objective.dropout_output": FloatRange(low=0.0, high=0.2, step=0.1),
        "optim.name": Choice(choices=["adamw", "sgd"]),
    }
    assert grid(space, "scrn") == {
        "model.context_size": [10, 20, 30],
        "objective.dropout_output": [0.0, 0.1, 0.2],
        "optim.name": ["adamw", "sgd"],
    }
    assert "model.context_size" not in grid(space, "srn")


def test_start_points_are_cut_to_the_models_keys() -> None:
    assert start_points(SWEEP, "scrn") == SWEEP.start
    assert start_points(SWEEP, "srn") == [{"optim.lr": 0.003}]


def test_a_trial_resolves_like_a_run_with_its_settings(place: Suite) -> None:
    chosen = {"optim.lr": 0.005, "objective.dropout_output": 0.1 * 3, "model.context_size": 20}
    trial = resolve_trial(place, SWEEP, "scrn", chosen, 7)
    by_hand = {
        "trainer": {"max_epochs": "2"},
        "optim": {"lr": "0.005"},
        "objective": {"dropout-output": "0.3"},
        "model": {"context-size": "20"},
        "seed": "7",
    }
    run = resolve(place, "synthetic-text", model="scrn", overrides=by_hand)
    assert trial.config == run.config
    assert trial.run_id == run.run_id
    fixed = {**SWEEP.fixed, "trainer.threads": 1}
    with_threads = msgspec.structs.replace(SWEEP, fixed=fixed)
    threads = resolve_trial(place, with_threads, "scrn", chosen, 7)
    assert threads.run_id == trial.run_id
    assert threads.config.trainer.threads == 1


def test_the_solved_size_is_part_of_the_configuration(place: Suite) -> None:
    equal = msgspec.structs.replace(SWEEP, budget=Budget(trials=3, parameters=30_000))
    few, many = (
        resolve_trial(place, equal, "scrn", {"model.context_size": size}, 1).config.model
        for size in (10, 40)
    )
    assert few["hidden_size"] > many["hidden_size"] > 1  # type: ignore[operator]


@given(
    st.dictionaries(
        st.sampled_from(["optim.lr", "optim.name", "model.alpha", "seed", "init.model"]),
        st.integers(),
    )
)
def test_dotted_keys_and_trees_are_the_same(flat: dict[str, int]) -> None:
    assert dotted(tree_of(flat)) == flat


def test_reading_a_file_needs_no_heavy_package(tmp_path: Path) -> None:
    """`--status` answers at once: a sweep file is read without torch and Optuna."""
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from bench.sweep.specification import read_sweep; "
        "from bench.sweep.outcome import read_result; "
        "from bench.core.suite import Suite; "
        "read_sweep(Suite(folder=Path()).sweep_path('ptb-equal')); "
        "print([m for m in ('torch', 'optuna', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
