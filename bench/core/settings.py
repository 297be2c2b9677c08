"""Descriptions of settings, for help and reference: name, type, default, range and meaning."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys
import textwrap
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import msgspec


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a group such as `optim`."""

    name: str
    """Name in files: `weight_decay`."""
    annotation: Any
    default: Any
    meaning: str

    @property
    def type_text(self) -> str:
        """Type in capitals, or its values: `FLOAT`, `sgd|adam|adamw`."""
        return type_text(self.annotation)

    @property
    def default_text(self) -> str:
        """Default as it is written on the command line; empty for None."""
        return default_text(self.default)


def describe_settings(
    struct: type[msgspec.Struct], documented: type | None = None
) -> list[Setting]:
    """Settings of a struct, in order.

    Meanings come from the strings below the fields; for options of a constructor, from the section
    `Parameters` of the docstring of the class `documented`.
    """
    meanings = _field_meanings(struct)
    if documented is not None:
        meanings = {**meanings, **_parameter_meanings(documented)}
    return [
        Setting(
            name=field.name,
            annotation=field.type,
            default=None if field.default is msgspec.NODEFAULT else field.default,
            meaning=meanings.get(field.name, ""),
        )
        for field in msgspec.structs.fields(struct)
    ]


def type_text(annotation: Any) -> str:
    """`FLOAT`, `INT`, `TEXT`, or the values of a `Literal` between bars."""
    if get_origin(annotation) is typing.Annotated:
        return type_text(get_args(annotation)[0])
    if get_origin(annotation) in (typing.Union, types.UnionType):
        parts = [type_text(part) for part in get_args(annotation) if part is not type(None)]
        return "|".join(dict.fromkeys(parts))
    if get_origin(annotation) is Literal:
        return "|".join(default_text(value) for value in get_args(annotation))
    names = {int: "INT", float: "FLOAT", str: "TEXT", bool: "true|false"}
    return names.get(annotation, "TEXT")


def default_text(value: Any) -> str:
    """Value as it is written on the command line; empty for None."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@functools.cache
def _field_meanings(struct: type) -> dict[str, str]:
    """Strings that stand below the fields of a class and of its bases."""
    meanings: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        module = sys.modules.get(base.__module__)
        if module is None or not hasattr(base, "__struct_fields__"):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(base))
        except (OSError, TypeError):  # made by `defstruct`
            continue
        body = typing.cast(ast.ClassDef, ast.parse(source).body[0]).body
        for statement, after in itertools.pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                text = after.value if isinstance(after, ast.Expr) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    meanings[statement.target.id] = " ".join(text.value.split())
    return meanings


def _parameter_meanings(documented: type) -> dict[str, str]:
    """Section `Parameters` of the docstrings of a class and of its bases."""
    from docstring_parser import parse

    meanings: dict[str, str] = {}
    for base in reversed(documented.__mro__):
        for parameter in parse(base.__doc__ or "").params:
            meanings[parameter.arg_name] = " ".join((parameter.description or "").split())
    return meanings
