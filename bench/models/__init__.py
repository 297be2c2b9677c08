"""Recurrent architectures, one file each. A new one is one file and one line in `MODELS`.

`recurrence` holds the contract of all of them, `options` the types of their constructors' options,
`deep` and `bidirectional` the wrappers that stack them and read from both ends, and `fast/` their
fast exact forms: scans, fused kernels, CUDA graphs. Importing this index imports no torch.
"""

from __future__ import annotations

import importlib
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.core.errors import BenchError, nearest
from bench.core.structs import Frozen, options_struct, to_struct
from bench.models.options import Probability, Size

if TYPE_CHECKING:
    from bench.models.recurrence import Recurrence

MODELS = {
    "conv-lstm": "bench.models.conv_lstm:ConvLSTM",
    "gru": "bench.models.gru:GRU",
    "jordan": "bench.models.jordan:Jordan",
    "lstm": "bench.models.lstm:LSTM",
    "scrn": "bench.models.scrn:SCRN",
    "srn": "bench.models.srn:SRN",
    "tdnn": "bench.models.tdnn:TDNN",
    "wavenet": "bench.models.wavenet:WaveNet",
}


class StackOptions(Frozen, frozen=True, kw_only=True):
    """Options of every architecture: how copies of it are put together."""

    num_layers: Size = 1
    """Copies of the recurrence, each reading the one below."""
    dropout: Probability = 0.0
    """Share of what passes between layers that is dropped."""
    direction: Literal["forward", "bidirectional"] = "forward"
    """bidirectional: a second copy in each layer reads backwards."""


def model_class(name: str) -> type[Recurrence]:
    """Class of the architecture `name`; this imports torch."""
    if name not in MODELS:
        raise BenchError(f"unknown model {name!r}: {nearest(name, MODELS)}")
    module, _, attribute = MODELS[name].partition(":")
    return typing.cast("type[Recurrence]", getattr(importlib.import_module(module), attribute))


def model_options(name: str) -> type[StackOptions]:
    """Options of the architecture `name` with their defaults.

    Fields are those of `StackOptions` and the keyword-only arguments of the constructor.
    """
    return options_struct(model_class(name), StackOptions)


def resolve_options(name: str, options: Mapping[str, object]) -> StackOptions:
    """Check the options given and fill in the defaults."""
    return to_struct(options, model_options(name), where=f"model {name!r}", prefix="model.")


def build_recurrence(
    name: str, input_size: int, options: Mapping[str, object] | None = None
) -> Recurrence:
    """Build the architecture `name` for inputs of `input_size`, with freshly drawn weights.

    `options` are those of `model_options(name)`; text is accepted where it reads as the type.
    Weights come from torch's global random state.
    """
    from bench.models.bidirectional import Bidirectional
    from bench.models.deep import Deep

    own = msgspec.structs.asdict(resolve_options(name, options or {}))
    num_layers, dropout, direction = (own.pop(key) for key in StackOptions.__struct_fields__)
    build = typing.cast("typing.Callable[..., Recurrence]", model_class(name))
    layers: list[Recurrence] = []
    for _ in range(num_layers):
        layer = build(input_size, **own)
        if direction == "bidirectional":
            layer = Bidirectional(layer, build(input_size, **own))
        layers.append(layer)
        input_size = layer.output_size
    return layers[0] if num_layers == 1 else Deep(layers, dropout=dropout)
