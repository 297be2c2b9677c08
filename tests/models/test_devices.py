"""Tensors of an architecture are on the device of its input.

Tested on torch's meta device, which has shapes and no numbers, and does not mix with the CPU.
"""

from __future__ import annotations

import pytest
import torch
from recurrence_cases import CASES, EVERY_CASE, INPUT_SIZE, Case

from bench.models.fast import elman_scan
from bench.models.fast.elman_scan import native_scan


@pytest.mark.parametrize("lengths", [None, [6, 3, 0]])
@EVERY_CASE
def test_tensors_are_created_on_the_device_of_the_input(
    case: Case, lengths: list[int] | None
) -> None:
    recurrence = case.build().to("meta")
    x_BTD = torch.empty(3, 6, INPUT_SIZE, dtype=torch.float64, device="meta", requires_grad=True)
    lengths_B = None if lengths is None else torch.tensor(lengths)
    y_BTH, state = recurrence(x_BTD, None, lengths_B)
    torch.autograd.backward(y_BTH.sum() + sum(part.sum() for part in state))
    made = [y_BTH, *state, x_BTD.grad, *(p.grad for p in recurrence.parameters())]
    assert {torch.as_tensor(part).device.type for part in made} == {"meta"}


@pytest.mark.parametrize("name", ["srn", "scrn"])
def test_native_kernels_create_tensors_on_the_device_of_the_input(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elman_scan, "elman_scan", native_scan)
    for module in ("srn", "scrn"):
        monkeypatch.setattr(f"bench.models.{module}.elman_scan", native_scan)
    for case in CASES:
        if case.name == name:
            test_tensors_are_created_on_the_device_of_the_input(case, None)
