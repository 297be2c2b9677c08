"""Configuration: strict keys, precedence, and the hash that names a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.core.config import OptimConfig, RunConfig, digest, dotted, merge
from bench.core.errors import BenchError
from bench.core.structs import to_struct
from bench.core.suite import Suite
from bench.domains import all_baselines
from bench.models import MODELS
from bench.runs.resolve import resolve

SUITE = Suite(folder=Path(__file__).parent.parent.parent)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"lrr": 1}, "unknown key 'optim.lrr', did you mean 'lr'?"),
        ({"lr": "fast"}, "optim.lr: expected float, not 'fast'"),
        ({"lr": -1}, "optim.lr: expected float > 0.0, not -1"),
        (
            {"name": "adamm"},
            "optim.name: 'adamm' is none of sgd, adam, adamw, did you mean 'adam'?",
        ),
        ({"clip": "never"}, "optim.clip: 'never' is none of norm, value, none"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        to_struct({"task": "t", "model": {}, "optim": tree}, RunConfig, where="x.yaml")
    assert str(caught.value).startswith("x.yaml: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_reads_as_the_type_of_its_key() -> None:
    config = to_struct({"lr": "1e-3", "back_to_best": "true"}, OptimConfig, where="command line")
    assert (config.lr, config.back_to_best) == (0.001, True)


def test_configuration_is_frozen() -> None:
    with pytest.raises(AttributeError):
        OptimConfig().lr = 1.0  # type: ignore[misc]


def test_later_layers_stand_above_earlier_ones_key_by_key() -> None:
    below: dict[str, Any] = {"optim": {"lr": 1, "clip": "norm"}, "seed": 1}
    above: dict[str, Any] = {"optim": {"lr": 2}}
    assert merge(below, above) == {"optim": {"lr": 2, "clip": "norm"}, "seed": 1}
    assert below["optim"]["lr"] == 1
    assert dotted(merge(below, above)) == {"optim.lr": 2, "optim.clip": "norm", "seed": 1}


def test_precedence_default_recipe_file_command_line(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    card = (SUITE.folder / "tasks" / "synthetic-text.yaml").read_text()
    card = card.partition("recipes:")[0].replace("task: synthetic-text", "task: mine")
    recipes = "recipes:\n  default: {optim: {lr: 0.1, shrink: 3}}\n  srn: {optim: {lr: 0.2}}\n"
    (tmp_path / "tasks" / "mine.yaml").write_text(card + recipes)
    file = tmp_path / "x.yaml"
    file.write_text("model: srn\noptim: {lr: 0.3, clip-at: 7}\n")
    suite = Suite(folder=tmp_path)

    def lr(**settings: Any) -> float:
        return resolve(suite, "mine", **settings).config.optim.lr

    caller = {"optim": {"lr": "0.4"}}
    assert lr(model="lstm") == 0.1
    assert lr(model="srn") == 0.2
    assert lr(file=file) == 0.3
    assert lr(file=file, overrides=caller) == 0.4
    resolved = resolve(suite, "mine", file=file, overrides=caller)
    assert resolved.config.optim.shrink == 3
    assert resolved.set_by_caller == ["model.name", "optim.clip_at", "optim.lr"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"task": "ptbb"}, "unknown task 'ptbb', did you mean 'ptb'?"),
        ({"model": "scnr"}, "unknown model 'scnr', did you mean 'scrn'?"),
        ({"overrides": {"model": {"hiden-size": "3"}}}, "did you mean 'hidden_size'?"),
        ({"overrides": {"objective": {"bptt": "3"}}}, "'objective.bptt', did you mean"),
        ({"overrides": {"optm": {"lr": "3"}}}, "command line: unknown key 'optm'"),
        ({"overrides": {"model": {"hidden-size": "many"}}}, "model.hidden_size: expected int"),
        ({"recipe": "nobodys"}, "has no recipe 'nobodys'"),
    ],
)
def test_unknown_names_lead_to_the_nearest_right_one(
    settings: dict[str, Any], message: str
) -> None:
    arguments = {"task": "ptb", "model": "scrn", **settings}
    with pytest.raises(BenchError) as caught:
        resolve(SUITE, arguments.pop("task"), **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_model_lists_those_there_are() -> None:
    with pytest.raises(BenchError, match=r"no model given .*scrn"):
        resolve(SUITE, "ptb")


def test_the_name_of_a_run_follows_what_can_change_its_number() -> None:
    base = resolve(SUITE, "ptb", model="scrn")

    def named(**changes: Any) -> str:
        return resolve(SUITE, "ptb", model="scrn", overrides=changes).run_id

    assert named() == base.run_id
    assert named(trainer={"threads": 1, "checkpoint_every_steps": 7}) == base.run_id
    assert named(trainer={"strategy": "ddp"}) == base.run_id  # how, not what
    assert named(seed=2) == base.run_id.removesuffix("s1") + "s2"
    assert named(optim={"lr": 0.123}) != base.run_id
    assert named(optim={"lr": str(base.config.optim.lr)}) == base.run_id


def test_a_complete_configuration_reads_back_as_itself(tmp_path: Path) -> None:
    resolved = resolve(SUITE, "ptb", model="scrn")
    path = tmp_path / "c.yaml"
    path.write_bytes(msgspec.yaml.encode(resolved.config))
    assert resolve(SUITE, "ptb", file=path).config == resolved.config


def test_every_recipe_of_every_card_resolves() -> None:
    for card in SUITE.cards():
        for name, recipe in card.recipes.items():
            if name == "default":
                continue
            namesake = name if name in {*MODELS, *all_baselines()} else "srn"
            model = recipe.get("model", {}).get("name", namesake)
            resolve(SUITE, card.task, model=model, recipe=name)


def test_names_of_runs_outlive_new_settings_and_code() -> None:
    # Pinned: a committed record is found again by its configuration. This fails when a default
    # changes or a setting is renamed, which would silently train everything anew.
    overrides = {"optim": {"lr": 0.01}, "objective": {"dropout_input": 0.5}, "seed": 7}
    resolved = resolve(SUITE, "text", model="lstm", overrides=overrides)
    assert resolved.card.version == 1
    assert digest(resolved.choices, resolved.card.version) == "518872f8"


def test_a_baseline_refuses_settings_of_training() -> None:
    with pytest.raises(BenchError, match=r"optim: the baseline 'ngram' is not trained"):
        resolve(SUITE, "ptb", model="ngram", overrides={"optim": {"lr": "1"}})
    assert resolve(SUITE, "ptb", model="ngram").config.objective == {}
