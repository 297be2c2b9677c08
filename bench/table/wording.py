"""Settings as the label of a row says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EVALUATION, _BEAM = "objective.evaluation", "objective.beam_size"
_SEARCHES = ("caption", "translate")
"""Evaluations that are nothing but a search, by one model or by several."""


def spoken(settings: Mapping[str, Any]) -> list[str]:
    """`beam 12`, `ensemble of 2: gru-9d0e1f2a[0,1]`, and what has no words of its own as it is."""
    left = dict(settings)
    found = []
    if left.get(_EVALUATION) in _SEARCHES:
        del left[_EVALUATION]
        models, num_models = (left.pop(f"{_EVALUATION}_{part}", None) for part in ("of", "models"))
        if num_models not in (None, 1):
            found.append(f"ensemble of {num_models}: {models}")
    if _BEAM in left:
        found.append(f"beam {left.pop(_BEAM)}")
    return [*found, *(spoken_setting(key, value) for key, value in left.items())]


def spoken_setting(key: str, value: Any) -> str:
    """`hidden_size=100`: options of the model go without their prefix."""
    if value is None or isinstance(value, bool):
        value = str(value).lower()
    return f"{key.removeprefix('model.')}={value}"
