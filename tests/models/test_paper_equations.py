"""One step of each architecture against the papers' equations, written out in numpy.

Shapes: D input, H hidden; vectors have no batch dimension here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.models import build_recurrence
from bench.models.recurrence import Recurrence

Array = NDArray[np.float64]
Weights = dict[str, Array]
Equations = Callable[[Weights, Array, list[Array]], list[Array]]
H = 3


def sigma(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


def srn(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    (h,) = state
    h = sigma(w["A_HD"] @ x + w["R_HH"] @ h)
    return [h, h]


def scrn(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    h, s = state
    s = 0.05 * w["B_CD"] @ x + 0.95 * s
    h = sigma(w["P_HC"] @ s + w["A_HD"] @ x + w["R_HH"] @ h)
    return [np.concatenate([h, s]), h, s]


def scrn_of_the_code(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    h, s = state
    h = sigma(w["P_HC"] @ s + w["A_HD"] @ x + w["R_HH"] @ h)
    s = 0.05 * w["B_CD"] @ x + 0.95 * s
    return [np.concatenate([h, s]), h, s]


def gru(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    (h,) = state
    (W_r, W_z, W), (U_r, U_z, U), (b_r, b_z, b) = (np.split(w[k], 3) for k in w)
    r, z = sigma(W_r @ x + U_r @ h + b_r), sigma(W_z @ x + U_z @ h + b_z)
    h = (1 - z) * h + z * np.tanh(W @ x + U @ (r * h) + b)
    return [h, h]


def lstm(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    h, c = state
    (W_i, W_f, W_g, W_o), (U_i, U_f, U_g, U_o) = (np.split(w[k], 4) for k in ("W_GD", "U_GH"))
    b_i, b_f, b_g, b_o = np.split(w["b_G"], 4)
    P_i, P_f, P_o = (np.diag(p) for p in np.split(w["P_Q"], 3))
    i = sigma(W_i @ x + U_i @ h + P_i @ c + b_i)
    f = sigma(W_f @ x + U_f @ h + P_f @ c + b_f)
    c = f * c + i * np.tanh(W_g @ x + U_g @ h + b_g)
    o = sigma(W_o @ x + U_o @ h + P_o @ c + b_o)
    h = o * np.tanh(c)
    return [h, h, c]


def lstm_coupled(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    h, c = state
    (W_f, W_g, W_o), (U_f, U_g, U_o) = (np.split(w[k], 3) for k in ("W_GD", "U_GH"))
    b_f, b_g, b_o = np.split(w["b_G"], 3)
    P_f, P_o = np.split(w["P_QH"], 2)
    f = sigma(np.hstack([P_f, U_f, W_f]) @ np.concatenate([c, h, x]) + b_f)
    c = f * c + (1 - f) * np.tanh(W_g @ x + U_g @ h + b_g)
    o = sigma(np.hstack([P_o, U_o, W_o]) @ np.concatenate([c, h, x]) + b_o)
    h = o * np.tanh(c)
    return [h, h, c]


def jordan(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    (o,) = state
    h = np.tanh(w["W_x_HD"] @ x + w["W_o_HO"] @ o + w["b_H"])
    return [h, sigma(w["W_y_OH"] @ h + w["b_y_O"])]


def tdnn(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    (past,) = state
    W_2, W_1, W_0 = np.split(w["W_HW"], 3, axis=1)
    h = np.tanh(w["b_H"] + W_0 @ x + W_1 @ past[-1] + W_2 @ past[-2])
    return [h, np.stack([past[-1], x])]


def wavenet(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    v, total, after = w["E_HD"] @ x, np.zeros(H), []
    for block, past in enumerate(state):
        after.append(np.vstack([past[1:], v]))
        taps = w[f"blocks.{block}.W_GH"] @ v + w[f"blocks.{block}.V_GH"] @ past[-(2**block)]
        a_f, a_g = np.split(taps + w[f"blocks.{block}.b_G"], 2)
        z = np.tanh(a_f) * sigma(a_g)
        total = total + w[f"blocks.{block}.W_s_HH"] @ z
        v = v + w.get(f"blocks.{block}.W_r_HH", np.zeros((H, H))) @ z
    return [np.maximum(total, 0), *after]


def convolved(kernel: Array, maps: Array) -> Array:
    """Kernels [G, C, K, K] over maps of a grid of two by two [C, 2, 2], zeros beyond its edges."""
    size = kernel.shape[2] // 2
    found = np.zeros((len(kernel), 2, 2))
    for r, s, dr, ds in np.ndindex(2, 2, *kernel.shape[2:]):
        row, column = r + dr - size, s + ds - size
        if row in (0, 1) and column in (0, 1):
            found[:, r, s] += kernel[:, :, dr, ds] @ maps[:, row, column]
    return found


def conv_lstm(w: Weights, x: Array, state: list[Array]) -> list[Array]:
    x, h, c = (part.reshape(2, 2, -1).transpose(2, 0, 1) for part in (x, *state))
    P_i, P_f, P_o = (p[:, None, None] for p in np.split(w["P_Q"], 3))
    a = convolved(w["W_GCKK"], x) + convolved(w["U_GHKK"], h) + w["b_G"][:, None, None]
    a_i, a_f, a_g, a_o = np.split(a, 4)
    i, f = sigma(a_i + P_i * c), sigma(a_f + P_f * c)
    c = f * c + i * np.tanh(a_g)
    h = sigma(a_o + P_o * c) * np.tanh(c)
    flat: list[Array] = [part.transpose(1, 2, 0).ravel() for part in (h, h, c)]
    return flat


@pytest.mark.parametrize(
    ("name", "options", "equations"),
    [
        ("conv-lstm", {"num_rows": 2, "num_columns": 2, "state_kernel_size": 3}, conv_lstm),
        ("srn", {}, srn),
        ("scrn", {"context_size": 2}, scrn),
        ("scrn", {"context_size": 2, "context_input": "previous"}, scrn_of_the_code),
        ("gru", {}, gru),
        ("lstm", {"peephole": "diagonal"}, lstm),
        ("lstm", {"peephole": "full", "gates": "coupled"}, lstm_coupled),
        ("jordan", {"feedback_size": 2}, jordan),
        ("tdnn", {"window_length": 3}, tdnn),
        ("wavenet", {"num_dilations": 3}, wavenet),
    ],
)
def test_step(name: str, options: dict[str, object], equations: Equations) -> None:
    torch.manual_seed(1)
    general: dict[str, object] = {"hidden_size": H, "init_scale": 0.9}
    recurrence: Recurrence = build_recurrence(name, 4, general | options).double()
    x_BD = torch.randn(1, 4, dtype=torch.float64)
    state = tuple(torch.randn_like(part) for part in recurrence.initial_state(1, x_BD))
    weights = {k: v.detach().numpy() for k, v in recurrence.named_parameters()}
    expected = equations(weights, x_BD[0].numpy(), [part[0].numpy() for part in state])
    y_BTH, after = recurrence(x_BD.unsqueeze(1), state)
    got = [y_BTH[0, 0], *(part[0] for part in after)]
    for value, wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(value.detach().numpy(), wanted, rtol=1e-12, atol=1e-12)
