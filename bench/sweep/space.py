"""Choice of settings from a search space, key by key: a later key may depend on an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.core.config import Scalar, merge
from bench.core.suite import Suite
from bench.runs.resolve import Resolved, resolve
from bench.sweep.definition import Sweep
from bench.sweep.dimension import Choice, Dimension, IntRange, same

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Space = Mapping[str, Dimension]
MODEL = "model.name"
"""Key that conditions may name although it is not chosen: each study has one model."""


def suggest(trial: BaseTrial, space: Space, model: str) -> dict[str, Scalar]:
    """Draw the keys whose conditions hold, in the order of the space."""
    chosen: dict[str, Scalar] = {}
    for key, dimension in space.items():
        if is_active(dimension, chosen, model):
            chosen[key] = dimension.clean(_draw(trial, key, dimension))
    return chosen


def _draw(trial: BaseTrial, key: str, dimension: Dimension) -> Scalar:
    if isinstance(dimension, Choice):
        return trial.suggest_categorical(key, dimension.choices)
    low, high, log, step = dimension.low, dimension.high, dimension.log, dimension.step
    if isinstance(dimension, IntRange):
        return trial.suggest_int(key, int(low), int(high), log=log, step=int(step or 1))
    return trial.suggest_float(key, low, high, log=log, step=step)


def is_active(dimension: Dimension, chosen: Mapping[str, Scalar], model: str) -> bool:
    """True if every condition of a dimension holds for the keys chosen so far."""
    known = {**chosen, MODEL: model}
    return all(
        key in known and any(same(known[key], value) for value in values)
        for key, values in dimension.when.items()
    )


def model_space(space: Space, model: str) -> dict[str, Dimension]:
    """Part of the space that a model can have, in order."""
    possible: dict[str, Dimension] = {MODEL: Choice(choices=[model])}
    for key, dimension in space.items():
        if all(
            name in possible and any(value in possible[name] for value in values)
            for name, values in dimension.when.items()
        ):
            possible[key] = dimension
    del possible[MODEL]
    return possible


def grid(space: Space, model: str) -> dict[str, list[Scalar]]:
    """Every value of every key of a model; the space must be finite, as `read_sweep` checks."""
    return {key: dimension.values or [] for key, dimension in model_space(space, model).items()}


def clean(space: Space, params: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Optuna's parameters without the rounding noise of steps, in the space's order."""
    return {key: space[key].clean(params[key]) for key in space if key in params}


def start_points(sweep: Sweep, model: str) -> list[dict[str, Scalar]]:
    """Start points of the sweep, reduced to the keys of a model; empty ones are left out."""
    keys = model_space(sweep.space, model)
    points = [{key: point[key] for key in keys if key in point} for point in sweep.start]
    return [point for point in points if point]


def resolve_trial(
    suite: Suite,
    sweep: Sweep,
    model: str,
    chosen: Mapping[str, Scalar],
    seed: int,
) -> Resolved:
    """Resolve the configuration of a trial from fixed and chosen settings and the solved size.

    Raises BenchError if the network cannot have `budget.parameters` weights.
    """
    settings = {**sweep.fixed, **clean(sweep.space, chosen), "seed": seed}
    resolved = resolve(suite, sweep.task, model=model, overrides=tree_of(settings))
    if sweep.budget.parameters is None:
        return resolved
    from bench.sweep.size import solve_size

    size = solve_size(resolved, sweep.budget.parameters)
    return resolve(suite, sweep.task, model=model, overrides=tree_of({**settings, **size}))


def tree_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Tree of dotted keys: `{"optim.lr": 1}` -> `{"optim": {"lr": 1}}`."""
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        tree = merge(tree, value)
    return tree


def prerequisites(space: Space, key: str, model: str) -> dict[str, Scalar]:
    """Values of other keys that activate `key` of `model_space(space, model)`."""
    needed: dict[str, Scalar] = {}
    for name, values in space[key].when.items():
        if name != MODEL:
            possible = [value for value in values if value in space[name]]
            needed = {**prerequisites(space, name, model), **needed, name: possible[0]}
    return needed
