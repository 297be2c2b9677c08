"""A class's keyword-only constructor arguments as a strict struct: its options.

So an architecture or a baseline states its options, their types and defaults once, in its own
file, and every source of settings is checked against them.
"""

from __future__ import annotations

import functools
import inspect
import typing
from typing import TypeVar, cast

import msgspec

from bench.core.structs import Frozen

Base = TypeVar("Base", bound=Frozen)


@functools.cache
def options_struct(cls: type, base: type[Base]) -> type[Base]:
    """A frozen, strict struct of `base`'s fields and the keyword-only arguments of `cls`."""
    constructor = cls.__init__  # type: ignore[misc]
    hints = typing.get_type_hints(constructor, include_extras=True)
    fields = [
        (parameter.name, hints[parameter.name], parameter.default)
        for parameter in inspect.signature(constructor).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    struct = msgspec.defstruct(
        f"{cls.__name__}Options",
        fields,
        bases=(base,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
    return cast("type[Base]", struct)
