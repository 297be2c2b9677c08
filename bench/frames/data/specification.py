"""The `corpus:` part of a card of frames: facts as frozen structs.

Imports neither torch nor numpy: listing tasks reads these and must stay fast.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from bench.core.config import Count
from bench.core.structs import Frozen
from bench.data.files import FileSpec, Mirror


class MovingSpec(Frozen, frozen=True, kw_only=True):
    """Sequences of square frames with sprites that move straight ahead and bounce off the edges.

    The first `num_given` frames are read, the next `num_predicted` are predicted.
    """

    seed: int = 1
    frame_size: Annotated[int, msgspec.Meta(ge=8, le=256)] = 64
    """Pixels of a side."""
    things_per_frame: Count = 2
    num_given: Annotated[int, msgspec.Meta(ge=2)] = 10
    num_predicted: Count = 10
    num_train: Count
    num_valid: Count
    num_test: Count

    @property
    def num_frames(self) -> int:
        """Frames of a sequence."""
        return self.num_given + self.num_predicted


class MovingDigitsSpec(MovingSpec, frozen=True, kw_only=True, tag_field="kind", tag="digits"):
    """Handwritten digits of an idx file that move: see `bench.frames.data.motion`."""

    folder: str
    licence: str
    obtain: str
    """Source of the file, for users."""
    files: dict[str, FileSpec]
    """One file, `images`."""
    mirrors: tuple[Mirror, ...] = ()
    num_digits: Count = 500
    """Images that are drawn from the file, for all splits."""
    slowest: float = 3.0
    """Least speed of a digit in pixels a step."""
    fastest: float = 5.0
    """Greatest speed of a digit in pixels a step."""
    pixels_sha256: str | None = None
    """Checksum of the unpacked idx file."""

    def __post_init__(self) -> None:
        if list(self.files) != ["images"]:
            raise ValueError("files: name one, images")
        if not 0 < self.slowest <= self.fastest:
            raise ValueError("slowest must lie between 0 and fastest")


class SyntheticFramesSpec(
    MovingSpec, frozen=True, kw_only=True, tag_field="kind", tag="synthetic-frames"
):
    """Simple shapes, a whole number of pixels a step, each pixel flipped with a probability."""

    fastest: Annotated[int, msgspec.Meta(ge=1, le=8)] = 2
    """Pixels that a shape moves in a step at the most, in each direction."""
    noise: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.01
    """Probability that a pixel is flipped."""
    licence: str = "generated: no licence is needed"
