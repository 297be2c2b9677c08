"""Dimensions of a search space: the values that one key may take, in Optuna's vocabulary."""

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

    def clean(self, value: Scalar) -> Scalar:
        """Value without the rounding noise of steps."""
        return value


class FloatRange(_Conditional, frozen=True, kw_only=True, tag="float"):
    """Real numbers between `low` and `high`, both included."""

    low: float
    high: float
    log: bool = False
    """Equal chances for equal ratios."""
    step: Positive | None = None
    """Only low, low + step, low + 2 step, ..."""

    @property
    def values(self) -> list[Scalar] | None:
        """List of all values; None if they are infinitely many."""
        if self.step is None:
            return [self.low] if self.low == self.high else None
        low, high, step = (Decimal(repr(number)) for number in (self.low, self.high, self.step))
        return [float(low + i * step) for i in range(int((high - low) / step) + 1)]

    def __contains__(self, value: Scalar) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        clean = self.clean(value)
        assert isinstance(clean, float)
        return abs(clean - value) <= 1e-9 * max(1.0, abs(value))

    def clean(self, value: Scalar) -> Scalar:
        """Nearest value of the grid: 0.3, not 0.30000000000000004."""
        assert isinstance(value, int | float)
        if self.step is None:
            return float(value)
        low, step = Decimal(repr(self.low)), Decimal(repr(self.step))
        return float(low + round((Decimal(repr(float(value))) - low) / step) * step)


class IntRange(_Conditional, frozen=True, kw_only=True, tag="int"):
    """Whole numbers between `low` and `high`, both included."""

    low: int
    high: int
    log: bool = False
    """Equal chances for equal ratios."""
    step: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Only low, low + step, low + 2 step, ..."""

    @property
    def values(self) -> list[Scalar] | None:
        return list(range(self.low, self.high + 1, self.step))

    def __contains__(self, value: Scalar) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


class Choice(_Conditional, frozen=True, kw_only=True, tag="categorical"):
    """Unordered list of values."""

    choices: Values

    @property
    def values(self) -> list[Scalar] | None:
        return self.choices

    def __contains__(self, value: Scalar) -> bool:
        return any(same(value, choice) for choice in self.choices)


Dimension: TypeAlias = FloatRange | IntRange | Choice
KINDS: dict[str, type[Dimension]] = {"float": FloatRange, "int": IntRange, "categorical": Choice}


def extremes(dimension: Dimension) -> list[Scalar]:
    """Values that a setting must accept in order to accept the whole dimension."""
    return dimension.choices if isinstance(dimension, Choice) else [dimension.low, dimension.high]


def same(first: Scalar, second: Scalar) -> bool:
    """Equality that distinguishes true from 1, as YAML does."""
    return first == second and isinstance(first, bool) == isinstance(second, bool)
