"""What the `corpus:` part of a card of frames may say: facts as frozen structs.

Imports neither torch nor numpy: listing tasks reads these and must stay fast.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from bench.core.structs import Frozen
from bench.data.files import FileSpec, Mirror

Count = Annotated[int, msgspec.Meta(ge=1)]


class MovingSpec(Frozen, frozen=True, kw_only=True):
    """Sequences of square frames with things that move straight ahead and bounce off the edges.

    The first `num_given` frames are read, the next `num_predicted` are to be said.
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
        """Of a sequence."""
        return self.num_given + self.num_predicted


class MovingDigitsSpec(MovingSpec, frozen=True, kw_only=True, tag_field="kind", tag="digits"):
    """Handwritten digits of an idx file that move: see `bench.frames.data.motion`.

    `files` has one, images. `num_digits` of its images are drawn, for all splits; a digit's way in
    a step is between `slowest` and `fastest` pixels long.
    """

    folder: str
    licence: str
    obtain: str
    """Where a user gets the file."""
    files: dict[str, FileSpec]
    mirrors: tuple[Mirror, ...] = ()
    num_digits: Count = 500
    slowest: float = 3.0
    fastest: float = 5.0
    pixels_sha256: str | None = None
    """Of the unpacked idx file, however it is packed."""

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
