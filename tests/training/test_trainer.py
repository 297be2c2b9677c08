"""What the Trainer sets of the libraries beneath it."""

from __future__ import annotations

import warnings

import pytest
import torch

from bench.core.config import TrainerConfig
from bench.training.fit import make_trainer, quiet_lightning


def test_float32_is_float32_on_a_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    make_trainer(TrainerConfig(), [], None)
    assert not torch.backends.cudnn.allow_tf32


def test_advice_on_weights_made_for_a_call_is_not_passed_on() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with quiet_lightning():
            warnings.warn("RNN module weights are not part of single chunk", stacklevel=1)
            warnings.warn("something else", stacklevel=1)
    assert [str(one.message) for one in said] == ["something else"]
