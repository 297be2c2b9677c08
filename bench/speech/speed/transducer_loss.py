"""The transducer's loss and gradient beside what one writes first, and torchaudio's where it is.

Shapes: B utterances, T frames, U labels, S = U + 1 positions, V outputs, of which 0 is the blank.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.cli.listing import aligned
from bench.speech.transducer.loss import transducer_loss
from bench.speed.timing import CPU, take_turns

LATTICE = (8, 100, 20, 62)
"""Utterances, frames, labels and outputs of the timed losses; the plain loops take their time."""


def loss_report(num_rounds: int, device: torch.device = CPU) -> str:
    """The transducer's loss and gradient: shipped, and by a loop over frames and labels."""
    B, T, U, V = LATTICE
    z_BTSV = torch.randn(B, T, U + 1, V, device=device, requires_grad=True)
    target_BU = torch.randint(1, V, (B, U), device=device)
    frames_B, labels_B = (torch.full((B,), length, device=device) for length in (T, U))

    def call(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def forward_and_backward() -> None:
            z_BTSV.grad = None
            torch.autograd.backward(loss())

        return forward_and_backward

    contestants = {
        "shipped": call(lambda: transducer_loss(z_BTSV, target_BU, frames_B, labels_B).sum()),
        "plain double loop": call(lambda: plain_transducer_loss(z_BTSV, target_BU).sum()),
        **_of_torchaudio(z_BTSV, target_BU, call),
    }
    timings = take_turns(contestants, num_rounds=num_rounds, warm_up=1, device=device)
    shipped_sec = timings["shipped"].median_sec
    rows = [
        (name, f"{1e3 * timing.median_sec:.1f}", f"{timing.median_sec / shipped_sec:.1f}")
        for name, timing in timings.items()
    ]
    title = f"transducer loss, {B} utterances, {T} frames, {U} labels, {V} outputs"
    return f"{title}\n{aligned(('forward and backward', 'ms', 'x shipped'), rows)}"


def plain_transducer_loss(z_BTSV: Tensor, target_BU: Tensor) -> Tensor:
    """-log Pr(y | x) [B] of full lattices, a node at a time, differentiated by the library.

    A. Graves (2012), equation 16: alpha(t, u) = alpha(t-1, u) blank(t-1, u) + alpha(t, u-1)
    y(t, u-1).
    """
    B, T, S, _ = z_BTSV.shape
    log_p_BTSV = F.log_softmax(z_BTSV, dim=3)
    blank_BTS = log_p_BTSV[..., 0]
    index = target_BU[:, None, :, None].expand(B, T, S - 1, 1)
    label_BTU = log_p_BTSV[:, :, :-1].gather(3, index)[..., 0]
    none_B = z_BTSV.new_full((B,), -math.inf)
    before: list[Tensor] = []
    for t in range(T):
        row: list[Tensor] = []
        for u in range(S):
            down_B = before[u] + blank_BTS[:, t - 1, u] if t else none_B
            right_B = row[u - 1] + label_BTU[:, t, u - 1] if u else none_B
            first = t == 0 and u == 0
            row.append(torch.zeros_like(none_B) if first else torch.logaddexp(down_B, right_B))
        before = row
    return -(before[-1] + blank_BTS[:, -1, -1])


def _of_torchaudio(
    z_BTSV: Tensor,
    target_BU: Tensor,
    call: Callable[[Callable[[], Tensor]], Callable[[], None]],
) -> dict[str, Callable[[], None]]:
    """Torchaudio's loss where a machine has it."""
    try:
        rnnt_loss = importlib.import_module("torchaudio.functional").rnnt_loss
    except (ImportError, OSError):  # absent, or built for another torch
        return {}
    B, T, S, _ = z_BTSV.shape
    lengths = (T, S - 1)
    frames_B, labels_B = (
        torch.full((B,), length, dtype=torch.int32, device=z_BTSV.device) for length in lengths
    )

    def loss() -> Tensor:
        found: Tensor = rnnt_loss(z_BTSV, target_BU.int(), frames_B, labels_B, blank=0)
        return found.sum()

    return {"torchaudio": call(loss)}
