"""Groups: the records of one configuration over its seeds, and how they are told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bench.core.config import WITHOUT_EFFECT, DataConfig, OptimConfig, TrainerConfig, dotted
from bench.core.record import Record

# Settings as the label of a row says them.


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


_IDENTITY = frozenset(("task", "model.name"))
_MISSING = object()
_USUAL = dotted(
    msgspec.to_builtins(
        {"data": DataConfig(), "optim": OptimConfig(), "trainer": TrainerConfig()},
    )
)
"""What a record says of a setting that is younger than it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """One configuration under one metric signature."""

    signature: str
    config: dict[str, Any]
    """Dotted keys; the seed and what cannot change the result are left out."""
    finished: tuple[Record, ...]
    diverged: tuple[Record, ...]
    choices: frozenset[str]
    """What the caller chose, in the record that needed least: keys, and a recipe by name."""

    @property
    def model(self) -> str:
        return str(self.config["model.name"])

    @property
    def metric(self) -> str:
        """The metric's name; an objective of its own may have one that is not the card's."""
        return (*self.finished, *self.diverged)[0].metric

    @property
    def recipe(self) -> str | None:
        """The recipe that all its runs name; None for the usual one of a model or an objective."""
        names = {record.recipe for record in (*self.finished, *self.diverged)}
        usual = {"default", self.model, self.config.get("objective.name")}
        return None if len(names) > 1 or names <= usual else names.pop()

    def values(self, split: str) -> list[float]:
        """The metric on `split`, a value for each finished run that has one."""
        return [r.metrics[split] for r in self.finished if split in r.metrics]

    def beside(self, split: str) -> dict[str, list[float]]:
        """Signature -> what the finished runs report beside the metric, in order of signatures."""
        found: dict[str, list[float]] = {}
        for record in self.finished:
            for signature, values in record.beside.items():
                if split in values:
                    found.setdefault(signature, []).append(values[split])
        return dict(sorted(found.items()))


def group_records(records: Iterable[Record]) -> list[Group]:
    """Records that agree in signature and in configuration but for the seed, together."""
    found: dict[bytes, list[Record]] = {}
    for record in records:
        # The digest stays the same when later versions of the suite add settings; the keys do not.
        identity = [record.signature, record.digest or _settings(record)]
        key = msgspec.json.encode(identity, order="deterministic")
        found.setdefault(key, []).append(record)
    return [_group(found[key], _settings(found[key][0])) for key in sorted(found)]


def _settings(record: Record) -> dict[str, Any]:
    """What can change the result, under dotted keys."""
    settings = {**_USUAL, **dotted(record.config)}
    return {key: value for key, value in settings.items() if key not in WITHOUT_EFFECT}


def matches(group: Group, match: Mapping[str, Any]) -> bool:
    """Whether the group's configuration contains `match`."""
    return all(_same(group.config.get(key, _MISSING), value) for key, value in match.items())


def preference(
    group: Group, *, given: Iterable[str], direction: Literal["min", "max"], signature: str | None
) -> tuple[bool, bool, int, float]:
    """Sort key that puts first the group which stands for a row.

    Finished before diverged, the table's main signature before others, then the fewest choices
    of the caller (keys in `given`, which the row demands, do not count), then the best
    validation. The test split has no say.
    """
    extra = group.choices.difference(given)
    values = group.values("valid")
    valid = math.fsum(values) / len(values) if values else math.inf
    if values and direction == "max":
        valid = -valid
    return not group.finished, group.signature != signature, len(extra), valid


def base_label(group: Group) -> str:
    """The model with its sizes: `gru, hidden_size=100`; an objective that is not the card's.

    Before them a recipe of its own name: `large (gru, hidden_size=900)`.
    """
    sizes = [
        spoken_setting(key, value) for key, value in group.config.items() if _is_size(key, value)
    ]
    objective = group.config.get("objective.name")
    plain = ", ".join([group.model, *([str(objective)] if objective else []), *sizes])
    return f"{group.recipe} ({plain})" if group.recipe else plain


def chosen_label(group: Group) -> str:
    """What the caller chose besides sizes: `objective.output=adaptive`; empty where nothing."""
    chosen = sorted(group.choices.intersection(group.config))
    return ", ".join(
        spoken({key: group.config[key] for key in chosen if not _is_size(key, group.config[key])})
    )


def difference_label(group: Group, reference: Group) -> str:
    """What sets `group` apart from `reference`: `optim.lr=0.5, alpha_kind=learned`."""
    keys = [*group.config, *(key for key in reference.config if key not in group.config)]
    apart = {
        key: group.config.get(key, "absent")
        for key in keys
        if not _same(group.config.get(key, _MISSING), reference.config.get(key, _MISSING))
    }
    return ", ".join(spoken(apart)) or "other signature"


def _group(records: list[Record], config: dict[str, Any]) -> Group:
    records = sorted(records, key=lambda record: (record.seed, record.id))
    return Group(
        signature=records[0].signature,
        config=config,
        finished=tuple(record for record in records if record.status == "finished"),
        diverged=tuple(record for record in records if record.status == "diverged"),
        choices=min((_choices(r) for r in records), key=lambda keys: (len(keys), sorted(keys))),
    )


def _choices(record: Record) -> frozenset[str]:
    keys = frozenset(record.set_by_caller).difference(WITHOUT_EFFECT, _IDENTITY)
    return keys if record.recipe in ("default", record.model) else keys | {"recipe"}


def _same(ours: Any, theirs: Any) -> bool:
    return isinstance(ours, bool) == isinstance(theirs, bool) and bool(ours == theirs)


def _is_size(key: str, value: Any) -> bool:
    if key in ("model.num_layers", "model.direction"):
        return value not in (1, "forward")
    return key in ("model.order", "model.smoothing", "model.components") or (
        key.startswith("model.") and key.endswith("_size")
    )
