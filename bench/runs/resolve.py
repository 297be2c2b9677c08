"""Card, recipe, file and command line -> one complete configuration.

Precedence, lowest first: dataclass default, the card's `default` recipe, its recipe for the model
(or the one named by `--recipe`), the `--config` file, the command line or a trial.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench.core.cards import Card
from bench.core.config import RunConfig, choices, digest, dotted, merge
from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen, options_struct, to_struct
from bench.core.suite import Suite
from bench.core.yaml import read_yaml
from bench.data.identity import data_identity
from bench.domains import all_baselines, baseline_class, load_domain, objective_class
from bench.models import MODELS

if TYPE_CHECKING:
    from bench.training.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A configuration with every key in place, and where it came from."""

    card: Card
    config: RunConfig
    choices: dict[str, Any]
    """The settings that differ from the suite's defaults, by recipe or caller."""
    recipe: str
    set_by_caller: list[str]

    @property
    def objective(self) -> str:
        """The objective's name: the caller's, else the card's."""
        return str(self.config.objective.get("name", self.card.objective))

    @property
    def is_baseline(self) -> bool:
        """True for a baseline, which is fitted and not trained."""
        return self.config.model["name"] in load_domain(self.card.kind).baselines

    def objective_class(self) -> type[Objective]:
        """Class of the objective; this imports torch and Lightning."""
        return objective_class(self.card.kind, self.objective)

    @functools.cached_property
    def data_identity(self) -> str | None:
        """Name of the content of own data; None where the card pins it."""
        return data_identity(self.card, self.config.data)

    @property
    def digest(self) -> str:
        """The configuration's name, whatever the seed.

        A folder is a place and names nothing; what stands in it does, unless the card pins it.
        """
        chosen = {key: value for key, value in self.choices.items() if key != "data.path"}
        if self.data_identity is not None:
            chosen["data.content"] = self.data_identity
        return digest(chosen, self.card.version)

    @property
    def run_id(self) -> str:
        """`<model>-<digest>-s<seed>`, the record's name."""
        return f"{self.config.model['name']}-{self.digest}-s{self.config.seed}"


