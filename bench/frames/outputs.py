"""What was predicted of each sequence of frames, kept beside a run's weights.

    frames-test.npz    losses of every sequence and predicted frame; pixels of a few sequences
    frames-test.png    these few as strips: the true frames, and below the future as predicted

Needs neither weights nor torch. N sequences, K predicted frames, n of them shown, T given frames,
Y X pixels.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.core.record import Record, write_atomically
from bench.core.statistics import CONFIDENCE
from bench.core.suite import Suite
from bench.runs.error_curves import Curve, Group, interval
from bench.runs.kept import read_or_make

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
NUM_SHOWN = 8
"""The first sequences of a split; none is chosen by what became of it."""
MARGIN, BACKGROUND = 2, 96
SMALL = 48
"""Pixels of a side below which a frame is drawn larger."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedFrames:
    """A split in the corpus's order.

    `cross_entropy`: nats, and `squared_error`, both summed over pixels between 0 and 1 [N, K].
    `given` [n, T, Y, X], `true` and `predicted` [n, K, Y, X]: of the first sequences.
    """

    cross_entropy: Floats
    squared_error: Floats
    given: Pixels
    true: Pixels
    predicted: Pixels

    @property
    def noun(self) -> str:
        """What is resampled."""
        num_sequences, num_predicted = self.cross_entropy.shape
        return f"{num_sequences:,} sequences of {num_predicted} predicted frames"

    @property
    def method(self) -> str:
        """How sums over sequences become the metric."""
        return "losses in nats are added over sequences and divided by the number of frames"

    @property
    def sums(self) -> Floats:
        """Of each sequence: nats, frames, squared error [N, 3]."""
        frames_N = np.full(len(self.cross_entropy), self.cross_entropy.shape[1])
        found = (self.cross_entropy.sum(1), frames_N, self.squared_error.sum(1))
        return np.stack(found, axis=1).astype(np.float64)

    def metric(self, sums_XK: Floats) -> Floats:
        """Cross-entropy [X] of added sums."""
        return np.asarray(sums_XK[..., 0] / sums_XK[..., 1])

    def metrics(self) -> dict[str, float]:
        """Means over all predicted frames: cross-entropy and mse."""
        nats, frames, squared = self.sums.sum(0).tolist()
        return {"cross-entropy": nats / frames, "mse": squared / frames}


def signatures(*, frame_size: int, num_given: int, num_predicted: int) -> dict[str, str]:
    """What exactly each metric is, by its name."""
    how = f"given:{num_given}|predicted:{num_predicted}|size:{frame_size}"
    return {
        "cross-entropy": f"cross-entropy|unit:frame|pixels:sum|log:nats|{how}",
        "mse": f"mse|unit:frame|pixels:sum|{how}",
    }


def frames_path(folder: Path, split: str) -> Path:
    """Where the predictions of a split are kept."""
    return folder / f"frames-{split}.npz"


def write_frames(folder: Path, split: str, made: PredictedFrames) -> None:
    """Keep them, and draw those that are shown."""
    file = io.BytesIO()
    np.savez_compressed(file, **{field.name: getattr(made, field.name) for field in fields(made)})
    write_atomically(frames_path(folder, split), file.getvalue())
    from PIL import Image

    picture = io.BytesIO()
    Image.fromarray(strips(made)).save(picture, "PNG", optimize=True)
    write_atomically(frames_path(folder, split).with_suffix(".png"), picture.getvalue())


def read_frames(folder: Path, split: str) -> PredictedFrames | None:
    """What was kept; None where nothing was. Raises BenchError for a damaged file."""
    path = frames_path(folder, split)
    if not path.is_file():
        return None
    try:
        with np.load(path) as arrays:
            found: Mapping[str, npt.NDArray[np.generic]] = {key: arrays[key] for key in arrays}
            return PredictedFrames(**found)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BenchError(f"{path}: damaged ({error}); delete it") from None


