"""Language models that learn by counting or storing."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from bench.errors import BenchError, nearest
from bench.options import options_struct
from bench.structs import Frozen, to_struct

if TYPE_CHECKING:
    from bench.baselines.baseline import Baseline

# Name -> "module:class": importing this package must stay cheap, so nothing is imported here.
BASELINES: dict[str, str] = {
    "ngram": "bench.baselines.ngram:NGram",
    "cache": "bench.baselines.cache:Cache",
    "maxent": "bench.baselines.maxent:MaxEnt",
    "forest": "bench.baselines.forest:Forest",
}


def baseline_class(name: str) -> type[Baseline]:
    """The class of the baseline `name`."""
    if name not in BASELINES:
        raise BenchError(f"unknown baseline {name!r}, {nearest(name, BASELINES)}")
    module, _, attribute = BASELINES[name].partition(":")
    return cast("type[Baseline]", getattr(importlib.import_module(module), attribute))


def resolve_options(name: str, options: Mapping[str, object]) -> Frozen:
    """Every option of the baseline with its value: those given, checked, and the defaults."""
    struct: type[Frozen] = options_struct(baseline_class(name), Frozen)
    return to_struct(options, struct, where=f"model {name!r}", prefix="model.")
