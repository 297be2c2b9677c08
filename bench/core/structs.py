"""Plain trees of keys and values -> frozen structs, with errors that name the key at fault."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

import msgspec

from bench.core.errors import BenchError, nearest

T = TypeVar("T")


class Frozen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a configuration: immutable, built by keyword, strict about its keys."""


def to_struct(tree: Mapping[str, Any], kind: type[T], *, where: str, prefix: str = "") -> T:
    """Convert `tree` to the struct `kind`; text such as `"0.5"` becomes the number it says.

    `where` names the source (a file, `command line`) and `prefix` the dotted path of `tree`
    in it. Raises BenchError naming the key and, for an unknown one, the nearest right one.
    """
    _check_keys(tree, kind, where, prefix)
    try:
        return msgspec.convert(dict(tree), kind, strict=False)
    except msgspec.ValidationError as error:
        raise BenchError(f"{where}: {_plain(str(error), tree, kind, prefix)}") from None


def _check_keys(tree: Mapping[str, Any], kind: Any, where: str, prefix: str) -> None:
    known = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        if key == _tag_field(kind):
            continue
        if key not in known:
            raise BenchError(f"{where}: unknown key '{prefix}{key}', {nearest(str(key), known)}")
        inner = _struct_in(known[key], value)
        if inner is not None and isinstance(value, Mapping):
            _check_keys(value, inner, where, f"{prefix}{key}.")


def _structs_in(annotation: Any) -> list[Any]:
    options = [annotation]
    if get_origin(annotation) in (typing.Union, types.UnionType):
        options = list(get_args(annotation))
    return [o for o in options if isinstance(o, type) and issubclass(o, msgspec.Struct)]


def _struct_in(annotation: Any, value: Any) -> Any:
    """The struct type in an annotation such as `Optim | None`; of several, that of the tag."""
    structs = _structs_in(annotation)
    if len(structs) > 1 and isinstance(value, Mapping):
        structs = [s for s in structs if value.get(_tag_field(s)) == s.__struct_config__.tag]
    return structs[0] if len(structs) == 1 else None


def _tag_field(struct: Any) -> str | None:
    field: str | None = struct.__struct_config__.tag_field
    return field


def _plain(message: str, tree: Mapping[str, Any], kind: Any, prefix: str) -> str:
    """msgspec's message with our dotted path first, and the value at fault or the right ones."""
    found = re.fullmatch(r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?", message, re.S)
    assert found is not None
    path = found["path"] or ""
    value: Any = tree
    for part in path.split("."):
        kind = _field_type(kind, part, value)
        value = value.get(part) if isinstance(value, Mapping) else None
    choices = [str(choice) for choice in _choices(kind)]
    if choices and not isinstance(value, Mapping):
        what = f"{value!r} is none of {', '.join(choices)}"
        close = nearest(str(value), choices)
        what += f", {close}" if close.startswith("did") else ""
    else:
        what = re.sub(r", got `\w+`$", "", found["what"]).replace("`", "")
        what = what[:1].lower() + what[1:]
        what += "" if value is None or isinstance(value, Mapping) else f", not {value!r}"
    return f"{prefix}{path}: {what}" if path else what


def _field_type(kind: Any, name: str, value: Any) -> Any:
    tags = [s.__struct_config__.tag for s in _structs_in(kind) if _tag_field(s) == name]
    if tags:
        return Literal[tuple(tags)]
    inner = _struct_in(kind, value)
    if inner is None:
        return None
    return {f.encode_name: f.type for f in msgspec.structs.fields(inner)}.get(name)


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a `Literal`, nothing for other types."""
    if get_origin(annotation) is typing.Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (typing.Union, types.UnionType):  # such as `Literal[...] | None`
        return tuple(choice for option in get_args(annotation) for choice in _choices(option))
    return get_args(annotation) if get_origin(annotation) is typing.Literal else ()


# A class's keyword-only constructor arguments as a strict struct: its options.
#
# An architecture or a baseline states its options, their types and defaults once, in its own
# file, and every source of settings is checked against them.


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
