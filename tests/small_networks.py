"""Networks of a few units in double precision, and sentences of a few words."""

from __future__ import annotations

import msgspec
import torch

from bench.core.config import Scalar
from bench.models import resolve_options
from bench.translation.network import Pairs, TranslationNetwork
from bench.translation.options import NetworkOptions

SOURCE_SIZE, TARGET_SIZE = 9, 7
END = 2


def model_config(name: str = "gru", **options: object) -> dict[str, Scalar]:
    """A model's configuration with every option in place, 6 units large unless said otherwise."""
    given = {"hidden_size": 6, "init_scale": 0.7, **options}
    return {"name": name, **msgspec.structs.asdict(resolve_options(name, given))}


def make(
    options: dict[str, object] | None = None,
    *,
    name: str = "gru",
    model: dict[str, object] | None = None,
    seed: int = 0,
) -> TranslationNetwork:
    """A network in evaluation mode with weights large enough to be told apart."""
    torch.manual_seed(seed)
    given = {"embedding_size": 6, "init_range": 0.7, **(options or {})}
    network = TranslationNetwork(
        model_config(name, **(model or {})),
        msgspec.convert(given, NetworkOptions),
        source_size=SOURCE_SIZE,
        target_counts_V=torch.arange(TARGET_SIZE),
    )
    return network.double().eval()


def sentences(
    source_lengths: list[int], target_lengths: list[int], *, seed: int = 0, padding: int = 0
) -> Pairs:
    """Random words with their ends; lengths count these."""
    torch.manual_seed(seed)
    sides = []
    for lengths, size in ((source_lengths, SOURCE_SIZE), (target_lengths, TARGET_SIZE)):
        ids = torch.full((len(lengths), max(lengths)), padding)
        for row, length in zip(ids, lengths, strict=True):
            row[: length - 1] = torch.randint(3, size, (length - 1,))
            row[length - 1] = END
        sides += [ids, torch.tensor(lengths)]
    return Pairs(*sides)


def only(pairs: Pairs, b: int) -> Pairs:
    """One of the sentences, without padding."""
    source, target = int(pairs.source_lengths[b]), int(pairs.target_lengths[b])
    return Pairs(
        pairs.source[b : b + 1, :source],
        pairs.source_lengths[b : b + 1],
        pairs.target[b : b + 1, :target],
        pairs.target_lengths[b : b + 1],
    )


def gradients(network: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of every weight that the loss depends on, zero of the others."""
    names, weights = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return dict(zip(names, found, strict=True))
