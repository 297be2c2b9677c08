"""Lineage of a run: runs that it started from, evaluates or mixes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bench.core.config import dotted
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.runs.resolve import Resolved, resolve_card

RECIPE = "recipe:"
_WEIGHT, _CACHE = "weight ", "unigram-cache"


def runs_used(record: Record) -> list[str]:
    """Names of the runs that a record says it is made of; a stage named by its recipe is none."""
    return [*_begun_with(record), *evaluated_runs(record), *mixed_runs(record)]


def _begun_with(record: Record) -> list[str]:
    sources = [str(source) for source in (record.config.get("init") or {}).values()]
    return [source for source in sources if not source.startswith(RECIPE)]


def evaluated_runs(record: Record) -> list[str]:
    """`gru-9d0e1f2a` with seed 3 is gru-9d0e1f2a-s3; `gru-9d0e1f2a[0,1]` is that and the next."""
    found = []
    for name in str(record.config.get("objective", {}).get("evaluation_of", "")).split():
        stem, _, distances = name.removesuffix("]").partition("[")
        seeds = [record.seed + int(distance) for distance in (distances or "0").split(",")]
        found += [f"{stem}-s{seed}" for seed in seeds]
    return found


def mixed_runs(record: Record) -> list[str]:
    """The components of a mixture."""
    names = [name.removeprefix(_WEIGHT) for name in record.extra if name.startswith(_WEIGHT)]
    return [name for name in names if not name.startswith(_CACHE)]


# Training in stages: a run that begins with what another recipe of its task has learned.
#
# `init.PART: recipe:NAME` stands for the run of that recipe with the same seed and the same data,
# so that a recipe can say of itself what comes before it.


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


def _given(resolved: Resolved) -> dict[str, object]:
    """Settings of the data that are not the defaults."""
    data = resolved.config.data
    usual = dotted(msgspec.structs.asdict(type(data)()))
    return {k: v for k, v in msgspec.structs.asdict(data).items() if usual[k] != v}
