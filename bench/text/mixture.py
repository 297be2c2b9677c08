"""Linear interpolation of finished runs, recorded as a run of its own.

    p(w_t) = sum_m lambda_m p_m(w_t),

the weights by expectation-maximisation on validation text only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from bench.cli.listing import aligned
from bench.core.cards import require_text
from bench.core.config import RunConfig, Scalar, choices
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.finished import FinishedRun, find_run
from bench.runs.resolve import Resolved
from bench.runs.run import Manners, run
from bench.text.mixing import CACHE, SPLITS, Mixing
from bench.training.baselines import BASELINES

Decay = float | Literal["auto"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A component of a finished mixture, with what it scores alone."""

    name: str
    weight: float
    metrics: dict[str, float]
    """Split -> metric; empty for a cache, which gives some words no probability."""


def mix_runs(
    suite: Suite,
    task: str,
    run_ids: Sequence[str],
    *,
    cache: Sequence[Decay] = (),
    manners: Manners | None = None,
) -> tuple[Record, list[Part]]:
    """Interpolate finished runs of `task`, record the mixture and say what it consists of.

    `cache` adds unigram caches of these decays; `auto` chooses one on validation. Raises BenchError
    for components that differ in signature, data or number of tokens.
    """
    require_text(suite.card(task), "mix")
    found = [find_run(suite, run_id, task=task) for run_id in run_ids]
    components = sorted(found, key=lambda component: component.id)
    check_components(components, cache)
    resolved = resolve_mixture(components, cache)
    record = run(resolved, suite, manners, work=Mixing(suite=suite, components=components))
    return record, parts_of(record, components)


def check_components(components: Sequence[FinishedRun], cache: Sequence[Decay]) -> None:
    """Refuse what cannot be interpolated."""
    if len(components) + len(cache) < 2:
        raise BenchError("a mixture needs two components: name another run or add --cache auto")
    names = [component.id for component in components]
    if len(set(names)) < len(names):
        raise BenchError(f"a run is named twice: {', '.join(names)}")
    for decay in cache:
        if decay != "auto" and not 0.0 < float(decay) <= 1.0:
            raise BenchError(f"--cache {decay}: a decay lies above 0 and is at most 1")
    first = components[0].record
    for other in (component.record for component in components[1:]):
        if other.signature != first.signature:
            raise BenchError(
                f"{other.id} measures {other.signature}, {first.id} measures {first.signature}: "
                "only runs of one signature can be mixed"
            )
        if other.data != first.data:
            raise BenchError(f"{other.id} and {first.id} were measured on different files")


def resolve_mixture(components: Sequence[FinishedRun], cache: Sequence[Decay]) -> Resolved:
    """The configuration of a mixture of components sorted by name.

    `model.components` names the kinds (`ngram+srn+unigram-cache`), `model.runs` the runs, and each
    component's options follow under its kind (`model.srn.hidden_size`; a second one is `srn2`).
    Where the trained components share one seed, that is the mixture's, and `model.runs` leaves it
    out, so that mixtures over seeds are one row of a table.
    """
    kinds = [component.record.model for component in components]
    trained = {c.record.seed for c in components if c.record.model not in BASELINES}
    shared = len(trained) <= 1
    seed = trained.pop() if trained and shared else components[0].record.seed
    runs = [c.id.rpartition("-s")[0] if shared else c.id for c in components]
    decays = [str(decay) for decay in cache]
    model: dict[str, Scalar] = {
        "name": "mix",
        "components": "+".join([*kinds, *[CACHE] * len(decays)]),
        "runs": "+".join(runs),
        "cache": "+".join(decays) or "none",
    }
    for place, component in enumerate(components):
        number = kinds[: place + 1].count(kinds[place])
        prefix = kinds[place] if number == 1 else f"{kinds[place]}{number}"
        options = component.resolved.config.model
        model.update({f"{prefix}.{k}": value for k, value in options.items() if k != "name"})
    first = components[0].resolved
    config = RunConfig(task=first.card.task, model=model, data=first.config.data, seed=seed)
    usual = msgspec.to_builtins(RunConfig(task=first.card.task, model={}))
    return Resolved(
        card=first.card,
        config=config,
        choices=choices(config, usual),
        recipe="mix",
        set_by_caller=[],
    )


def parts_of(record: Record, components: Sequence[FinishedRun]) -> list[Part]:
    """The components of a recorded mixture, the caches last."""
    weights = {
        key.removeprefix("weight "): weight
        for key, weight in record.extra.items()
        if key.startswith("weight ")
    }
    metrics = {component.id: component.record.metrics for component in components}
    return [
        Part(name=name, weight=weight, metrics=metrics.get(name, {}))
        for name, weight in weights.items()
    ]


def table_of_parts(record: Record, parts: Sequence[Part]) -> str:
    """Weights and what each part scores alone, the mixture last."""
    rows = [(part.name, f"{part.weight:.4f}", *_shown(part.metrics)) for part in parts]
    rows.append((record.id, "1", *_shown(record.metrics)))
    return aligned(("component", "weight", "valid", "test"), rows)


def _shown(metrics: dict[str, float]) -> list[str]:
    return [f"{metrics[split]:.2f}" if split in metrics else "-" for split in SPLITS]