def strips(made: PredictedFrames) -> Pixels:
    """The shown sequences as one grey picture: true frames, and the prediction below the future."""
    scale = -(-SMALL // made.given.shape[-1])
    blank = np.full_like(made.given, BACKGROUND)
    rows: list[Pixels] = []
    for given, nothing, true, predicted in zip(
        made.given, blank, made.true, made.predicted, strict=True
    ):
        rows += [_row([*given, *true], scale), _row([*nothing, *predicted], scale)]
        rows.append(np.full((2 * MARGIN, rows[0].shape[1]), BACKGROUND, np.uint8))
    return np.concatenate(rows[:-1])


def _row(frames: list[Pixels], scale: int) -> Pixels:
    """Frames side by side, larger, with a margin at the right and below."""
    larger = [frame.repeat(scale, axis=0).repeat(scale, axis=1) for frame in frames]
    edges = ((0, MARGIN), (0, MARGIN))
    return np.concatenate([np.pad(x, edges, constant_values=BACKGROUND) for x in larger], axis=1)


# What models predicted of the sequences of a split: read where it was kept, made again elsewhere.
#
# Whatever made it, its cross-entropy must be the value in the record.


TOLERANCE = 1e-4
"""Relative: what another machine's rounding makes of ten frames that follow from each other."""


def kept_frames(
    suite: Suite, record: Record, split: str, *, missing: Literal["make", "leave"] = "make"
) -> PredictedFrames:
    """The predictions of a finished run.

    Raises BenchError where they are gone and cannot, or with `leave` may not, be made again, and
    where their cross-entropy is not the record's.
    """
    what = "predicted frames"
    found = read_or_make(suite, record, split, what=what, read=read_frames, missing=missing)
    value, expected = found.metrics()["cross-entropy"], record.metrics[split]
    if not abs(value - expected) <= TOLERANCE * expected:
        path = frames_path(suite.artifacts(record.task, record.id), split)
        raise BenchError(
            f"{path}: cross-entropy {value:.3f} where the record {record.id} says {expected:.3f}; "
            "delete it, or run again with --again"
        )
    return found


# How predictions of frames get worse the further ahead they are.
#
# Shapes: N sequences, K predicted frames.


NATS, SQUARED = "predicted frame (cross-entropy, nats)", "predicted frame (squared error)"


def curves(made: PredictedFrames) -> dict[str, Curve]:
    """Both losses frame by frame, with intervals over sequences."""
    return {NATS: _by_frame(made.cross_entropy), SQUARED: _by_frame(made.squared_error)}


def _by_frame(loss_NK: Floats) -> Curve:
    ones_N = np.ones(len(loss_NK))
    found = []
    for number, loss_N in enumerate(loss_NK.T, start=1):
        sums_N2 = np.stack([loss_N, ones_N], axis=1)
        low, high = interval(sums_N2, _mean)
        total = sums_N2.sum(0)
        found.append(
            Group(
                label=str(number),
                size=len(loss_N),
                value=float(_mean(total)),
                low=low,
                high=high,
                total=total,
            )
        )
    return found


def _mean(sums_X2: Floats) -> Floats:
    return np.asarray(sums_X2[..., 0] / sums_X2[..., 1])


def as_tables(
    run: str, split: str, signature: str, made: PredictedFrames, found: dict[str, Curve]
) -> str:
    """Both losses in all and by predicted frame."""
    shown = ", ".join(f"{name} {value:.2f}" for name, value in made.metrics().items())
    interval_of = f"{CONFIDENCE:.0%} interval"
    columns = ("frame", "cross-entropy", interval_of, "mse", interval_of)
    rows = [
        (nats.label, *_figures(nats), *_figures(squared))
        for nats, squared in zip(found[NATS], found[SQUARED], strict=True)
    ]
    return f"{run} on {split}, {made.noun}\n{signature}\n{shown}\n\n{aligned(columns, rows)}"


def _figures(group: Group) -> tuple[str, str]:
    return f"{group.value:.2f}", f"{group.low:.2f} to {group.high:.2f}"
