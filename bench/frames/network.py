"""Network that predicts frames around any causal recurrence.

    forecaster      given frames -> encoder -> state -> forecaster, which reads nothing -> frames
                    (Srivastava et al., 2015; Shi et al., 2015)
    free-running    given frames, then its own predictions -> the same recurrence -> frames

A sequence is that of whole frames, or, patch by patch, that of each place (Ranzato et al., 2014).
Predictions are logits of ink, pixel by pixel.

Shapes: B sequences, T frames, Y X pixels, R S rows and columns of patches, P = R S, D pixels of a
patch, N rows of the recurrence (B or B P), I its inputs, H its outputs at each of L places (the
patches, or 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.config import Count, Scalar
from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.models import build_recurrence
from bench.models.deep import Deep
from bench.models.recurrence import Recurrence, State

Reads = Literal["frame", "patch"]
Future = Literal["forecaster", "free-running", "teacher-forcing"]


class FramePredictionOptions(Frozen, frozen=True, kw_only=True):
    """Options of the `frame-prediction` objective."""

    batch_size: Count = 16
    """Sequences of a batch over all processes."""
    patch_size: Count = 4
    """Pixels of a side of the patches that a frame is cut into (Shi et al., 2015)."""
    reads: Reads = "frame"
    """frame: one sequence of whole frames, which conv-lstm reads as a grid of patches; patch: the
    sequence of each place by itself, with one network for all (Ranzato et al., 2014)."""
    surround: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    """Patches on each side that `patch` reads beside the one that is predicted."""
    future: Future = "forecaster"
    """forecaster: a second recurrence that reads nothing goes on from the state of the first;
    free-running: the only one reads what it has predicted; teacher-forcing: in training it reads
    the true frames, and predicts each next one."""
    readout: Literal["top", "all"] = "top"
    """Layers that predictions are made from."""


def to_patches(frames_BTYX: Tensor, size: int) -> Tensor:
    """Square patches of frames, row by row [B, T, P, D]."""
    B, T, Y, X = frames_BTYX.shape
    cut_BTRaSb = frames_BTYX.reshape(B, T, Y // size, size, X // size, size)
    return cut_BTRaSb.transpose(3, 4).reshape(B, T, -1, size**2)


def from_patches(patches_BTPD: Tensor, size: int, *, num_columns: int) -> Tensor:
    """Frames of their patches [B, T, Y, X]."""
    B, T, P, _ = patches_BTPD.shape
    cut_BTRSab = patches_BTPD.reshape(B, T, P // num_columns, num_columns, size, size)
    return cut_BTRSab.transpose(3, 4).reshape(B, T, -1, num_columns * size)


def with_surround(patches_BTPD: Tensor, num_beside: int, *, num_columns: int) -> Tensor:
    """Each patch with n on each side [B, T, P, (2n + 1)^2 D], black beyond the edges."""
    if num_beside == 0:
        return patches_BTPD
    B, T, P, D = patches_BTPD.shape
    maps_NDRS = patches_BTPD.reshape(B * T, P // num_columns, num_columns, D).permute(0, 3, 1, 2)
    found_NEP = F.unfold(maps_NDRS, 2 * num_beside + 1, padding=num_beside)
    return found_NEP.transpose(1, 2).reshape(B, T, P, -1)


GRID = ("num_rows", "num_columns")


class FrameNetwork(nn.Module):
    """Predictor of frames that are cut into patches."""

    def __init__(
        self, model: Mapping[str, Scalar], options: FramePredictionOptions, *, frame_size: int
    ) -> None:
        super().__init__()
        side, rest = divmod(frame_size, options.patch_size)
        if rest:
            raise BenchError(
                f"patches of {options.patch_size} pixels do not fill frames of {frame_size}: "
                "choose another objective.patch_size"
            )
        if options.surround and options.reads == "frame":
            raise BenchError("objective.surround is of patches: add --objective.reads patch")
        self.options, self.side, self.num_pixels = options, side, options.patch_size**2
        name = str(model["name"])
        settings = {key: value for key, value in model.items() if key != "name"}
        self.num_places = 1
        if options.reads == "frame" and set(GRID) <= set(settings):
            for key in GRID:
                if settings[key] not in (None, side):
                    raise BenchError(
                        f"model.{key} is {settings[key]}, the frames' grid of patches is {side} x "
                        f"{side}: leave it out"
                    )
            settings |= dict.fromkeys(GRID, side)
            self.num_places = side**2
        self.encoder = build_recurrence(name, self._input_size(), settings)
        self.forecaster: Recurrence | None = None
        if options.future == "forecaster":
            self.forecaster = build_recurrence(name, 0, settings)
        self._check(name)
        num_layers = int(settings["num_layers"] or 1) if options.readout == "all" else 1
        predicted = self.num_pixels * (side**2 if options.reads == "frame" else 1)
        self.output = nn.Linear(
            num_layers * self.encoder.output_size // self.num_places, predicted // self.num_places
        )

    def _input_size(self) -> int:
        if self.options.reads == "frame":
            return self.side**2 * self.num_pixels
        return (2 * self.options.surround + 1) ** 2 * self.num_pixels

    def _check(self, name: str) -> None:
        if not self.encoder.is_causal:
            raise BenchError("frames to come cannot be read: --model.direction has to be forward")
        forecaster = self.forecaster
        if forecaster and forecaster.state_shapes() != self.encoder.state_shapes():
            raise BenchError(
                f"the state of {name} is what it has read, which a forecaster does not: choose "
                "--objective.future free-running"
            )

    def forward(self, given_BTPD: Tensor, num_predicted: int) -> Tensor:
        """Logits of the frames after those given [B, num_predicted, P, D]."""
        y_NTLH, state = self._run(self.encoder, self._inputs(given_BTPD))
        if self.forecaster is not None:
            empty_NT0 = y_NTLH.new_empty(len(y_NTLH), num_predicted, 0)
            return self._logits(self._run(self.forecaster, empty_NT0, state)[0])
        logits = [self._logits(y_NTLH[:, -1:])]
        for _ in range(num_predicted - 1):
            y_NTLH, state = self._run(self.encoder, self._inputs(torch.sigmoid(logits[-1])), state)
            logits.append(self._logits(y_NTLH))
        return torch.cat(logits, dim=1)

    def next_frames(self, frames_BTPD: Tensor) -> Tensor:
        """Logits of the frame after each true one [B, T, P, D]."""
        return self._logits(self._run(self.encoder, self._inputs(frames_BTPD))[0])

    def _inputs(self, frames_BTPD: Tensor) -> Tensor:
        """Inputs of the recurrence [N, T, I]."""
        if self.options.reads == "frame":
            return frames_BTPD.flatten(2)
        seen_BTPI = with_surround(frames_BTPD, self.options.surround, num_columns=self.side)
        return seen_BTPI.transpose(1, 2).flatten(0, 1)

    def _run(
        self, recurrence: Recurrence, x_NTI: Tensor, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Outputs that predictions are made from [N, T, L, H], and the state after them."""
        if self.options.readout == "all" and isinstance(recurrence, Deep):
            layers, after = recurrence.layer_outputs(x_NTI, state)
        else:
            y_NTH, after = recurrence(x_NTI, state)
            layers = [y_NTH]
        places = [y.reshape(*y.shape[:2], self.num_places, -1) for y in layers]
        return torch.cat(places, dim=3), after

    def _logits(self, y_NTLH: Tensor) -> Tensor:
        """Logits of every pixel [B, T, P, D]."""
        num_patches, num_steps = self.side**2, y_NTLH.shape[1]
        logits: Tensor = self.output(y_NTLH)
        if self.options.reads == "frame":
            return logits.reshape(-1, num_steps, num_patches, self.num_pixels)
        return logits.reshape(-1, num_patches, num_steps, self.num_pixels).transpose(1, 2)

    def flops(self, *, num_given: int, num_predicted: int) -> int:
        """Operations of a forward pass over a sequence, matrix products and convolutions only."""
        second = self.forecaster or self.encoder
        num_outputs, num_later = num_predicted, num_predicted - (self.forecaster is None)
        if self.options.future == "teacher-forcing":
            num_outputs = num_later + num_given
        recurrent = num_given * self.encoder.flops_per_step() + num_later * second.flops_per_step()
        output = num_outputs * self.num_places * 2 * self.output.weight.numel()
        return (recurrent + output) * (1 if self.options.reads == "frame" else self.side**2)
