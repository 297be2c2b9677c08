"""Configuration of a run: frozen, typed, strict. Every default of the suite is here, once.

The options of an architecture, a baseline or an objective are its constructor's keyword
arguments; they stand in its own file and are checked when the run is resolved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from bench.core.structs import Frozen

Scalar = str | int | float | bool | None
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class DataConfig(Frozen, frozen=True, kw_only=True):
    """Settings of the corpus."""

    path: str | None = None
    """Folder with a corpus of your own, for the tasks `text`, `parallel-text` and `speech`."""
    minimum_count: Count | None = None
    """Words seen less often in training become <unk>, for the task `text`."""
    download: Literal["never", "missing"] = "never"
    """Fetch files that are missing from the card's mirrors."""
    on_bad: Literal["refuse", "skip"] = "refuse"
    """Speech, translation and captions: refuse a corpus with recordings, pairs of lines or
    captions that cannot be used, or leave these out."""
    segmentation: str | None = None
    """Translation: segmentation of the card that cuts the text, its first if not given."""
    languages: str | None = None
    """Source and target of the task `parallel-text`, as its files' names end: en-fr."""
    features: str | None = None
    """Captions: features of the images that are read, the card's if not given."""
    units: Literal["characters", "words", "phones"] | None = None
    """Labels of the task `speech`, the card's (characters) if not given."""
    resample: Annotated[int, msgspec.Meta(ge=4000, le=192_000)] | None = None
    """Sample rate in Hz that every recording of the task `speech` is brought to; if not given all
    must have the same one."""
    channels: Literal["mono", "mix"] = "mono"
    """Recordings with several channels, task `speech`: bad, or their channels' mean is read."""


class OptimConfig(Frozen, frozen=True, kw_only=True):
    """Settings of the optimiser."""

    name: Literal["sgd", "adam", "adamw"] = "adamw"
    """Optimiser."""
    lr: Positive = 0.003
    """Learning rate at the start."""
    momentum: Share = 0.0
    """Momentum of SGD."""
    beta1: Share = 0.9
    """Adam's decay of the gradient's mean."""
    beta2: Share = 0.999
    """Adam's decay of the gradient's square."""
    epsilon: Positive = 1e-8
    """Adam's floor of the root mean square; a larger one slows the weights of rare words."""
    weight_decay: NonNegative = 0.0
    """L2 penalty (sgd, adam) or decoupled decay (adamw)."""
    clip: Literal["norm", "value", "none"] = "norm"
    """Gradient clipping: by total norm, by each value, or none."""
    clip_at: Positive = 1.0
    """Threshold of the clipping."""
    schedule: Literal["constant", "plateau", "linear", "epochs"] = "plateau"
    """plateau: shrink when validation stalls; linear: to zero; epochs: shrink every epoch."""
    shrink: Annotated[float, msgspec.Meta(ge=1, le=1e9)] = 2.0
    """Factor that divides the learning rate at each shrinking."""
    shrink_after: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    """Schedule `epochs`: number of epochs before the first shrinking."""
    threshold: Positive = 1.0
    """Plateau: stalled when the validation loss is above `threshold` times the best."""
    embedding_gradients: Literal["dense", "sparse"] = "dense"
    """sparse: of the words of the batch alone, for large vocabularies; of plain SGD."""
    back_to_best: bool = False
    """Plateau: return to the best weights when shrinking."""


class TrainerConfig(Frozen, frozen=True, kw_only=True):
    """Settings of the training loop and the device."""

    max_epochs: Count = 20
    """Epochs at the most."""
    stop_after: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    """End after this many validations in a row without improvement; 0: never."""
    checkpoint_every_steps: Count = 500
    """Steps between checkpoints inside an epoch (each epoch's end has one, too)."""
    accelerator: Literal["cpu", "gpu", "auto"] = "cpu"
    """Lightning's accelerator."""
    devices: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    """Devices a node, a process each; on a CPU so many processes."""
    num_nodes: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 1
    """Nodes."""
    strategy: Literal["auto", "ddp", "zero"] = "auto"
    """Several devices: ddp keeps the optimiser's state on each, zero divides it among them."""
    accumulate: Count = 1
    """Parts of a batch that are computed one after another, for one step; saves memory."""
    recompute_steps: Count | None = None
    """Time steps of a block whose inside is computed again for the gradient; saves memory."""
    precision: Literal["32", "bf16-mixed", "16-mixed"] = "32"
    """Training: float32, or products and what follows them in half precision by autocast."""
    products: Literal["float32", "tf32", "bfloat16"] = "float32"
    """Matrix products: exact float32; or sums in float32 of factors rounded to bfloat16 where the
    machine can, or to TF32 in all that a GPU does."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None
    """CPU threads; all cores when not given."""


class RunConfig(Frozen, frozen=True, kw_only=True):
    """One configuration and seed: what `run()` carries out."""

    task: str
    model: dict[str, Scalar]
    """`name` and the options of the architecture or baseline, all of them."""
    objective: dict[str, Scalar] = msgspec.field(default_factory=dict)
    """The options of the objective, all of them, and its `name` where it is not the card's."""
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    trainer: TrainerConfig = TrainerConfig()
    init: dict[str, str] = msgspec.field(default_factory=dict)
    """Weights to begin with: part of the network (`model` is all of it) -> run of this task, or
    `recipe:NAME` for the run of that recipe with this seed."""
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 1


def num_processes(trainer: TrainerConfig) -> int:
    """Processes that train together, one a device."""
    return trainer.devices * trainer.num_nodes


# Settings that change a number by rounding at the most: they do not name a run.
WITHOUT_EFFECT = frozenset(
    (
        "seed",
        "data.download",
        "optim.embedding_gradients",
        "trainer.threads",
        "trainer.checkpoint_every_steps",
        "trainer.recompute_steps",
        "trainer.strategy",
    )
)


def choices(config: RunConfig, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The dotted settings that differ from `defaults` and can change the result."""
    usual = dotted(defaults)
    return {
        key: value
        for key, value in sorted(dotted(msgspec.to_builtins(config)).items())
        if key not in WITHOUT_EFFECT and not (key in usual and usual[key] == value)
    }


def digest(chosen: Mapping[str, Any], card_version: int) -> str:
    """Eight hexadecimal digits that name a configuration, whatever its seed.

    Only what differs from the defaults counts, so that a setting added later, off by default,
    leaves the names of earlier runs as they are. Hence a default never changes once a record
    rests on it: recipes are the place for better values.
    """
    tree = {"card_version": card_version, **chosen}
    return hashlib.sha256(msgspec.json.encode(tree, order="deterministic")).hexdigest()[:8]


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One tree in which a later layer's values stand before an earlier one's, key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping):
                below = merged.get(key)
                merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
            else:
                merged[key] = value
    return merged


def dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of a tree under dotted names: `{"optim": {"lr": 1}}` -> `{"optim.lr": 1}`."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves.update(dotted(value, f"{prefix}{key}."))
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
