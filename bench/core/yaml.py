"""YAML read strictly: a key given twice is an error, and `1e-3` is a number."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

import yaml

from bench.core.errors import BenchError

MAX_DEPTH = 50
MAX_NODES = 200_000
"""Largest number of nodes, those of aliases counted as often as they are named."""
MAX_DIGITS = 300
"""Longest number."""
_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?$")
_AMBIGUOUS = {
    re.compile(r"^[-+]?0[0-9_]+$"): "octal to some",
    re.compile(
        r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$"
    ): "read as sexagesimal by some",
    re.compile(r"^[-+]?0[xbo]_*$"): "no number",
}
"""Plain scalars that YAML 1.1 and a person read in different ways."""
_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Base):  # type: ignore[valid-type, misc]
    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return self.construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise BenchError(f"{_line(key_node)}: a list or a mapping cannot be a key")
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise BenchError(f"{_line(key_node)}: key {key!r} is given twice, keep one of them")
            seen.add(key)
        return dict(super().construct_mapping(node, deep))

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.style in (None, ""):
            for pattern, why in _AMBIGUOUS.items():
                if pattern.match(node.value):
                    raise BenchError(
                        f"{_line(node)}: {node.value} is {why}: write a text in quotes and a "
                        "number without a leading zero"
                    )
            if len(node.value) > MAX_DIGITS and _FLOAT.match(node.value):
                raise BenchError(f"{_line(node)}: a number of {len(node.value):,} digits")
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            shown = str(getattr(node, "value", ""))[:40]
            raise BenchError(f"{_line(node)}: {shown!r} cannot be read ({error})") from None


# YAML 1.1 wants a dot in `1.0e-3`; people and papers write `1e-3`. The first character decides
# which resolvers are tried, integers first.
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file `path`.

    Raises BenchError, naming file and line, for what is no readable file, for text that is not
    UTF-8 or not YAML, for a key given twice, for numbers that are ambiguous or too long, for
    aliases and nesting without end, and for a document that is not a mapping.
    """
    try:
        content = yaml.load(_text(path), Loader=_StrictLoader)
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from None
    except RecursionError:
        raise BenchError(f"{path}: nested too deeply") from None
    except (AttributeError, LookupError, TypeError) as error:  # of a tag on another kind of value
        raise BenchError(f"{path}: not valid YAML ({error})") from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}: not UTF-8 at byte {error.start}, save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None)
        raise BenchError(f"{path}: {line}{problem or 'not valid YAML'}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BenchError(f"{path}: expected a mapping of keys to values at the top")
    return content


def _text(path: Path) -> str:
    """Text of a file; BenchError for a folder, a pipe, a device and what cannot be read."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no file but a pipe or a device"
            raise BenchError(f"it is {what}: name a YAML file")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BenchError("there is no such file") from None
    except OSError as error:
        raise BenchError(f"it cannot be read ({error.strerror})") from None


def _check_size(root: yaml.Node) -> None:
    """Refuse self-reference, nesting and aliases beyond what a person writes."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise BenchError(f"{_line(node)}: it contains itself")
        if depth > MAX_DEPTH:
            raise BenchError(f"{_line(node)}: nested more than {MAX_DEPTH} deep")
        open_nodes.add(id(node))
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        total = 1 + sum(size(part, depth + 1) for part in parts)
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        if total > MAX_NODES:
            raise BenchError(f"{_line(node)}: aliases repeat it to more than {MAX_NODES:,} values")
        return total

    size(root, 0)


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
