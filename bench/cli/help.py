"""Help with every setting as an option of its own, and shell completion of all of them.

Verbs take settings as groups (`--optim.lr 0.5` is the key `lr` of the group `optim`), so that a
configuration checks them in one place. For help, a group is replaced by its settings: those of the
model and the objective when the command line names them, with the values of the task's recipe as
defaults.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Group, Parameter

from bench.cli.settings import SettingsGroup
from bench.core.config import DataConfig, OptimConfig, RunConfig, TrainerConfig
from bench.core.errors import BenchError
from bench.core.settings import Setting, describe_settings
from bench.core.structs import Frozen, options_struct
from bench.core.suite import Suite
from bench.domains import all_baselines, load_attribute, load_domain, objective_class
from bench.models import MODELS, model_class, model_options
from bench.runs.resolve import resolve

Verb = Callable[..., None]


class Named(Frozen, frozen=True, kw_only=True):
    """Names on the command line that decide which settings there are."""

    task: str | None = None
    model: str | None = None
    objective: str | None = None
    recipe: str | None = None
    launcher: str = "local"
    suite: str = "."

    @classmethod
    def in_tokens(cls, tokens: Sequence[str]) -> Named:
        """Names that `--task NAME` or `--task=NAME` and its like give."""
        found: dict[str, str] = {}
        for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
            option, equals, value = token.partition("=")
            if option.removeprefix("--") in cls.__struct_fields__ and option.startswith("--"):
                found[option.removeprefix("--")] = value if equals else after
        return cls(**found)

    def config(self) -> RunConfig | None:
        """Configuration of the task and the model by the card's recipes, if both are known."""
        if self.task is None or self.model is None:
            return None
        try:
            return resolve(
                Suite.at(Path(self.suite)),
                self.task,
                model=self.model,
                objective=self.objective,
                recipe=self.recipe,
            ).config
        except BenchError:
            return None


def with_settings(verb: Verb, named: Named) -> Verb:
    """Copy of a verb, for help only, with the settings of its groups as parameters."""
    config = named.config()
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(verb, eval_str=True).parameters.values():
        group = _group_of(parameter)
        if group is None:
            parameters.append(parameter)
        else:
            parameters += _expanded(group, named, config)

    def documented(**given: Any) -> None:
        raise AssertionError(f"only for help: {sorted(given)}")

    documented.__name__ = verb.__name__
    documented.__doc__ = verb.__doc__
    documented.__annotations__ = {each.name: each.annotation for each in parameters}
    documented.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return documented


def _group_of(parameter: inspect.Parameter) -> SettingsGroup | None:
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return next((each for each in metadata if isinstance(each, SettingsGroup)), None)


def _expanded(
    group: SettingsGroup, named: Named, config: RunConfig | None
) -> Iterable[inspect.Parameter]:
    title, settings = _settings(group, named)
    shown = Group(title, sort_key=10 + list(SettingsGroup).index(group))
    read = _data_options(named) if group is SettingsGroup.DATA else None
    values = {} if config is None else _values(group, config)
    for setting in settings:
        if read is None or setting.name in read:
            yield _option(group, shown, setting, values.get(setting.name, setting.default))
    if not settings:
        yield _any_option(group, shown)


def _option(
    group: SettingsGroup, shown: Group, setting: Setting, default: Any
) -> inspect.Parameter:
    name = f"--{group.value}.{setting.name.replace('_', '-')}"
    meaning = setting.meaning.replace("<unk>", "`<unk>`")  # else Markdown reads it as markup
    about = Parameter(name=name, help=meaning, group=shown)
    return inspect.Parameter(
        f"{group.value}__{setting.name}",
        inspect.Parameter.KEYWORD_ONLY,
        default=str(default).lower() if isinstance(default, bool) else default,
        annotation=Annotated[_plain_type(setting.annotation), about],
    )


def _any_option(group: SettingsGroup, shown: Group) -> inspect.Parameter:
    """One line for a group whose settings depend on something that was not named."""
    about = Parameter(name=f"--{group.value}.KEY", help=group.advice, group=shown)
    return inspect.Parameter(
        f"{group.value}__any",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[str | None, about],
    )


def _settings(group: SettingsGroup, named: Named) -> tuple[str, list[Setting]]:
    """Heading and settings of a group."""
    if group is SettingsGroup.MODEL:
        return f"Model {named.model or ''}".strip(), _model_settings(named.model)
    if group is SettingsGroup.OBJECTIVE:
        return _objective_settings(named)
    if group is SettingsGroup.INIT:
        return "Initial weights", []
    if group is SettingsGroup.LAUNCHER:
        return f"Launcher {named.launcher}", _launcher_settings(named.launcher)
    from bench.tracking.options import TrackOptions

    known: dict[SettingsGroup, tuple[str, type[Frozen]]] = {
        SettingsGroup.OPTIM: ("Optimiser", OptimConfig),
        SettingsGroup.TRAINER: ("Training", TrainerConfig),
        SettingsGroup.DATA: ("Data", DataConfig),
        SettingsGroup.TRACK: ("Tracking", TrackOptions),
    }
    title, struct = known[group]
    return title, describe_settings(struct)


def _model_settings(name: str | None) -> list[Setting]:
    if name in MODELS:
        return describe_settings(model_options(name), model_class(name))
    if name is not None and (target := all_baselines().get(name)):
        baseline = load_attribute(target)
        return describe_settings(options_struct(baseline, Frozen), baseline)
    return []


def _objective_settings(named: Named) -> tuple[str, list[Setting]]:
    if named.task is None or (named.model is not None and named.model not in MODELS):
        return "Objective", []
    try:
        card = Suite.at(Path(named.suite)).card(named.task)
        name = named.objective or card.objective
        return f"Objective {name}", describe_settings(objective_class(card.kind, name).Options)
    except BenchError:
        return "Objective", []


def _launcher_settings(name: str) -> list[Setting]:
    from bench.launch.ray_cluster import RayOptions
    from bench.launch.slurm import SlurmOptions

    options: dict[str, type[msgspec.Struct]] = {"slurm": SlurmOptions, "ray": RayOptions}
    return describe_settings(options[name]) if name in options else []


def _data_options(named: Named) -> frozenset[str] | None:
    """Settings of data that the task reads; None where no task is named."""
    if named.task is None:
        return None
    try:
        card = Suite.at(Path(named.suite)).card(named.task)
    except BenchError:
        return None
    return load_domain(card.kind).data_options | {"path"}


def _values(group: SettingsGroup, config: RunConfig) -> dict[str, Any]:
    """Values of a configuration in a group."""
    found = msgspec.to_builtins(config).get(group.value, {})
    return found if isinstance(found, dict) else {}


def _plain_type(annotation: Any) -> Any:
    """Type without the limits of its values; of a boolean, which takes a value, its two words."""
    if annotation is bool:
        return Literal["true", "false"]
    if typing.get_origin(annotation) is Annotated:
        return _plain_type(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [_plain_type(part) for part in typing.get_args(annotation)]
        return typing.Union[tuple(parts)]  # noqa: UP007  # of a computed list
    return annotation
