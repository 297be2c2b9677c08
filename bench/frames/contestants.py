"""Training steps of predictors of frames beside plain programs.

Shapes: B sequences, T frames, K predicted frames, R S grid of patches, D pixels of a patch, H
maps or hidden units, P = R S, X pixels of a frame.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.data.corpora import Corpus
from bench.frames.data.batches import FrameBatch
from bench.frames.data.motion import INK
from bench.frames.network import to_patches
from bench.frames.objective import FramePrediction
from bench.models.deep import Deep
from bench.runs.resolve import Resolved
from bench.speed.contest import (
    Contestant,
    PlainSteps,
    SpeedReport,
    contest,
    heading,
    num_weights,
    shipped_contestant,
    timed_objective,
)
from bench.speed.machine import device_name


def frames_speed(resolved: Resolved, corpus: Corpus, *, num_rounds: int) -> SpeedReport:
    """Training steps of the shipped path, of its plain loop and of a plain program."""
    objective = timed_objective(FramePrediction, resolved, corpus)
    shipped, options = shipped_contestant(objective), objective.options
    plain = [
        Contestant(name=name, program=PlainSteps(model, objective), batches=shipped.batches)
        for name, model in _plain_models(objective).items()
    ]
    return SpeedReport(
        heading=heading(
            resolved,
            f"reads {options.reads}",
            f"{num_weights(objective):,} weights",
            f"batches of {options.batch_size} sequences",
            f"products {objective.products_in_effect}",
            device_name(objective.device),
        ),
        tables=[contest(objective, [shipped, *plain], unit="frames", num_rounds=num_rounds)],
    )


def _plain_models(objective: FramePrediction) -> dict[str, nn.Module]:
    """Models to stand beside; networks of patches have only their plain loop."""
    models: dict[str, nn.Module] = {}
    network = objective.network
    if objective.options.readout == "top" or not isinstance(network.encoder, Deep):
        models["plain loop, the same weights"] = PlainLoop(objective)
    if objective.options.reads == "frame" and network.forecaster is not None:
        if network.num_places > 1:
            models["plain nn.Conv2d cell"] = PlainConvolutional(objective)
        else:
            models["plain nn.LSTM"] = PlainDense(objective)
    return models


class PlainCell(nn.Module):
    """Convolutional LSTM cell without peepholes, its gates in one convolution."""

    def __init__(self, num_channels: int, num_maps: int, kernel_size: int) -> None:
        super().__init__()
        num_inputs, padding = num_channels + num_maps, kernel_size // 2
        self.conv = nn.Conv2d(num_inputs, 4 * num_maps, kernel_size, padding=padding)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Next h and c [B, H, R, S]."""
        i, f, o, g = self.conv(torch.cat([x, state[0]], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class PlainConvolutional(nn.Module):
    """Encoder and forecaster of plain cells, in Python loops over layers and time.

    The forecaster reads zeros; a 1 x 1 convolution maps its states to pixels.
    """

    def __init__(self, objective: FramePrediction) -> None:
        super().__init__()
        model, self.corpus = objective.config.model, objective.corpus
        num_layers, self.num_maps = int(model["num_layers"] or 1), int(model["hidden_size"] or 0)
        kernel = int(model["state_kernel_size"] or 1)
        self.size, self.side = objective.options.patch_size, objective.network.side
        sizes = [self.size**2, *[self.num_maps] * (num_layers - 1)]
        self.encoder = nn.ModuleList(PlainCell(size, self.num_maps, kernel) for size in sizes)
        self.forecaster = nn.ModuleList(PlainCell(size, self.num_maps, kernel) for size in sizes)
        self.output = nn.Conv2d(self.num_maps, self.size**2, 1)

    def forward(self, batch: FrameBatch) -> Tensor:
        """Mean loss over the predicted frames."""
        frames = to_patches(batch.frames.float() / INK, self.size)
        grid = (*frames.shape[:2], self.side, self.side, -1)
        maps = frames.reshape(grid).permute(0, 1, 4, 2, 3)
        zero = maps.new_zeros(len(maps), self.num_maps, self.side, self.side)
        state = [(zero, zero)] * len(self.encoder)
        for t in range(self.corpus.num_given):
            state = _step(self.encoder, maps[:, t], state)
        logits = []
        for _ in range(self.corpus.num_predicted):
            state = _step(self.forecaster, torch.zeros_like(maps[:, 0]), state)
            logits.append(self.output(state[-1][0]))
        return _mean_loss(torch.stack(logits, dim=1), maps[:, self.corpus.num_given :])


def _step(
    cells: nn.ModuleList, x: Tensor, state: list[tuple[Tensor, Tensor]]
) -> list[tuple[Tensor, Tensor]]:
    """Next h and c of each layer."""
    after = []
    for cell, before in zip(cells, state, strict=True):
        x, c = cell(x, before)
        after.append((x, c))
    return after


class PlainDense(nn.Module):
    """`nn.LSTM` over whole frames, of as many hidden units and layers."""

    def __init__(self, objective: FramePrediction) -> None:
        super().__init__()
        model, self.corpus = objective.config.model, objective.corpus
        hidden, num_layers = int(model["hidden_size"] or 0), int(model["num_layers"] or 1)
        num_pixels = self.corpus.frame_size**2
        self.encoder = nn.LSTM(num_pixels, hidden, num_layers, batch_first=True)
        self.forecaster = nn.LSTM(1, hidden, num_layers, batch_first=True)
        self.output = nn.Linear(hidden, num_pixels)

    def forward(self, batch: FrameBatch) -> Tensor:
        """Mean loss over the predicted frames."""
        x_BTX = (batch.frames.float() / INK).flatten(2)
        num_given, num_predicted = self.corpus.num_given, self.corpus.num_predicted
        _, state = self.encoder(x_BTX[:, :num_given])
        zeros_BK1 = x_BTX.new_zeros(len(x_BTX), num_predicted, 1)
        logits_BKX = self.output(self.forecaster(zeros_BK1, state)[0])
        return _mean_loss(logits_BKX, x_BTX[:, num_given:])


class PlainLoop(nn.Module):
    """The configured network with plain loops over its recurrences' equations."""

    def __init__(self, objective: FramePrediction) -> None:
        super().__init__()
        self.objective = copy.deepcopy(objective)
        for module in (self.objective.network.encoder, self.objective.network.forecaster):
            if module is not None:
                module.forward = module.forward_reference  # type: ignore[method-assign]

    def forward(self, batch: FrameBatch) -> Tensor:
        """Mean loss over the predicted frames."""
        loss, count = self.objective.batch_loss(batch)
        return loss / count


def _mean_loss(logits: Tensor, target: Tensor) -> Tensor:
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    return loss / (logits.shape[0] * logits.shape[1])
