"""Linear interpolation of finished runs, recorded as a run of its own.

    p(w_t) = sum_m lambda_m p_m(w_t),

the weights by expectation-maximisation on validation text only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from bench.core.aligned import aligned
from bench.core.cards import require_text
from bench.core.config import RunConfig, Scalar, choices
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.record import Record
from bench.core.suite import Suite
from bench.data.corpora import Corpus
from bench.data.identity import check_same_data
from bench.domains import all_baselines
from bench.runs.finished import FinishedRun, find_run
from bench.runs.provenance import Stopwatch, cost_of
from bench.runs.resolve import Resolved
from bench.runs.run import RunOptions, run
from bench.text.baselines.base import Floats
from bench.text.baselines.cache import HALF_LIVES, cache_experts
from bench.text.baselines.mix import WEIGHT_DIGITS, fit_mixture, mix
from bench.text.data.corpus import Ids
from bench.text.data.prepared import as_text
from bench.text.metric import bound_value, metric_name, metric_value
from bench.text.outputs import token_log_probs, write_log_probs
from bench.tracking.tracker import Tracker
from bench.training.progress import Style

# Estimation of a mixture: components are read, weights chosen on validation, test read once.
#
# Dynamic unigram caches may be among the components (Kuhn and De Mori, 1990): words of the history
# of the same text, an occurrence s steps ago counting decay^(s-1).
#
# Shapes: M components, N tokens.


CACHE = "unigram-cache"
SPLITS = ("valid", "test")


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """The work of a mixture: read the components, weigh them on validation, read test once."""

    suite: Suite
    components: Sequence[FinishedRun]

    def __call__(
        self,
        resolved: Resolved,
        corpus: Corpus,
        folder: Path,
        *,
        style: Style,
        tracker: Tracker,
    ) -> Outcome:
        stopwatch = Stopwatch.start()
        corpus = as_text(corpus, task=resolved.card.task)
        for component in self.components:
            check_same_data(component.record.data, corpus.checksums, run=component.id)
        log_probs = {split: self._read(split, corpus.splits[split]) for split in SPLITS}
        decays = choose_decays(resolved, corpus.splits["valid"], log_probs["valid"])
        metrics: dict[str, float] = {}
        weights = np.ones(1)
        for split in SPLITS:
            members_MN = with_caches(corpus.splits[split], log_probs[split], decays)
            if split == "valid":
                weights = fit_mixture(members_MN).weights
            mixed_N = mix(members_MN, weights)
            write_log_probs(folder, split, mixed_N)
            metrics[split] = metric_value(corpus, -float(mixed_N.mean()))
        tracker.log({f"final/{split}": value for split, value in metrics.items()}, step=0)
        names = [*(c.id for c in self.components), *_cache_names(len(decays))]
        extra = {f"weight {name}": float(w) for name, w in zip(names, weights, strict=True)}
        caches = zip(_cache_names(len(decays)), decays, strict=True)
        extra.update({f"decay {name}": decay for name, decay in caches})
        parameters = sum(component.record.cost.num_parameters for component in self.components)
        return Outcome(
            metrics=metrics,
            metric=metric_name(corpus),
            signature=self.components[0].record.signature,
            bound=bound_value(corpus),
            cost=cost_of(stopwatch, num_parameters=parameters + len(weights) + len(decays)),
            extra=extra,
        )

    def _read(self, split: str, tokens: Ids) -> Floats:
        """Log-probabilities of every component [M, N]."""
        rows = []
        for component in self.components:
            log_probs_N = token_log_probs(self.suite, component.record, split)
            if len(log_probs_N) != len(tokens):
                raise BenchError(
                    f"{component.id}: {len(log_probs_N):,} log-probabilities of the {split} split, "
                    f"which has {len(tokens):,} tokens; delete {component.folder} and try again"
                )
            rows.append(log_probs_N)
        return np.stack(rows)


def with_caches(tokens: Ids, log_probs_MN: Floats, decays: Sequence[float]) -> Floats:
    """The components with a row for each cache below them.

    Where its history is empty, at the first token, a cache says what the first component says.
    """
    caches = [cache_experts(tokens, log_probs_MN[0], (decay,))[1:] for decay in decays]
    return np.concatenate([log_probs_MN, *caches])


def choose_decays(resolved: Resolved, tokens: Ids, log_probs_MN: Floats) -> list[float]:
    """The decays that the configuration names; each `auto` by the likelihood of validation."""
    asked = str(resolved.config.model["cache"])
    decays: list[float] = []
    for text in asked.split("+") if asked != "none" else []:
        tried = [0.5 ** (1 / half_life) for half_life in HALF_LIVES]
        if text != "auto":
            tried = [float(text)]
        fits = {}
        for decay in tried if len(tried) > 1 else []:
            members_MN = with_caches(tokens, log_probs_MN, [*decays, decay])
            fits[decay] = fit_mixture(members_MN, tolerance=1e-6).perplexity
        decays.append(min(fits, key=fits.__getitem__) if fits else tried[0])
    return decays


def _cache_names(num_caches: int) -> list[str]:
    return [CACHE if number == 1 else f"{CACHE} {number}" for number in range(1, num_caches + 1)]


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
    run_options: RunOptions | None = None,
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
    record = run(resolved, suite, run_options, work=Mixing(suite=suite, components=components))
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
    trained = {c.record.seed for c in components if c.record.model not in all_baselines()}
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
    rows = [
        (part.name, f"{part.weight:.{WEIGHT_DIGITS}f}", *_shown(part.metrics)) for part in parts
    ]
    rows.append((record.id, "1", *_shown(record.metrics)))
    return aligned(("component", "weight", "valid", "test"), rows)


def _shown(metrics: dict[str, float]) -> list[str]:
    return [f"{metrics[split]:.2f}" if split in metrics else "-" for split in SPLITS]
