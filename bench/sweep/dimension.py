"""One key of a space: which values it may take, in Optuna's vocabulary."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeAlias

import msgspec

from bench.core.config import Positive, Scalar
from bench.core.structs import Frozen

Values = Annotated[list[Scalar], msgspec.Meta(min_length=1)]
Conditions: TypeAlias = dict[str, Values]


class _Conditional(Frozen, frozen=True, kw_only=True, tag_field="type"):
    when: Conditions = msgspec.field(default_factory=dict)
    """Chosen only where each of these earlier keys has one of its values."""


class FloatRange(_Conditional, frozen=True, kw_only=True, tag="float"):
    """A real number between `low` and `high`, both included."""

    low: float
    high: float
    log: bool = False
    """Equal chances for equal ratios."""
    step: Positive | None = None
    """Only low, low + step, low + 2 step, ..."""

    @property
    def values(self) -> list[Scalar] | None:
        """All values where they can be listed."""
        if self.step is None:
            return [self.low] if self.low == self.high else None
        low, high, step = (Decimal(repr(number)) for number in (self.low, self.high, self.step))
        return [float(low + i * step) for i in range(int((high - low) / step) + 1)]

    @property
    def extremes(self) -> list[Scalar]:
        """The values that a setting has to accept if it accepts all of them."""
        return [self.low, self.high]

    def holds(self, value: Scalar) -> bool:
        """Whether `value` is one of the possible ones."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and _is_among(self.clean(value), value)

    def clean(self, value: Scalar) -> Scalar:
        """The nearest value of the grid as it would be written: 0.3, not 0.30000000000000004."""
        assert isinstance(value, int | float)
        if self.step is None:
            return float(value)
        low, step = Decimal(repr(self.low)), Decimal(repr(self.step))
        return float(low + round((Decimal(repr(float(value))) - low) / step) * step)


class IntRange(_Conditional, frozen=True, kw_only=True, tag="int"):
    """A whole number between `low` and `high`, both included."""

    low: int
    high: int
    log: bool = False
    """Equal chances for equal ratios."""
    step: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Only low, low + step, low + 2 step, ..."""

    @property
    def values(self) -> list[Scalar] | None:
        """All values."""
        return list(range(self.low, self.high + 1, self.step))

    @property
    def extremes(self) -> list[Scalar]:
        """The values that a setting has to accept if it accepts all of them."""
        return [self.low, self.high]

    def holds(self, value: Scalar) -> bool:
        """Whether `value` is one of the possible ones."""
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0

    def clean(self, value: Scalar) -> Scalar:
        """The value itself."""
        return value


class Choice(_Conditional, frozen=True, kw_only=True, tag="categorical"):
    """One of a list, without an order."""

    choices: Values

    @property
    def values(self) -> list[Scalar] | None:
        """All values."""
        return self.choices

    @property
    def extremes(self) -> list[Scalar]:
        """The values that a setting has to accept if it accepts all of them."""
        return self.choices

    def holds(self, value: Scalar) -> bool:
        """Whether `value` is one of the possible ones; true is not 1."""
        return any(same(value, choice) for choice in self.choices)

    def clean(self, value: Scalar) -> Scalar:
        """The value itself."""
        return value


Dimension: TypeAlias = FloatRange | IntRange | Choice
KINDS: dict[str, type[Dimension]] = {"float": FloatRange, "int": IntRange, "categorical": Choice}


def same(first: Scalar, second: Scalar) -> bool:
    """Equality that tells true from 1, as a file does."""
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def _is_among(clean: Scalar, value: float) -> bool:
    assert isinstance(clean, float)
    return abs(clean - value) <= 1e-9 * max(1.0, abs(value))
