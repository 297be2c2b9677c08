"""A working folder with any number of finished runs that nothing has trained.

Each record has what a run on Penn Treebank leaves: a whole configuration, a learning curve, cost
and provenance. The numbers follow from the settings and the seed by formula.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import msgspec
from synthetic_records import SIGNATURE, make_card

from bench.core.config import DataConfig, OptimConfig, RunConfig, TrainerConfig
from bench.core.record import Cost, Point, Provenance, Record
from bench.core.suite import Suite

MODELS = {"srn": 1, "scrn": 1, "gru": 3, "lstm": 4}
"""Model -> products of a hidden unit with the others at each step."""
SEEDS = range(1, 6)
NUM_EPOCHS = 20
PROVENANCE = Provenance(
    commit="0" * 40,
    dirty=False,
    packages={"sequence-bench": "0.1.0", "torch": "2.13.0", "numpy": "2.4.0"},
    python="3.12.0",
    platform="Linux-x86_64",
    hardware={"cpu": "a processor", "cores": 2, "threads": 1, "memory_bytes": 8 * 2**30},
)


def write_tree(folder: Path, num_records: int, *, tasks: tuple[str, ...] = ("toy",)) -> Suite:
    """Fill `folder` with cards, published rows and `num_records` runs of each task."""
    for task in tasks:
        card = msgspec.structs.replace(make_card(), task=task, title=f"Toy text, {task}")
        _write(folder / "tasks" / f"{task}.yaml", msgspec.yaml.encode(card))
        rows = {"rows": list(_published())}
        _write(folder / "results" / task / "published.yaml", msgspec.yaml.encode(rows))
        for record in islice(_records(task), num_records):
            text = msgspec.json.format(msgspec.json.encode(record), indent=1)
            _write(folder / "results" / task / "runs" / f"{record.id}.json", text)
    return Suite(folder=folder)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _published() -> Iterator[dict[str, Any]]:
    for model, hidden_size in product(MODELS, (100, 200, 300)):
        yield {
            "label": f"{model.upper()}, {hidden_size} hidden",
            "cite": "mikolov2014longer",
            "where": "Table 2",
            "metrics": {"test": round(_perplexity(model, hidden_size, 0.003), 1)},
            "protocol": "same",
            "verified": "paper",
            "match": {"model": model, "model.hidden_size": hidden_size},
        }


def _records(task: str) -> Iterator[Record]:
    """Runs without end: widths in hundreds, eight rates of each, five seeds of each rate."""
    for hundreds in range(1, 100_000):
        for model, rate, seed in product(MODELS, range(8), SEEDS):
            yield _record(task, model, 100 * hundreds, 0.001 * (1 + rate), seed)


def _perplexity(model: str, hidden_size: int, lr: float) -> float:
    place = list(MODELS).index(model)
    return 150.0 - 5 * place - 8 * math.log10(hidden_size) + 1e4 * (lr - 0.003) ** 2 * 30


def _record(task: str, model: str, hidden_size: int, lr: float, seed: int) -> Record:
    config = RunConfig(
        task=task,
        model={"name": model, "hidden_size": hidden_size, "num_layers": 1, "dropout": 0.0},
        objective={"batch_size": 20, "bptt_length": 35, "output": "full"},
        data=DataConfig(),
        optim=OptimConfig(lr=lr),
        trainer=TrainerConfig(threads=1),
        seed=seed,
    )
    value = _perplexity(model, hidden_size, lr) + math.sin(seed * hidden_size + lr)
    digest = f"{hidden_size:05d}{round(1000 * lr):03d}"
    num_parameters = MODELS[model] * hidden_size**2 + 20_000 * hidden_size
    seconds = 200 + num_parameters / 1e4
    return Record(
        id=f"{model}-{digest}-s{seed}",
        task=task,
        card_version=1,
        seed=seed,
        status="finished",
        metric="perplexity",
        signature=SIGNATURE,
        metrics={"valid": 1.05 * value, "test": value},
        bound=80.0,
        config=msgspec.to_builtins(config),
        digest=digest,
        set_by_caller=["model.name", "model.hidden_size", "optim.lr", "seed"],
        recipe="default",
        curve=list(_curve(value, lr)),
        data={f"toy.{split}.txt": f"{place:064x}" for place, split in enumerate("abc")},
        cost=_cost(num_parameters, seconds),
        provenance=PROVENANCE,
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:10:00+00:00",
        extra={"clipped_share": 0.25},
    )


def _curve(value: float, lr: float) -> Iterator[Point]:
    for epoch in range(1, NUM_EPOCHS + 1):
        left = math.exp(-epoch / 4)
        yield Point(
            epoch=epoch,
            step=1328 * epoch,
            train=value * (0.9 + left),
            valid=value * (1.05 + left - math.exp(-NUM_EPOCHS / 4)),
            lr=lr * (1 - (epoch - 1) / NUM_EPOCHS),
        )


def _cost(num_parameters: int, seconds: float) -> Cost:
    return Cost(
        num_parameters=num_parameters,
        flops_per_token=6 * num_parameters,
        flops=6 * num_parameters * 929_589 * NUM_EPOCHS,
        seconds=seconds,
        tokens_per_sec=929_589 * NUM_EPOCHS / seconds,
        peak_memory_bytes=500_000_000 + 16 * num_parameters,
    )
