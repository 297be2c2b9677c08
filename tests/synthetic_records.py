"""Records and cards that no run has made."""

from __future__ import annotations

from typing import Any, Literal

from bench.core.cards import Card, Metric
from bench.core.config import merge
from bench.core.published import PublishedRow
from bench.core.record import Cost, Provenance, Record
from bench.text.data.specification import TextSpec

SIGNATURE = "perplexity|unit:word|end:<eos>|streams:1|eval:static"
PLAIN: dict[str, Any] = {
    "task": "toy",
    "model": {"name": "scrn", "hidden_size": 100, "context_size": 40, "num_layers": 1},
    "objective": {"output": "full"},
    "optim": {"lr": 0.5},
    "trainer": {"threads": None, "checkpoint_every_steps": 500},
    "seed": 1,
}


def make_card(*, direction: Literal["min", "max"] = "min", version: int = 1) -> Card:
    return Card(
        task="toy",
        title="Toy text",
        version=version,
        objective="language-model",
        description="",
        metric=Metric(name="perplexity", direction=direction),
        protocol="",
        corpus=TextSpec(unit="word", licence="none"),
    )


def make_published(
    value: float = 115,
    *,
    label: str = "SCRN, 100 hidden, 40 context",
    match: dict[str, Any] | None = None,
    protocol: str = "same",
    verified: Literal["paper", "lecture", "secondary", "memory"] = "lecture",
) -> PublishedRow:
    return PublishedRow(
        label=label,
        cite="mikolov2014longer",
        where="Table 2",
        metrics={"test": value},
        protocol=protocol,
        verified=verified,
        match=match or {"model.name": "scrn", "model.hidden_size": 100},
    )


def make_record(
    test: float | None,
    *,
    seed: int = 1,
    valid: float = 120.0,
    signature: str = SIGNATURE,
    bound: float | None = None,
    caller: tuple[str, ...] = (),
    recipe: str = "default",
    version: int = 1,
    **parts: dict[str, Any],
) -> Record:
    """A finished run, or a diverged one where `test` is None; `parts` go over `PLAIN`."""
    config = merge(PLAIN, parts, {"seed": seed})
    name = "-".join(f"{k}{v}" for part in parts.values() for k, v in part.items())
    return Record(
        id=f"{config['model']['name']}-{name or 'plain'}-{recipe}-s{seed}",
        task="toy",
        card_version=version,
        seed=seed,
        status="diverged" if test is None else "finished",
        metric="perplexity",
        signature=signature,
        metrics={} if test is None else {"valid": valid, "test": test},
        bound=bound,
        config=config,
        set_by_caller=["seed", *caller],
        recipe=recipe,
        data={},
        cost=Cost(num_parameters=2_054_000, seconds=100.0 * seed),
        provenance=Provenance(
            commit=None, dirty=None, packages={}, python="3", platform="", hardware={}
        ),
        started="",
        finished="",
    )


def make_records(values: list[float], **settings: Any) -> list[Record]:
    """One finished run for each value, with seeds 1, 2, ..."""
    return [make_record(v, seed=seed, **settings) for seed, v in enumerate(values, start=1)]
