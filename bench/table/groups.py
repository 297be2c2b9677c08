"""Groups: the records of one configuration over its seeds, and the labels that tell them apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bench.core.config import WITHOUT_EFFECT, DataConfig, OptimConfig, TrainerConfig, dotted
from bench.core.record import Record

_IDENTITY = frozenset(("task", "model.name"))
_MISSING = object()
_DEFAULTS = dotted(
    msgspec.to_builtins(
        {"data": DataConfig(), "optim": OptimConfig(), "trainer": TrainerConfig()},
    )
)
"""Values of the settings that were added after a record was written."""
_EVALUATION, _BEAM = "objective.evaluation", "objective.beam_size"
_SEARCHES = ("caption", "translate")
"""Evaluations that only search, with one model or with several."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Records of one configuration under one metric signature."""

    signature: str
    config: dict[str, Any]
    """Settings under dotted keys, without the seed and those that cannot change the result."""
    finished: tuple[Record, ...]
    diverged: tuple[Record, ...]
    choices: frozenset[str]
    """Keys set by the caller, and `recipe` for a named one, in the record with the fewest."""

    @property
    def model(self) -> str:
        return str(self.config["model.name"])

    @property
    def metric(self) -> str:
        """Name of the metric; an objective may replace that of the card."""
        return (*self.finished, *self.diverged)[0].metric

    @property
    def recipe(self) -> str | None:
        """Recipe that all runs name; None for the default of a model or an objective."""
        names = {record.recipe for record in (*self.finished, *self.diverged)}
        usual = {"default", self.model, self.config.get("objective.name")}
        return None if len(names) > 1 or names <= usual else names.pop()

    def values(self, split: str) -> list[float]:
        """Metric on `split`, one value for each finished run that has it."""
        return [r.metrics[split] for r in self.finished if split in r.metrics]

    def secondary_values(self, split: str) -> dict[str, list[float]]:
        """Signature -> secondary scores of the finished runs, sorted by signature."""
        found: dict[str, list[float]] = {}
        for record in self.finished:
            for signature, values in record.beside.items():
                if split in values:
                    found.setdefault(signature, []).append(values[split])
        return dict(sorted(found.items()))


def group_records(records: Iterable[Record]) -> list[Group]:
    """Group records that agree in signature and in configuration except for the seed."""
    found: dict[bytes, list[Record]] = {}
    for record in records:
        # The digest stays the same when later versions of the suite add settings; the keys do not.
        identity = [record.signature, record.digest or _settings(record)]
        key = msgspec.json.encode(identity, order="deterministic")
        found.setdefault(key, []).append(record)
    return [_group(found[key], _settings(found[key][0])) for key in sorted(found)]


def _group(records: list[Record], config: dict[str, Any]) -> Group:
    records = sorted(records, key=lambda record: (record.seed, record.id))
    return Group(
        signature=records[0].signature,
        config=config,
        finished=tuple(record for record in records if record.status == "finished"),
        diverged=tuple(record for record in records if record.status == "diverged"),
        choices=min((_choices(r) for r in records), key=lambda keys: (len(keys), sorted(keys))),
    )


def _settings(record: Record) -> dict[str, Any]:
    """Settings that can change the result, under dotted keys."""
    settings = {**_DEFAULTS, **dotted(record.config)}
    return {key: value for key, value in settings.items() if key not in WITHOUT_EFFECT}


def _choices(record: Record) -> frozenset[str]:
    keys = frozenset(record.set_by_caller).difference(WITHOUT_EFFECT, _IDENTITY)
    return keys if record.recipe in ("default", record.model) else keys | {"recipe"}


def matches(group: Group, match: Mapping[str, Any]) -> bool:
    """Test whether the group's configuration contains `match`."""
    return all(_same(group.config.get(key, _MISSING), value) for key, value in match.items())


def preference_key(
    group: Group, *, given: Iterable[str], direction: Literal["min", "max"], signature: str | None
) -> tuple[bool, bool, int, float]:
    """Sort key that puts first the group to represent a row.

    Finished before diverged, the table's main signature before others, then the fewest choices of
    the caller (keys in `given`, which the row demands, do not count), then the best validation. The
    test split is never used.
    """
    values = group.values("valid")
    valid = math.fsum(values) / len(values) if values else math.inf
    if values and direction == "max":
        valid = -valid
    num_choices = len(group.choices.difference(given))
    return not group.finished, group.signature != signature, num_choices, valid


def base_label(group: Group) -> str:
    """Model with its sizes, and an objective that is not the card's: `gru, hidden_size=100`.

    A named recipe stands in front: `large (gru, hidden_size=900)`.
    """
    sizes = [
        _setting_label(key, value) for key, value in group.config.items() if _is_size(key, value)
    ]
    objective = group.config.get("objective.name")
    plain = ", ".join([group.model, *([str(objective)] if objective else []), *sizes])
    return f"{group.recipe} ({plain})" if group.recipe else plain


def choices_label(group: Group) -> str:
    """Settings chosen by the caller except sizes: `objective.output=adaptive`."""
    chosen = {key: group.config[key] for key in sorted(group.choices.intersection(group.config))}
    return ", ".join(setting_labels({k: v for k, v in chosen.items() if not _is_size(k, v)}))


def difference_label(group: Group, reference: Group) -> str:
    """Settings in which `group` differs from `reference`: `optim.lr=0.5, alpha_kind=learned`."""
    differing = {
        key: group.config.get(key, "absent")
        for key in {**group.config, **reference.config}
        if not _same(group.config.get(key, _MISSING), reference.config.get(key, _MISSING))
    }
    return ", ".join(setting_labels(differing)) or "other signature"


def setting_labels(settings: Mapping[str, Any]) -> list[str]:
    """Labels of settings: `beam 12`, `ensemble of 2: gru-9d0e1f2a[0,1]`, `optim.lr=0.5`."""
    left = dict(settings)
    labels = []
    if left.get(_EVALUATION) in _SEARCHES:
        del left[_EVALUATION]
        models, num_models = (left.pop(f"{_EVALUATION}_{part}", None) for part in ("of", "models"))
        if num_models not in (None, 1):
            labels.append(f"ensemble of {num_models}: {models}")
    if _BEAM in left:
        labels.append(f"beam {left.pop(_BEAM)}")
    return [*labels, *(_setting_label(key, value) for key, value in left.items())]


def _setting_label(key: str, value: Any) -> str:
    """`hidden_size=100`: the prefix of model options is left out."""
    return f"{key.removeprefix('model.')}={value_text(value)}"


def value_text(value: Any) -> str:
    """Value of a setting as text; None and booleans in lower case."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _same(ours: Any, theirs: Any) -> bool:
    return isinstance(ours, bool) == isinstance(theirs, bool) and bool(ours == theirs)


def _is_size(key: str, value: Any) -> bool:
    """Test whether a setting is a size of the model that differs from the usual one."""
    if key in ("model.num_layers", "model.direction"):
        return value not in (1, "forward")
    return key in ("model.order", "model.smoothing", "model.components") or (
        key.startswith("model.") and key.endswith("_size")
    )
