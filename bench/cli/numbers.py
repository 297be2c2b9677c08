"""Whole numbers on the command line: no fraction is rounded, and none is beyond what can be meant.

cyclopts reads `1.5` as 2 where an integer is wanted; a seed or a number of seeds is never rounded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

LARGEST = 2**32 - 1
"""Largest seed."""
_WHOLE = re.compile(r"[-+]?[0-9]+")


def whole(_: Any, tokens: Sequence[Token]) -> int:
    """Read a whole number; ValueError, which cyclopts words, for any other."""
    text = tokens[0].value.strip()
    if not _WHOLE.fullmatch(text) or len(text) > 12 or abs(int(text)) > LARGEST:
        raise ValueError(f"{text[:40]!r} is no whole number up to {LARGEST:,}")
    return int(text)


Whole = Annotated[int, Parameter(converter=whole)]
OptionalWhole = Annotated[int | None, Parameter(converter=whole)]
