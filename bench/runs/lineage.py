"""Training in stages: runs that start with the weights of another recipe of their task.

`init.PART: recipe:NAME` stands for the run of that recipe with the same seed and the same data, so
that a recipe names its own earlier stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench.core.config import dotted
from bench.core.errors import BenchError
from bench.core.record import RECIPE, read_record
from bench.core.suite import Suite
from bench.data.corpora import Corpus
from bench.data.identity import check_same_data
from bench.runs.resolve import Resolved, resolve_card


def stages_before(resolved: Resolved) -> dict[str, Resolved]:
    """Part -> the run whose weights it begins with, for the parts that name a recipe."""
    config, card = resolved.config, resolved.card
    found = {}
    for part, source in config.init.items():
        if source.startswith(RECIPE):
            overrides = {"data": _given(resolved), "seed": config.seed}
            name = source.removeprefix(RECIPE)
            found[part] = resolve_card(card, recipe=name, overrides=overrides)
    return found


def runs_before(resolved: Resolved, runs: Path, *, weights: str) -> Mapping[str, str]:
    """Part -> the name of the run whose weights it begins with.

    `runs` is the folder of all artifacts of the task, `weights` the file in each. Raises BenchError
    for a stage that has not been finished, with the command that does it.
    """
    stages = stages_before(resolved)
    for part, stage in stages.items():
        if not (runs / stage.run_id / weights).is_file():
            data = "".join(f" --data.{key} {value}" for key, value in _given(resolved).items())
            raise BenchError(
                f"init.{part}: run {stage.run_id} comes first: bench run --task "
                f"{stage.card.task} --recipe {stage.recipe} --seed {stage.config.seed}{data}"
            )
    return {**resolved.config.init, **{part: stage.run_id for part, stage in stages.items()}}


def check_sources(resolved: Resolved, suite: Suite, corpus: Corpus) -> None:
    """Refuse to start from the weights of runs that were trained on other data."""
    task, stages = resolved.card.task, stages_before(resolved)
    names = {**resolved.config.init, **{part: stage.run_id for part, stage in stages.items()}}
    for name in names.values():
        path = suite.record_path(task, name)
        if path.is_file():
            check_same_data(read_record(path).data, corpus.checksums, run=name)


def _given(resolved: Resolved) -> dict[str, object]:
    """Settings of the data that are not the defaults."""
    data = resolved.config.data
    usual = dotted(msgspec.structs.asdict(type(data)()))
    return {k: v for k, v in msgspec.structs.asdict(data).items() if usual[k] != v}
