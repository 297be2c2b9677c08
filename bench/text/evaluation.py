"""Finished networks measured anew: dynamic evaluation and the neural cache, recorded on their own.

A run of this kind has the configuration of the network that it reads, and in `objective` the way
of evaluation: `evaluation`, its options as `evaluation_<option>` (`tuned` where validation chose
them; the values are in the record's `extra`), and `evaluation_of`, the run without its seed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from bench.core.cards import require_text
from bench.core.config import Count, Positive, Scalar, Share
from bench.core.errors import BenchError
from bench.core.outcome import Outcome
from bench.core.record import Record
from bench.core.structs import Frozen, to_struct
from bench.core.suite import Suite
from bench.data.corpora import Corpus
from bench.models import MODELS
from bench.runs.finished import FinishedRun, find_run, is_evaluation, load_objective
from bench.runs.provenance import Stopwatch, cost_of
from bench.runs.resolve import Resolved
from bench.runs.run import RunOptions, run
from bench.text.baselines.mix import fit_mixture, mix
from bench.text.data.prepared import as_text
from bench.text.data.streams import Streams
from bench.text.metric import bound_value, metric_name, metric_value, text_signature
from bench.text.objective import LanguageModel
from bench.text.outputs import Floats, write_log_probs
from bench.tracking.tracker import Tracker
from bench.training.progress import Style

# Dynamic evaluation: the network goes on learning from the text that it has predicted.
#
# T. Mikolov et al., "Recurrent neural network based language model", Interspeech 2010, section 2.2;
# B. Krause, E. Kahembwe, I. Murray and S. Renals, "Dynamic evaluation of neural sequence models",
# ICML 2018. The text is read in segments; each is predicted with the weights that the segments
# before it left, then
#
#     W <- W - lr sum_{t in segment} grad -log p(w_t).
#
# Gradients stay within a segment, the state is carried on.
#
# Shapes: B = 1 stream, T steps of a segment, N tokens.


def dynamic_log_probs(
    model: LanguageModel, split: str, *, lr: float, segment_length: int
) -> Floats:
    """Log-probability of each token of a split [N], each segment's before it is learned from.

    The model has its trained weights again at the end. Numbers that a too large `lr` drove out of
    range are returned as they came.
    """
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    segments = Streams(
        model.corpus.splits[split],
        batch_size=1,
        bptt_length=segment_length,
        first_input=model.corpus.first_input,
    )
    # One array for all: small ones that stay would each keep apart the large ones that go.
    log_p_N = np.empty(len(model.corpus.splits[split]))
    model.eval().begin_sequence()
    start = 0
    try:
        for input_BT, target_BT in segments:
            end = start + target_BT.numel()
            log_p_N[start:end] = _score_and_learn(model, input_BT, target_BT.flatten(), lr)
            start = end
    finally:
        model.load_state_dict(trained)
    return log_p_N


def _score_and_learn(
    model: LanguageModel, input_BT: torch.Tensor, target_N: torch.Tensor, lr: float
) -> Floats:
    parameters: list[torch.Tensor] = [p for p in model.parameters() if p.requires_grad]
    with torch.enable_grad():
        y_NH = model.read(input_BT).flatten(0, 1)
        log_p_N = model.output.log_probs(y_NH.detach(), target_N)
        loss, _ = model.output.loss(y_NH, target_N)
        gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        torch._foreach_add_(parameters, gradients, alpha=-lr)
    return log_p_N.double().numpy()


# The continuous cache: hidden states seen lately say which words follow states like this one.
#
# E. Grave, A. Joulin and N. Usunier, "Improving neural language models with a continuous cache",
# ICLR 2017. With h_t the recurrence's output from which w_{t+1} is predicted,
#
#     (1)  p_cache(w | h_1..h_t) ~ sum_{i = t-W .. t-1} 1{w = w_{i+1}} exp(theta h_t . h_i)
#     (2)  p = (1 - lambda) p_model + lambda p_cache
#
# over a window of W states. A state enters the cache after its word has been predicted. Where the
# cache is empty, at a text's first token, p_cache is p_model.
#
# Shapes: N tokens, M tokens of a block, J states at hand, H size of a state, K thetas.


@torch.no_grad()
def neural_cache_log_probs(
    model: LanguageModel, split: str, *, window: int, thetas: Sequence[float]
) -> tuple[Floats, Floats]:
    """Log-probabilities of a split's tokens under the model [N], and under its cache [K, N].

    The cache's are -inf where it does not hold the word.
    """
    of_model: list[Tensor] = []
    of_cache: list[Tensor] = []
    keys_JH, words_J = torch.empty(0), torch.empty(0, dtype=torch.int64)
    model.eval().begin_sequence()
    for input_BT, target_BT in model.evaluation_loader(split):
        target_M = target_BT.flatten()
        y_MH = model.read(input_BT).flatten(0, 1)
        of_model.append(model.output.log_probs(y_MH, target_M))
        keys_JH = torch.cat([keys_JH.to(y_MH).reshape(-1, y_MH.shape[1])[-window:], y_MH])
        words_J = torch.cat([words_J[-window:], target_M])
        of_cache.append(cache_block(keys_JH, words_J, len(y_MH), window=window, thetas=thetas))
    model_N, cache_KN = torch.cat(of_model), torch.cat(of_cache, dim=1)
    cache_KN[:, 0] = model_N[0]
    return _array(model_N), _array(cache_KN)


def cache_block(
    keys_JH: Tensor, words_J: Tensor, num_tokens: int, *, window: int, thetas: Sequence[float]
) -> Tensor:
    """Log p_cache by (1) of the last `num_tokens` words [K, M], each from the states before it."""
    place_J = torch.arange(len(keys_JH))
    query_M1 = place_J[-num_tokens:].unsqueeze(1)
    held_MJ = (place_J < query_M1) & (place_J >= query_M1 - window)
    same_MJ = held_MJ & (words_J == words_J[-num_tokens:].unsqueeze(1))
    score_MJ = keys_JH[-num_tokens:] @ keys_JH.t()
    rows = []
    for theta in thetas:
        all_M = (theta * score_MJ).masked_fill(~held_MJ, -torch.inf).logsumexp(1)
        hit_M = (theta * score_MJ).masked_fill(~same_MJ, -torch.inf).logsumexp(1)
        rows.append(torch.where(hit_M.isneginf(), hit_M, hit_M - all_M))
    return torch.stack(rows)


def _array(tensor: Tensor) -> Floats:
    return np.asarray(tensor.double().cpu().numpy(), dtype=np.float64)


# The ways to evaluate a trained network that adapt to the text, with their options.
#
# Every option is given, or chosen on validation from a small grid. Test is read once, with what was
# chosen.
#
# Shapes: N tokens, K thetas.


Mode = Literal["dynamic", "neural-cache"]
Chosen = dict[str, float]
Grid = Mapping[str, Sequence[Any]]


class DynamicOptions(Frozen, frozen=True, kw_only=True):
    """Options of dynamic evaluation."""

    lr: Positive = 0.03
    """Step along the gradient of a segment's summed loss."""
    segment_length: Count = 20
    """Tokens between updates."""


