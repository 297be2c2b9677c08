"""Help lists every setting as an option, for the task and the model that are named."""

from __future__ import annotations

import types
import typing
from typing import Annotated

import msgspec
import pytest
from command_line import CommandLine

from bench.cli import VERBS, app, build_app
from bench.cli.help import Named, with_settings
from bench.core.config import DataConfig, OptimConfig, TrainerConfig
from bench.core.settings import describe_settings
from bench.core.structs import Frozen, options_struct
from bench.domains import all_baselines, all_domains, load_attribute, objective_class
from bench.launch.ray_cluster import RayOptions
from bench.launch.slurm import SlurmOptions
from bench.models import MODELS, model_class, model_options
from bench.tracking.options import TrackOptions


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def help_of(capsys: pytest.CaptureFixture[str], *tokens: str) -> str:
    named = Named.in_tokens(tokens)
    shown = build_app(lambda verb: with_settings(verb, named))
    with pytest.raises(SystemExit) as end:
        shown([*tokens, "--help"], exit_on_error=False, print_error=False)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_settings_of_a_named_model_and_task_are_listed_with_the_recipes_values(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = help_of(capsys, "run", "--task", "ptb", "--model", "scrn")
    line = next(line for line in text.splitlines() if "--model.context-size" in line)
    assert "INT" in line
    assert "[default: 40]" in line
    assert "--objective.bptt-length" in text
    line = next(line for line in text.splitlines() if "--optim.schedule" in line)
    assert "[default: linear]" in line
    assert "--data.languages" not in text  # of parallel-text
    assert "--model.peephole" not in text  # of the LSTM


def test_without_a_model_its_options_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = help_of(capsys, "run")
    assert "--model.KEY" in text
    assert "--optim.lr" in text


def test_a_baselines_options_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "--model.smoothing" in help_of(capsys, "run", "--model", "ngram", "--task=ptb")


def test_the_launchers_options_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "--launcher.partition" in help_of(capsys, "sweep", "--launcher", "slurm")
    assert "--launcher.address" in help_of(capsys, "sweep", "--launcher", "ray")


def test_names_that_do_not_exist_do_not_end_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--optim.lr" in help_of(capsys, "run", "--task", "nosuch", "--model", "nosuch")


def test_every_verb_stands_under_one_heading(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = [verb for members in VERBS.values() for verb in members]
    assert len(verbs) == len(set(verbs)) == len([name for name in app if not name.startswith("-")])
    with pytest.raises(SystemExit):
        app(["--help"], exit_on_error=False, print_error=False)
    text = capsys.readouterr().out
    assert [text.index(f" {title} ") for title in VERBS] == sorted(
        text.index(f" {title} ") for title in VERBS
    )


@pytest.mark.parametrize(
    "struct", [DataConfig, OptimConfig, TrainerConfig, TrackOptions, SlurmOptions, RayOptions]
)
def test_every_setting_of_the_suite_has_a_meaning(struct: type[Frozen]) -> None:
    assert [each.name for each in describe_settings(struct) if not each.meaning] == []


@pytest.mark.parametrize("name", MODELS)
def test_every_option_of_a_model_has_a_meaning(name: str) -> None:
    found = describe_settings(model_options(name), model_class(name))
    assert [each.name for each in found if not each.meaning] == []


@pytest.mark.parametrize("name", all_baselines())
def test_every_option_of_a_baseline_has_a_meaning(name: str) -> None:
    baseline = load_attribute(all_baselines()[name])
    found = describe_settings(options_struct(baseline, Frozen), baseline)
    assert [each.name for each in found if not each.meaning] == []


@pytest.mark.parametrize(
    ("kind", "name"), [(d.kind, name) for d in all_domains() for name in d.objectives]
)
def test_every_option_of_an_objective_has_a_meaning(kind: str, name: str) -> None:
    found = describe_settings(objective_class(kind, name).Options)
    assert [each.name for each in found if not each.meaning] == []


def unbounded(annotation: object) -> bool:
    """Test for a number that has no finite largest or smallest value."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(unbounded(part) for part in typing.get_args(annotation))
    if typing.get_origin(annotation) is Annotated:
        kind, *metadata = typing.get_args(annotation)
        if kind not in (int, float):
            return False
        metas = [each for each in metadata if isinstance(each, msgspec.Meta)]
        low = any(meta.ge is not None or meta.gt is not None for meta in metas)
        high = any(meta.le is not None or meta.lt is not None for meta in metas)
        return not (low and high)
    return annotation in (int, float)


def all_structs() -> list[type[Frozen]]:
    baselines = [options_struct(load_attribute(t), Frozen) for t in all_baselines().values()]
    objectives = [
        objective_class(d.kind, name).Options for d in all_domains() for name in d.objectives
    ]
    shared: list[type[Frozen]] = [
        DataConfig,
        OptimConfig,
        TrainerConfig,
        TrackOptions,
        SlurmOptions,
        RayOptions,
    ]
    return [*shared, *map(model_options, MODELS), *baselines, *objectives]


@pytest.mark.parametrize("struct", all_structs(), ids=lambda struct: struct.__name__)
def test_every_number_has_a_range(struct: type[Frozen]) -> None:
    found = [each.name for each in describe_settings(struct) if unbounded(each.annotation)]
    assert found == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("optim.lr", "inf"),
        ("optim.lr", "nan"),
        ("optim.beta1", "1"),
        ("optim.beta2", "1.5"),
        ("optim.shrink", "0.5"),
        ("optim.epsilon", "inf"),
        ("optim.momentum", "inf"),
        ("model.hidden-size", str(2**70)),
        ("model.num-layers", str(10**12)),
        ("trainer.devices", "300"),
        ("trainer.threads", str(2**70)),
        ("trainer.accumulate", str(2**70)),
        ("objective.init-range", "inf"),
    ],
)
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_number_that_cannot_be_meant_is_refused_by_its_key(
    bench: CommandLine, setting: str, value: str, dry: tuple[str, ...]
) -> None:
    said = bench("run", "--task", "synthetic-text", "--model", "srn", f"--{setting}", value, *dry)
    assert setting.replace("-", "_") in said.only_line


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--task", "synthetic-text", "--model", "srn", "--seed", "1.5"),
        ("table", "ptb", "--decimals", "1.5"),
        ("compare", "a", "b", "--block-length", "2.5"),
        ("compare", "a", "b", "--resamples", str(2**70)),
        ("errors", "a", "--num-groups", "1e3"),
    ],
    ids=" ".join,
)
def test_whole_numbers_are_whole_numbers(bench: CommandLine, words: tuple[str, ...]) -> None:
    assert "is no whole number" in bench(*words).only_line
