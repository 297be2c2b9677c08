"""What can be wrong with an image or a caption."""

from __future__ import annotations

from typing import Literal

from bench.core.structs import Frozen

Kind = Literal["no image", "no caption", "no words", "bad line"]
THING = "caption or image"


class Problem(Frozen, frozen=True, kw_only=True):
    """One image or caption that cannot be used; `split` None for one that belongs to none."""

    split: str | None = None
    kind: Kind
    image: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.image}: {self.detail}"