class NeuralCacheOptions(Frozen, frozen=True, kw_only=True):
    """Options of the neural cache."""

    theta: Positive = 0.3
    """Sharpness: the larger, the fewer states count."""
    window: Count = 2000
    """States in the cache."""
    share: Share | None = None
    """Weight of the cache; always chosen on validation where not given."""


OPTIONS: dict[Mode, type[Frozen]] = {"dynamic": DynamicOptions, "neural-cache": NeuralCacheOptions}
GRIDS: dict[Mode, dict[str, tuple[float, ...]]] = {
    "dynamic": {"lr": (0.003, 0.01, 0.03, 0.1, 0.3), "segment_length": (5, 20)},
    "neural-cache": {
        "theta": (0.03, 0.1, 0.2, 0.3, 0.5, 1.0),
        "window": (500, 2000),
        "share": (None,),  # type: ignore[dict-item]
    },
}


def choose(model: LanguageModel, mode: Mode, grid: Grid) -> tuple[Chosen, Floats]:
    """The best point of a grid for validation, and the log-probabilities [N] that it gives."""
    tried = _dynamic_points(model, grid) if mode == "dynamic" else _cache_points(model, grid)
    return min(tried, key=lambda point: _loss(point[1]))


def score(model: LanguageModel, mode: Mode, split: str, chosen: Chosen) -> Floats:
    """Log-probabilities of a split [N] at one point of the grid."""
    if mode == "dynamic":
        length = int(chosen["segment_length"])
        return dynamic_log_probs(model, split, lr=chosen["lr"], segment_length=length)
    thetas, window = [chosen["theta"]], int(chosen["window"])
    model_N, cache_1N = neural_cache_log_probs(model, split, window=window, thetas=thetas)
    return _interpolated(model_N, cache_1N[0], chosen["share"])


