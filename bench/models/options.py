"""Types of constructor options, checked when a configuration becomes a model."""

from __future__ import annotations

from typing import Annotated

import msgspec

Size = Annotated[int, msgspec.Meta(ge=1, le=2**20)]
NumLayers = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Offset = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
Fraction = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]
Probability = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
Scale = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]
