"""From the numbers of a run to its record."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from bench.core.outcome import Outcome
from bench.core.record import Provenance, Record, Shelf
from bench.domains import Corpus
from bench.runs.resolve import Resolved


def record_of(
    resolved: Resolved,
    outcome: Outcome,
    corpus: Corpus,
    *,
    made_by: Provenance,
    started: str,
    shelf: Shelf,
) -> Record:
    """The record of what was started then and is finished now."""
    config, card = resolved.config, resolved.card
    hardware = {**made_by.hardware, **outcome.hardware}
    return Record(
        id=resolved.run_id,
        task=card.task,
        card_version=card.version,
        seed=config.seed,
        metric=outcome.metric,
        bound=outcome.bound if shelf == "runs" else None,
        config=msgspec.to_builtins(config),
        digest=resolved.digest,
        set_by_caller=resolved.set_by_caller,
        recipe=resolved.recipe,
        data=dict(corpus.checksums),
        provenance=msgspec.structs.replace(made_by, products=outcome.products, hardware=hardware),
        started=started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        status="diverged" if outcome.divergence else "pruned" if outcome.pruned else "finished",
        signature=outcome.signature,
        metrics=outcome.metrics,
        curve=outcome.curve,
        divergence=outcome.divergence,
        cost=outcome.cost,
        extra=outcome.extra,
        beside=outcome.beside,
    )
