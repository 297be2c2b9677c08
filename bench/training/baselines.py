"""Models that learn by counting or storing: of text, of captions, and of frames."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen, options_struct, to_struct

if TYPE_CHECKING:
    from bench.captioning.baselines.base import CaptionBaseline
    from bench.frames.baselines import FrameBaseline
    from bench.text.baselines.base import Baseline

# Name -> "module:class": importing this package must stay cheap, so nothing is imported here.
BASELINES: dict[str, str] = {
    "ngram": "bench.text.baselines.ngram:NGram",
    "cache": "bench.text.baselines.cache:Cache",
    "maxent": "bench.text.baselines.maxent:MaxEnt",
    "forest": "bench.text.baselines.forest:Forest",
    "nearest": "bench.captioning.baselines.nearest:Nearest",
    "random-caption": "bench.captioning.baselines.reference_captions:RandomCaption",
    "human": "bench.captioning.baselines.reference_captions:Human",
    "persistence": "bench.frames.baselines:Persistence",
    "mean-frame": "bench.frames.baselines:MeanFrame",
}


def baseline_class(name: str) -> type[Baseline] | type[CaptionBaseline] | type[FrameBaseline]:
    """The class of the baseline `name`."""
    if name not in BASELINES:
        raise BenchError(f"unknown baseline {name!r}, {nearest(name, BASELINES)}")
    module, _, attribute = BASELINES[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    return cast("type[Baseline] | type[CaptionBaseline] | type[FrameBaseline]", found)


def check_reads(name: str, kind: str, task: str) -> None:
    """Refuse a baseline for a task of another kind; the message names those that fit."""
    reads = baseline_class(name).reads
    if reads == kind:
        return
    fitting = [other for other in BASELINES if baseline_class(other).reads == kind]
    advice = f"choose {', '.join(fitting)} or a network" if fitting else "choose a network"
    raise BenchError(f"the baseline {name!r} reads {reads}, {task} is {kind}: {advice}")


def resolve_options(name: str, options: Mapping[str, object]) -> Frozen:
    """Every option of the baseline with its value: those given, checked, and the defaults."""
    struct: type[Frozen] = options_struct(baseline_class(name), Frozen)
    return to_struct(options, struct, where=f"model {name!r}", prefix="model.")
