"""YAML read strictly: a key given twice is an error, and `1e-3` is a number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from bench.core.errors import BenchError

_FLOAT = re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?$")
_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Base):  # type: ignore[valid-type, misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise BenchError(f"line {line}: key {key!r} is given twice, keep one of them")
            seen.add(key)
        return dict(super().construct_mapping(node, deep))


# YAML 1.1 wants a dot in `1.0e-3`; people and papers write `1e-3`. The first character decides
# which resolvers are tried, integers first.
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file `path`.

    Raises BenchError, naming file and line, for text that is not UTF-8 or not YAML, for a key
    given twice, and for a document that is not a mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except FileNotFoundError:
        raise BenchError(f"{path}: there is no such file") from None
    except BenchError as error:
        raise BenchError(f"{path}: {error}") from None
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}: not UTF-8 at byte {error.start}, save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise BenchError(f"{path}: {line}{problem}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BenchError(f"{path}: expected a mapping of keys to values at the top")
    return content
