"""Shipped sweeps: one per task and main architecture, all readable and resolvable."""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec
import pytest

from bench.core.suite import Suite
from bench.sweep.definition import Sweep
from bench.sweep.dimension import FloatRange, IntRange, extremes
from bench.sweep.space import model_space, prerequisites, resolve_trial, start_points
from bench.sweep.specification import load_sweep

ROOT = Path(__file__).parent.parent.parent
SUITE = Suite(folder=ROOT)
MAIN = ("srn", "gru", "lstm", "scrn")
NAMES = sorted(path.stem for path in ROOT.glob("sweeps/*.yaml"))
COUNTED = ("flickr8k-nearest",)
"""Sweeps of models without a gradient."""
ON_GRIDS = ("moving-mnist-conv-lstm", "synthetic-frames-conv-lstm")
"""Sweeps of models made for frames."""
shipped = functools.cache(functools.partial(load_sweep, SUITE))
TRAINED = [name for name in NAMES if name not in COUNTED]


def test_every_task_has_a_sweep_of_every_main_architecture() -> None:
    tasks = [card.task for card in SUITE.cards() if card.task != "coco-karpathy"]
    expected = {f"{task}-{model}" for task in tasks for model in MAIN}
    others = {"ptb-equal", "ptb-modern", "synthetic-text-quick", *COUNTED, *ON_GRIDS}
    assert set(NAMES) == expected | others


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_sweep_resolves(name: str) -> None:
    sweep = shipped(name)
    free = unsized(sweep)
    for model in sweep.models:
        for key, dimension in model_space(sweep.space, model).items():
            settings = {**prerequisites(sweep.space, key, model), key: extremes(dimension)[0]}
            resolved = resolve_trial(SUITE, free, model, settings, sweep.seeds[0])
            assert key in resolved.set_by_caller
            assert resolved.config.model["name"] == model
    for part in name.split("-"):
        assert part in f"{sweep.task}-{'-'.join(sweep.models)}-equal-modern-quick"


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_sweep_has_a_comment_and_a_log_learning_rate(name: str) -> None:
    text = (ROOT / "sweeps" / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) <= 22
    sweep = shipped(name)
    assert sweep.budget.trials is not None
    if name in TRAINED:
        rate = sweep.space["optim.lr"]
        assert isinstance(rate, FloatRange)
        assert rate.log


@pytest.mark.parametrize("name", TRAINED)
def test_the_recipe_is_inside_the_shipped_space(name: str) -> None:
    """A sweep can find the card's recommendation again."""
    sweep = shipped(name)
    rate = sweep.space["optim.lr"]
    assert isinstance(rate, FloatRange)
    for model in sweep.models:
        usual = resolve_trial(SUITE, unsized(sweep), model, {}, 1).config.optim.lr
        assert rate.low <= usual <= rate.high


def test_the_nearest_sweep_chooses_only_sizes_that_share_one_computation() -> None:
    from bench.captioning.baselines.nearest import SHARED_K, SHARED_M

    sweep = shipped("flickr8k-nearest")
    for key, shared in (("model.k", SHARED_K), ("model.m", SHARED_M)):
        size = sweep.space[key]
        assert isinstance(size, IntRange)
        assert set(range(size.low, size.high + 1, size.step)) <= set(shared)
        assert all(point[key] in size for point in start_points(sweep, "nearest"))
    assert resolve_trial(SUITE, sweep, "nearest", {}, 1).config.model["k"] in SHARED_K


def test_the_equal_sweep_has_one_number_of_parameters() -> None:
    sweep = shipped("ptb-equal")
    assert sweep.models == ["srn", "gru", "lstm", "scrn"]
    assert sweep.budget.parameters is not None
    assert all(start_points(sweep, model) for model in sweep.models)


def unsized(sweep: Sweep) -> Sweep:
    """Copy of the sweep without the solved size, which needs the corpus."""
    budget = msgspec.structs.replace(sweep.budget, parameters=None)
    return msgspec.structs.replace(sweep, budget=budget)


def test_the_equal_sweep_on_its_corpus(bench_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(bench_data))
    from bench.sweep.size import _vocabulary_of, count_parameters

    sweep = shipped("ptb-equal")
    target = sweep.budget.parameters
    assert target is not None
    for model in sweep.models:
        resolved = resolve_trial(SUITE, sweep, model, start_points(sweep, model)[0], 1)
        counted = count_parameters(
            resolved.config, resolved.objective_class(), _vocabulary_of(resolved)
        )
        assert abs(counted - target) < 0.01 * target