def _dynamic_points(model: LanguageModel, grid: Grid) -> list[tuple[Chosen, Floats]]:
    """Rising learning rates for each length, until one is worse than the one before."""
    points: list[tuple[Chosen, Floats]] = []
    for length in grid["segment_length"]:
        best = math.inf
        for lr in sorted(grid["lr"]):
            chosen: Chosen = {"lr": lr, "segment_length": length}
            points.append((chosen, score(model, "dynamic", "valid", chosen)))
            if _loss(points[-1][1]) > best:
                break
            best = _loss(points[-1][1])
    return points


def _cache_points(model: LanguageModel, grid: Grid) -> list[tuple[Chosen, Floats]]:
    """Every theta, window and share; a share of None is the best one."""
    points: list[tuple[Chosen, Floats]] = []
    for window in grid["window"]:
        model_N, cache_KN = neural_cache_log_probs(
            model, "valid", window=window, thetas=grid["theta"]
        )
        pairs = zip(grid["theta"], cache_KN, strict=True)
        for (theta, cache_N), share in itertools.product(pairs, grid["share"]):
            if share is None:
                share = float(fit_mixture(np.stack([model_N, cache_N])).weights[1])
            chosen: Chosen = {"theta": theta, "window": window, "share": share}
            points.append((chosen, _interpolated(model_N, cache_N, share)))
    return points


def _interpolated(model_N: Floats, cache_N: Floats, share: float) -> Floats:
    return mix(np.stack([model_N, cache_N]), np.array([1.0 - share, share]))


def _loss(log_probs_N: Floats) -> float:
    """Mean negative log-probability, infinite where the numbers were left."""
    loss = -float(np.mean(log_probs_N))
    return math.inf if math.isnan(loss) else loss


TUNED = "tuned"


def evaluate_run(
    suite: Suite,
    run_id: str,
    mode: Mode,
    settings: Mapping[str, Any],
    *,
    others: Literal["default", "tuned"] = "default",
    run_options: RunOptions | None = None,
) -> Record:
    """Evaluate a finished network by `mode` and record it.

    `settings` are the options given; the `others` have their defaults, or are chosen on validation.
    Raises BenchError for a run without weights and for options that the mode does not have.
    """
    base = find_run(suite, run_id)
    require_text(base.resolved.card, "evaluate")
    if base.record.model not in MODELS or is_evaluation(base.record):
        raise BenchError(f"run {base.id} has no weights of its own: name a trained run")
    grid = make_grid(mode, settings, others)
    resolved = resolve_evaluation(base, mode, grid)
    return run(resolved, suite, run_options, work=Evaluating(base=base, mode=mode, grid=grid))


