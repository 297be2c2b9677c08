"""How predictions of frames get worse the further ahead they are.

Shapes: N sequences, K predicted frames.
"""

from __future__ import annotations

import numpy as np

from bench.cli.listing import aligned
from bench.core.statistics import CONFIDENCE
from bench.frames.outputs import PredictedFrames
from bench.runs.error_curves import Curve, Floats, Group, interval

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