def resolve(
    suite: Suite,
    task: str,
    *,
    model: str | None = None,
    objective: str | None = None,
    recipe: str | None = None,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Resolved:
    """The configuration that `task` and the caller's settings add up to.

    `overrides` is a tree such as `{"optim": {"lr": "0.5"}}`; text is read as the type of its key.
    Raises BenchError naming the source, the key and the nearest right one.
    """
    return resolve_card(
        suite.card(task),
        model=model,
        objective=objective,
        recipe=recipe,
        file=file,
        overrides=overrides,
    )


def resolve_card(
    card: Card,
    *,
    model: str | None = None,
    objective: str | None = None,
    recipe: str | None = None,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Resolved:
    """Resolve a configuration for the task of `card`; see `resolve`."""
    task = card.task
    from_file = _canonical(read_yaml(file)) if file else {}
    if file and from_file.pop("task", task) != task:
        raise BenchError(f"{file}: task is not {task!r}: name the task once, by --task")
    from_caller = _canonical(overrides or {})
    if model is not None:
        from_caller = merge(from_caller, {"model": {"name": model}})
    if objective is not None:
        from_caller = merge(from_caller, {"objective": {"name": objective}})
    if recipe is not None and recipe not in card.recipes:
        raise BenchError(f"task {task!r} has no recipe {recipe!r}, {nearest(recipe, card.recipes)}")
    named = card.recipe(recipe) if recipe is not None else {}
    asked = merge(card.recipe("default"), named, from_file, from_caller)
    name = _model_name(asked.get("model", {}), card)
    of_card = _of_card(
        card, named if recipe else card.recipe(name), _objective_name(card, asked), name
    )
    _check_layers(card, {f"tasks/{task}.yaml": of_card, str(file): from_file}, from_caller)
    tree = merge(of_card, from_file, from_caller)
    config, defaults = _complete(card, name, tree, {*from_file, *from_caller})
    return Resolved(
        card=card,
        config=config,
        choices=choices(config, defaults),
        recipe=recipe or (name if name in card.recipes else "default"),
        set_by_caller=sorted(set(dotted(from_file)) | set(dotted(from_caller))),
    )


def _canonical(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Dashes to underscores; `model: scrn` and `objective: ctc` spelled out."""
    result = _underscored(tree)
    for group in ("model", "objective"):
        if isinstance(result.get(group), str):
            result[group] = {"name": result[group]}
    return result


def _underscored(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        str(key).replace("-", "_"): _underscored(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
    }


def _model_name(model: Any, card: Card) -> str:
    known = [*MODELS, *load_domain(card.kind).baselines]
    name = model.get("name") if isinstance(model, Mapping) else None
    if name is None:
        raise BenchError(
            f"no model given for task {card.task!r}: add --model, one of {', '.join(known)}"
        )
    if name not in known and name not in (known := [*MODELS, *all_baselines()]):
        raise BenchError(f"unknown model {name!r}, {nearest(str(name), known)}")
    return str(name)


def _objective_name(card: Card, asked: Mapping[str, Any]) -> str:
    allowed = [card.objective, *card.objectives]
    options = asked.get("objective", {})
    name = str(options.get("name", card.objective) if isinstance(options, Mapping) else options)
    if name not in allowed:
        hint = nearest(name, allowed) if len(allowed) > 1 else "leave it out"
        raise BenchError(
            f"task {card.task!r} is not trained by objective {name!r}, but by "
            f"{' or '.join(allowed)}: {hint}"
        )
    return name


def _of_card(card: Card, chosen: Mapping[str, Any], objective: str, model: str) -> dict[str, Any]:
    """The card's settings: `default`, the objective's recipe, then the chosen one.

    What a recipe says of its objective belongs to the one that it names, or the card's, and is
    left out where another one is trained. What the first two say of the model is for networks.
    """
    layers: list[Mapping[str, Any]] = []
    for layer in (card.recipe("default"), card.recipe(objective), chosen):
        if model not in MODELS and layer is not chosen:
            layer = {key: value for key, value in layer.items() if key != "model"}
        if layer.get("objective", {}).get("name", card.objective) != objective:
            layer = {key: value for key, value in layer.items() if key != "objective"}
        layers.append(layer)
    return merge(*layers)


def _check_layers(card: Card, files: Mapping[str, dict[str, Any]], caller: dict[str, Any]) -> None:
    """Every layer on its own, so that an error names the layer that holds the fault."""
    for where, layer in {**files, "command line": caller}.items():
        to_struct({"task": card.task, "model": {}, **layer}, RunConfig, where=where)


def _complete(
    card: Card, name: str, tree: dict[str, Any], asked: set[str]
) -> tuple[RunConfig, dict[str, Any]]:
    """The configuration with every option in place, and what it would be by default."""
    options = {key: value for key, value in tree.get("model", {}).items() if key != "name"}
    if name not in MODELS:
        parts, usual = _of_baseline(card, name, options, tree, asked)
    else:
        parts, usual = _of_recurrence(card, name, options, tree)
    config = to_struct({**parts, "task": card.task}, RunConfig, where="configuration")
    default = RunConfig(task=card.task, model=usual["model"], objective=usual["objective"])
    return config, msgspec.to_builtins(default)


def _of_baseline(
    card: Card, name: str, options: dict[str, Any], tree: dict[str, Any], asked: set[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    struct = options_struct(baseline_class(card.kind, name, task=card.task), Frozen)
    for group in ("objective", "optim", "trainer", "init"):
        if group in asked:
            raise BenchError(f"{group}: the baseline {name!r} is not trained, leave it out")
    where = f"model {name!r}"
    model = msgspec.structs.asdict(to_struct(options, struct, where=where, prefix="model."))
    usual = msgspec.structs.asdict(to_struct({}, struct, where=where))
    kept: dict[str, Any] = {key: tree[key] for key in ("data", "seed") if key in tree}
    return {**kept, "model": {"name": name, **model}}, {"model": usual, "objective": {}}


def _of_recurrence(
    card: Card, name: str, options: dict[str, Any], tree: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    from bench.models import resolve_options

    objective_name = _objective_name(card, tree)
    kind: type[Frozen] = objective_class(card.kind, objective_name).Options
    model = msgspec.structs.asdict(resolve_options(name, options))
    usual = msgspec.structs.asdict(resolve_options(name, {}))
    where = f"task {card.task!r}"
    given = {key: value for key, value in tree.get("objective", {}).items() if key != "name"}
    objective = to_struct(given, kind, where=where, prefix="objective.")
    parts = {**tree, "model": {"name": name, **model}}
    named = {} if objective_name == card.objective else {"name": objective_name}
    parts["objective"] = {**named, **msgspec.structs.asdict(objective)}
    return parts, {"model": usual, "objective": msgspec.structs.asdict(kind())}
