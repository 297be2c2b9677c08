"""Predicted frames of a split, kept beside the weights of a run, and their losses.

    frames-test.npz    losses of every sequence and predicted frame; pixels of the first sequences
    frames-test.png    these sequences as strips: the true frames, and below the predicted ones

Shapes: N sequences, K predicted frames, n sequences shown, T given frames, Y X pixels.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from bench.core.aligned import aligned
from bench.core.errors import BenchError
from bench.core.record import Record, write_atomically
from bench.core.statistics import CONFIDENCE
from bench.runs.error_curves import Curve, Group, curve
from bench.runs.outputs import ErrorOptions, ErrorReport, Outputs, refuse_blocks

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
NUM_SHOWN = 8
"""The first sequences of a split are shown, whatever became of them."""
MARGIN, BACKGROUND = 2, 96
SMALL = 48
"""Pixels of a side below which a frame is drawn larger."""
NATS, SQUARED = "predicted frame (cross-entropy, nats)", "predicted frame (squared error)"


def signatures(*, frame_size: int, num_given: int, num_predicted: int) -> dict[str, str]:
    """Name of each metric -> its definition."""
    how = f"given:{num_given}|predicted:{num_predicted}|size:{frame_size}"
    return {
        "cross-entropy": f"cross-entropy|unit:frame|pixels:sum|log:nats|{how}",
        "mse": f"mse|unit:frame|pixels:sum|{how}",
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceLosses:
    """Sequences as units; the statistics are nats, frames and squared error [N, 3]."""

    sums: Floats

    @property
    def noun(self) -> str:
        return f"{len(self.sums):,} sequences of {self.sums[0, 1]:.0f} predicted frames"

    @property
    def method(self) -> str:
        return "losses in nats are added over sequences and divided by the number of frames"

    def metric(self, sums_XK: Floats) -> Floats:
        return np.asarray(sums_XK[..., 0] / sums_XK[..., 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictedFrames(Outputs):
    """Losses of all predicted frames of a split, in its order, and pixels of the first sequences.

    `cross_entropy`, in nats, and `squared_error` are summed over pixels between 0 and 1 [N, K].
    `given` [n, T, Y, X]; `true` and `predicted` [n, K, Y, X].
    """

    noun: ClassVar[str] = "predicted frames"

    cross_entropy: Floats
    squared_error: Floats
    given: Pixels
    true: Pixels
    predicted: Pixels

    @classmethod
    def path(cls, folder: Path, split: str) -> Path:
        return folder / f"frames-{split}.npz"

    @classmethod
    def read(cls, folder: Path, split: str, record: Record | None = None) -> Self | None:
        del record  # the arrays say all that is needed
        path = cls.path(folder, split)
        if not path.is_file():
            return None
        try:
            with np.load(path) as arrays:
                return cls(**{key: arrays[key] for key in arrays})
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise BenchError(f"{path}: damaged ({error}); delete it") from None

    def write(self, folder: Path, split: str) -> None:
        """Keep the predictions and draw the shown sequences."""
        file, path = io.BytesIO(), self.path(folder, split)
        np.savez_compressed(file, **{each.name: getattr(self, each.name) for each in fields(self)})
        write_atomically(path, file.getvalue())
        from PIL import Image

        picture = io.BytesIO()
        Image.fromarray(strips(self)).save(picture, "PNG", optimize=True)
        write_atomically(path.with_suffix(".png"), picture.getvalue())

    @property
    def signatures(self) -> dict[str, str]:
        """Name of each metric -> its definition."""
        return signatures(
            frame_size=self.given.shape[-1],
            num_given=self.given.shape[1],
            num_predicted=self.true.shape[1],
        )

    def metrics(self) -> dict[str, float]:
        """Cross-entropy and mse, means over all predicted frames."""
        nats, frames, squared = self.units().sums.sum(0).tolist()
        return {"cross-entropy": nats / frames, "mse": squared / frames}

    def value(self) -> float:
        return self.metrics()["cross-entropy"]

    def tolerance(self, expected: float) -> float:
        return 1e-4 * expected  # rounding adds up in frames that follow from each other

    def units(self, block_length: int | None = None) -> SequenceLosses:
        refuse_blocks(block_length, what="frames", unit="sequences")
        frames_N = np.full(len(self.cross_entropy), self.cross_entropy.shape[1])
        found = (self.cross_entropy.sum(1), frames_N, self.squared_error.sum(1))
        return SequenceLosses(sums=np.stack(found, axis=1).astype(np.float64))

    def samples(self) -> None:
        return None

    def errors(self, options: ErrorOptions) -> ErrorReport:
        """Both losses in all and by predicted frame: how they grow the further ahead it is."""
        heading = f"{options.run} on {options.split}, {self.units().noun}"
        means = ", ".join(f"{name} {value:.2f}" for name, value in self.metrics().items())
        curves = {NATS: _by_frame(self.cross_entropy), SQUARED: _by_frame(self.squared_error)}
        return ErrorReport(
            text=f"{heading}\n{self.signatures['cross-entropy']}\n{means}\n\n{_table(curves)}",
            picture=f"losses-{options.split}.png",
            curves=curves,
            axis="a frame",
            notes=[f"strips {self.path(options.folder, options.split).with_suffix('.png')}"],
        )


def _by_frame(loss_NK: Floats) -> Curve:
    """Mean loss of each predicted frame, with intervals over sequences."""
    frame_U = np.tile(np.arange(1.0, loss_NK.shape[1] + 1), len(loss_NK))
    losses = SequenceLosses(sums=np.stack([loss_NK.ravel(), np.ones(loss_NK.size)], axis=1))
    return curve(losses.sums, losses.metric, frame_U, frame_U.astype(np.intp))


def _table(curves: dict[str, Curve]) -> str:
    columns = ["frame"]
    for name in ("cross-entropy", "mse"):
        columns += [name, f"{CONFIDENCE:.0%} interval"]
    rows = [
        (nats.label, *_cells(nats), *_cells(squared))
        for nats, squared in zip(curves[NATS], curves[SQUARED], strict=True)
    ]
    return aligned(columns, rows)


def _cells(group: Group) -> tuple[str, str]:
    return f"{group.value:.2f}", f"{group.low:.2f} to {group.high:.2f}"


def strips(frames: PredictedFrames) -> Pixels:
    """Grey picture of the shown sequences: true frames, and the prediction below the future."""
    scale = -(-SMALL // frames.given.shape[-1])
    blank = np.full_like(frames.given, BACKGROUND)
    rows: list[Pixels] = []
    for given, nothing, true, predicted in zip(
        frames.given, blank, frames.true, frames.predicted, strict=True
    ):
        rows += [_row([*given, *true], scale), _row([*nothing, *predicted], scale)]
        rows.append(np.full((2 * MARGIN, rows[0].shape[1]), BACKGROUND, np.uint8))
    return np.concatenate(rows[:-1])


def _row(frames: list[Pixels], scale: int) -> Pixels:
    """Frames side by side, larger, with a margin at the right and below."""
    larger = [frame.repeat(scale, axis=0).repeat(scale, axis=1) for frame in frames]
    edges = ((0, MARGIN), (0, MARGIN))
    return np.concatenate([np.pad(x, edges, constant_values=BACKGROUND) for x in larger], axis=1)
