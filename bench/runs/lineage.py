"""Which runs went into a run: whose weights it began with, what it measures anew, what it mixes."""

from __future__ import annotations

from bench.core.record import Record

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
