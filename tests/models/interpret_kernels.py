"""Differences of the recurrences by fused kernels, in Triton's interpreter, from the plain loops.

A process of its own, since Triton decides when it is imported whether it interprets. Prints JSON:
case -> largest differences of values and gradients from the plain loop in float64.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch
from remembered import remember
from torch import Tensor

from bench.models import build_recurrence
from bench.models.fast import cuda_graphs, fusion
from bench.models.fast.gru_scan import steps_for as gru_steps_for
from bench.models.fast.lstm_scan import LSTMLoop, steps_for
from bench.models.recurrence import Recurrence

INPUT_SIZE = 6
CASES: dict[str, tuple[str, dict[str, object]]] = {
    "diagonal": ("lstm", {"peephole": "diagonal"}),
    "coupled": ("lstm", {"gates": "coupled"}),
    "diagonal coupled": ("lstm", {"peephole": "diagonal", "gates": "coupled"}),
    "full": ("lstm", {"peephole": "full"}),
    "gru": ("gru", {"reset": "before"}),
    "map": ("conv-lstm", {"num_rows": 2, "num_columns": 3, "state_kernel_size": 3}),
    "more than a block": ("lstm", {"peephole": "diagonal", "hidden_size": 150}),
    "gru, more than a block": ("gru", {"hidden_size": 150}),
}
LENGTHS: dict[str, list[int] | None] = {"all steps": None, "ragged": [4, 1, 0]}


def results(recurrence: Recurrence, x_BTD: Tensor, lengths_B: Tensor | None) -> list[Tensor]:
    """Values, then gradients, of a functional of outputs and state."""
    x_BTD = x_BTD.clone().requires_grad_()
    run = recurrence if fusion.FUSED_ON else recurrence.forward_reference
    y_BTH, state = run(x_BTD, None, lengths_B)
    loss = sum((part * part.detach().cos()).sum() for part in (y_BTH, *state))
    found = [y_BTH, *state, *torch.autograd.grad(loss, [x_BTD, *recurrence.parameters()])]
    return [tensor.detach().double() for tensor in found]


def difference(first: list[Tensor], second: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


def differences() -> dict[str, float]:
    """Largest differences of every case, with and without lengths, in both precisions."""
    found = {}
    for case, (name, options) in CASES.items():
        torch.manual_seed(1)
        sizes = {"hidden_size": 5, "init_scale": 0.5, "kernel_size": 3}
        if name != "conv-lstm":
            sizes.pop("kernel_size")
        recurrence = build_recurrence(name, INPUT_SIZE, sizes | options).double()
        x_BTD = torch.randn(3, 4, INPUT_SIZE, dtype=torch.float64)
        for manner, lengths in LENGTHS.items():
            lengths_B = None if lengths is None else torch.tensor(lengths)
            fusion.FUSED_ON.clear()
            expected = results(recurrence.double(), x_BTD, lengths_B)
            fusion.FUSED_ON.add("cpu")
            for dtype in (torch.float64, torch.float32):
                got = results(recurrence.to(dtype), x_BTD.to(dtype), lengths_B)
                found[f"{case}, {manner}, {dtype}"] = difference(got, expected)
    return found


def one_sided() -> dict[str, float]:
    """Differences where only h or only c has a gradient, from states that are not contiguous."""
    torch.manual_seed(1)
    fusion.FUSED_ON.add("cpu")
    h_BH, c_BH = torch.randn(2, 5, 3, dtype=torch.float64).transpose(1, 2).unbind(0)
    shapes = (4, 3, 20), (20, 5), (15,)
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    found = {}
    for place, name in enumerate("hc"):
        both = []
        for places in ({"cpu"}, set[str]()):
            fusion.FUSED_ON.clear()
            fusion.FUSED_ON.update(places)
            out = LSTMLoop.apply(*inputs, h_BH, c_BH)[place]  # type: ignore[no-untyped-call]
            both.append([out, *torch.autograd.grad(out.square().sum(), inputs)])
        found[f"gradient of {name} alone"] = difference(*both)
    return found


def replayed() -> dict[str, float]:
    """Graphs over fused kernels: the path of a GPU, with a stand-in for the graph."""
    cuda_graphs.REPLAYED_ON.add("cpu")
    cuda_graphs.GRAPHS = cuda_graphs.GraphCache(remember, record_at_call=1)
    cuda_graphs.MIN_STEPS = 1
    found = {f"replayed: {case}": worst for case, worst in differences().items()}
    assert len(cuda_graphs.GRAPHS) > 0
    return found


if __name__ == "__main__":
    fusion.FUSED_ON.add("cpu")
    x = torch.ones(1)
    steps = [steps_for(x, None), steps_for(x, torch.ones(1)), gru_steps_for(x)]
    paths = [backward.__module__ for _, backward in steps]
    values = differences() | one_sided()
    CASES = {case: CASES[case] for case in ("diagonal coupled", "gru")}
    json.dump({"paths": paths, "differences": values | replayed()}, sys.stdout)
