"""A small captioning corpus in memory, and networks of a few units in double precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from bench.captioning.data.corpus import CaptionCorpus, CaptionSplit
from bench.captioning.data.store import FeatureStore
from bench.captioning.data.words import CaptionVocabulary, learn_vocabulary
from bench.captioning.network.captioner import CaptionNetwork
from bench.captioning.network.options import CaptioningOptions
from bench.core.config import RunConfig, Scalar
from bench.data.rows import Rows
from bench.data.tokens import END
from bench.models import resolve_options

NUM_WORDS, NUM_FEATURES, NUM_REGIONS = 8, 5, 3
KINDS: dict[str, dict[str, Any]] = {
    "first": {},
    "first, tanh": {"readout": "tanh", "image_hidden": 3},
    "every word": {"image": "every-word"},
    "every word, step": {"image": "every-word", "enters": "step", "readout": "tanh"},
    "every word, linear": {"image": "every-word", "readout": "linear"},
    "attention": {"image": "attention"},
    "attention, readout": {"image": "attention", "enters": "readout", "attention": "general"},
}
"""How an image may enter."""


def model_config(name: str = "gru", **options: object) -> dict[str, Scalar]:
    """A model's configuration with every option in place, 6 units large unless said otherwise."""
    given = {"hidden_size": 6, "init_scale": 0.7, **options}
    return {"name": name, **msgspec.structs.asdict(resolve_options(name, given))}


def make(
    options: Mapping[str, Any] | None = None,
    *,
    name: str = "gru",
    model: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> CaptionNetwork:
    """A network in evaluation mode with weights large enough to be told apart."""
    torch.manual_seed(seed)
    given = {"embedding_size": 4, "init_range": 0.7, **(options or {})}
    grid = given.get("image") == "attention"
    network = CaptionNetwork(
        model_config(name, **(model or {})),
        msgspec.convert(given, CaptioningOptions),
        feature_shape=(NUM_REGIONS, NUM_FEATURES) if grid else (NUM_FEATURES,),
        counts_V=torch.arange(NUM_WORDS),
    )
    return network.double().eval()


def images_for(network: CaptionNetwork, number: int, *, seed: int = 1) -> Tensor:
    """Random features of the network's shape."""
    torch.manual_seed(seed)
    return torch.randn(number, *network.feature_shape, dtype=torch.float64)


def captions_of(lengths: list[int], *, seed: int = 2, padding: int = 0) -> tuple[Tensor, Tensor]:
    """Random words with their ends, and lengths that count these."""
    torch.manual_seed(seed)
    ids = torch.full((len(lengths), max(lengths)), padding)
    for row, length in zip(ids, lengths, strict=True):
        row[: length - 1] = torch.randint(3, NUM_WORDS, (length - 1,))
        row[length - 1] = END
    return ids, torch.tensor(lengths)


WORDS = ("a", "red", "blue", "dog", "cat", "runs", "sits")


def make_corpus(*, features: Literal["vector", "grid"] = "vector") -> CaptionCorpus:
    """Twelve training images and four of each other split; what they show decides the captions."""
    random = np.random.default_rng(3)
    shown = random.integers(0, 2, (20, 3))
    noise = 0.1 * random.standard_normal((20, NUM_REGIONS, NUM_FEATURES))
    grid = noise + np.pad(shown, ((0, 0), (0, NUM_FEATURES - 3)))[:, None]
    values = grid.astype(np.float32) if features == "grid" else grid.mean(1).astype(np.float32)
    names = [f"image-{number}.jpg" for number in range(20)]
    captions = [_captions(row) for row in shown.tolist()]
    bounds = {"train": (0, 12), "valid": (12, 16), "test": (16, 20)}
    vocabulary = learn_vocabulary([c for own in captions[:12] for c in own], 1)
    splits = {
        split: _split(names, captions, range(*ends), vocabulary) for split, ends in bounds.items()
    }
    store = FeatureStore(
        name="small", array=values, names=names, sha256="0", what="what is shown, and noise"
    )
    return CaptionCorpus(vocabulary=vocabulary, splits=splits, features=store, checksums={})


def _captions(shown: list[int]) -> list[tuple[str, ...]]:
    colour, animal, act = WORDS[1 + shown[0]], WORDS[3 + shown[1]], WORDS[5 + shown[2]]
    return [("a", colour, animal, act), ("a", animal, act)]


def _split(
    names: list[str],
    captions: list[list[tuple[str, ...]]],
    places: range,
    vocabulary: CaptionVocabulary,
) -> CaptionSplit:
    own = [captions[place] for place in places]
    return CaptionSplit(
        names=[names[place] for place in places],
        feature_row=np.array(places, np.int64),
        captions=own,
        rows=Rows.of(vocabulary.encode(tokens) for of_one in own for tokens in of_one),
    )


def make_config(
    objective: Mapping[str, Any] | None = None,
    *,
    name: str = "gru",
    model: Mapping[str, Any] | None = None,
    **groups: Any,
) -> RunConfig:
    """A configuration of a captioning run with every option of the model in place."""
    tree = {
        "task": "small",
        "model": model_config(name, **(model or {})),
        "objective": {"batch_tokens": 24, **(objective or {})},
        "trainer": {"max_epochs": 2, "threads": 1},
        **groups,
    }
    return msgspec.convert(tree, RunConfig)