def evaluate_dynamic(
    suite: Suite,
    runs: Sequence[str],
    settings: Mapping[str, Any],
    *,
    device: str,
    options: RunOptions,
) -> Record:
    """`bench evaluate --mode dynamic` of one run."""
    return _evaluate(suite, runs, "dynamic", settings, device=device, options=options)


def evaluate_cache(
    suite: Suite,
    runs: Sequence[str],
    settings: Mapping[str, Any],
    *,
    device: str,
    options: RunOptions,
) -> Record:
    """`bench evaluate --mode neural-cache` of one run."""
    return _evaluate(suite, runs, "neural-cache", settings, device=device, options=options)


def _evaluate(
    suite: Suite,
    runs: Sequence[str],
    mode: Mode,
    settings: Mapping[str, Any],
    *,
    device: str,
    options: RunOptions,
) -> Record:
    del device  # the network's own
    if len(runs) != 1:
        raise BenchError(f"name one finished run, not {len(runs)}; see `bench list runs`")
    given = {name: value for name, value in settings.items() if name != "tune"}
    others: Literal["default", "tuned"] = "tuned" if settings.get("tune") else "default"
    record = evaluate_run(suite, runs[0], mode, given, others=others, run_options=options)
    print(", ".join(f"{name} {value:g}" for name, value in record.extra.items()))
    return record


def make_grid(
    mode: Mode, settings: Mapping[str, Any], others: Literal["default", "tuned"]
) -> dict[str, tuple[Any, ...]]:
    """Option -> the values to try: one, unless validation has to choose."""
    options = msgspec.structs.asdict(to_struct(settings, OPTIONS[mode], where=f"--mode {mode}"))
    chosen_on_valid = set(GRIDS[mode]).difference(settings) if others == "tuned" else set()
    return {
        name: GRIDS[mode][name] if name in chosen_on_valid else (value,)
        for name, value in options.items()
    }


def resolve_evaluation(base: FinishedRun, mode: Mode, grid: Grid) -> Resolved:
    """The configuration of the evaluation: the network's, and how it is evaluated."""
    added: dict[str, Scalar] = {"evaluation": mode, "evaluation_of": base.id.rpartition("-s")[0]}
    for name, values in grid.items():
        is_chosen = len(values) > 1 or values[0] is None
        added[f"evaluation_{name}"] = TUNED if is_chosen else values[0]
    config = base.resolved.config
    config = msgspec.structs.replace(config, objective={**config.objective, **added})
    return Resolved(
        card=base.resolved.card,
        config=config,
        choices={f"objective.{key}": value for key, value in added.items()},
        recipe=base.record.recipe,
        set_by_caller=base.record.set_by_caller,
    )


@dataclass(frozen=True, kw_only=True)
class Evaluating:
    """The work of an evaluation: options from validation, then one pass over test."""

    base: FinishedRun
    mode: Mode
    grid: Grid

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
        model = load_objective(self.base, corpus)
        if not isinstance(model, LanguageModel):
            raise BenchError(f"run {self.base.id} is no language model: nothing to adapt to")
        chosen, valid_N = choose(model, self.mode, self.grid)
        splits = {"valid": valid_N, "test": score(model, self.mode, "test", chosen)}
        metrics: dict[str, float] = {}
        for split, log_probs_N in splits.items():
            if not np.isfinite(log_probs_N).all():
                raise BenchError(f"{self.mode} diverged on {split} with {chosen}: tune it")
            write_log_probs(folder, split, log_probs_N)
            metrics[split] = metric_value(corpus, -float(log_probs_N.mean()))
        tracker.log({f"final/{split}": value for split, value in metrics.items()}, step=0)
        return Outcome(
            metrics=metrics,
            metric=metric_name(corpus),
            signature=text_signature(corpus, evaluation=self.mode),
            bound=bound_value(corpus),
            cost=cost_of(stopwatch, num_parameters=self.base.record.cost.num_parameters),
            products=model.products_in_effect,
            extra={f"evaluation_{name}": float(value) for name, value in chosen.items()},
        )
