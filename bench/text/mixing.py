"""How a mixture is weighed: its components read, weights chosen on validation, test read once.

Dynamic unigram caches may be among the components (Kuhn and De Mori, 1990): words of the history
of the same text, an occurrence s steps ago counting decay^(s-1).

Shapes: M components, N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.provenance import begin, cost_since
from bench.core.suite import Suite
from bench.domains import Corpus, as_text
from bench.runs.finished import FinishedRun
from bench.runs.resolve import Resolved
from bench.text.baselines.cache import HALF_LIVES, cache_experts
from bench.text.baselines.mix import fit_mixture, mix
from bench.text.data.text import Ids
from bench.text.objectives.text_metric import bound_value, metric_name, metric_value
from bench.text.outputs import Floats, write_log_probs
from bench.text.token_log_probs import token_log_probs
from bench.tracking.tracker import Tracker
from bench.training.progress import Style

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
        begun = begin()
        corpus = as_text(corpus, task=resolved.card.task)
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
            cost=cost_since(begun, num_parameters=parameters + len(weights) + len(decays)),
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
