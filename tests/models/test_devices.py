"""Nothing that an architecture makes lies on another device than what it is given.

On torch's meta device, which has shapes and no numbers: what is made on the CPU does not mix.
"""

from __future__ import annotations

import pytest
import torch
from recurrence_cases import CASES, EVERY_CASE, INPUT_SIZE, Case

from bench.models.fast import elman_scan
from bench.models.fast.elman_scan import native_scan


@pytest.mark.parametrize("lengths", [None, [6, 3, 0]])
@EVERY_CASE
def test_everything_is_made_where_the_input_is(case: Case, lengths: list[int] | None) -> None:
    recurrence = case.build().to("meta")
    x_BTD = torch.empty(3, 6, INPUT_SIZE, dtype=torch.float64, device="meta", requires_grad=True)
    lengths_B = None if lengths is None else torch.tensor(lengths)
    y_BTH, state = recurrence(x_BTD, None, lengths_B)
    torch.autograd.backward(y_BTH.sum() + sum(part.sum() for part in state))
    made = [y_BTH, *state, x_BTD.grad, *(p.grad for p in recurrence.parameters())]
    assert {torch.as_tensor(part).device.type for part in made} == {"meta"}


@pytest.mark.parametrize("name", ["srn", "scrn"])
def test_so_it_is_with_the_library_s_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elman_scan, "elman_scan", native_scan)
    for module in ("srn", "scrn"):
        monkeypatch.setattr(f"bench.models.{module}.elman_scan", native_scan)
    for case in CASES:
        if case.name == name:
            test_everything_is_made_where_the_input_is(case, None)
