"""Output layers side by side: what a normalisation over fewer words saves, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.cli.listing import aligned
from bench.layers.output import OUTPUT_LAYERS, OutputLayer, build_output_layer
from bench.runs.resolve import Resolved
from bench.speed.machine import device_of, named
from bench.speed.steps import make_objective
from bench.speed.timing import Timing, take_turns
from bench.text.data.text import TextCorpus
from bench.text.objectives.language_model import LanguageModel

ZIPF_SIZE = 50_000
ZIPF_TOKENS = 1e7
PLAIN = "nn.Linear, cross_entropy"


def output_report(resolved: Resolved, corpus: TextCorpus, *, num_rounds: int) -> str:
    """Every output layer on the task's words and on 50,000 words of Zipf's frequencies.

    Tokens are drawn by training frequency, since a class's or a cluster's cost depends on it.
    """
    config, device = resolved.config, device_of(resolved)
    objective = make_objective(resolved, corpus)
    assert isinstance(objective, LanguageModel)
    hidden_size = objective.recurrence.output_size
    batch_size = int(config.objective["batch_size"] or 0)
    num_tokens = batch_size * int(config.objective["bptt_length"] or 0)
    counts_V = torch.bincount(
        torch.as_tensor(corpus.splits["train"]), minlength=len(corpus.vocabulary.symbols)
    )
    ranks_V = torch.arange(1, ZIPF_SIZE + 1)
    zipf_V = (ZIPF_TOKENS / (ranks_V * ranks_V.reciprocal().sum())).long() + 1
    heading = (
        f"{resolved.card.task} · output layers of {hidden_size} inputs, {num_tokens} tokens, "
        f"forward and backward · {named(device)} · {config.trainer.products}"
    )
    parts = [heading]
    for what, counts in (("the task's", counts_V), ("Zipf's", zipf_V)):
        layers = {
            name: build_output_layer(
                name, hidden_size, counts, products=config.trainer.products
            ).to(device)
            for name in OUTPUT_LAYERS
        }
        timings = _timings(layers, counts, num_tokens, num_rounds)
        title = f"{len(counts):,} words, {what}"
        parts.append(f"{title}\n{_table(layers, timings, num_tokens)}")
    return "\n\n".join(parts)


def _timings(
    layers: dict[str, OutputLayer], counts_V: Tensor, num_tokens: int, num_rounds: int
) -> dict[str, Timing]:
    hidden_size, device = layers["full"].hidden_size, layers["full"].device
    target_N = torch.multinomial(counts_V.double(), num_tokens, replacement=True).to(device)
    h_NH = torch.randn(num_tokens, hidden_size, device=device, requires_grad=True)
    linear = nn.Linear(hidden_size, len(counts_V)).to(device)

    def step(module: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
        def call() -> None:
            module.zero_grad()
            h_NH.grad = None
            torch.autograd.backward(loss())

        return call

    def of(layer: OutputLayer) -> Callable[[], Tensor]:
        return lambda: layer.loss(h_NH, target_N)[0]

    contestants = {name: step(layer, of(layer)) for name, layer in layers.items()}
    contestants[PLAIN] = step(
        linear, lambda: F.cross_entropy(linear(h_NH), target_N, reduction="sum")
    )
    return take_turns(contestants, num_rounds=num_rounds, device=device)


def _table(layers: dict[str, OutputLayer], timings: dict[str, Timing], num_tokens: int) -> str:
    full_sec = timings["full"].median_sec
    rows = [
        (
            name,
            f"{1e3 * timing.median_sec:.2f}",
            f"{num_tokens / timing.median_sec:,.0f}",
            f"{full_sec / timing.median_sec:.1f}",
            f"{3e-6 * layers[name].flops_per_token():.2f}" if name in layers else "",
        )
        for name, timing in timings.items()
    ]
    return aligned(("", "ms", "tokens/s", "x full", "MFLOP/token"), rows)
