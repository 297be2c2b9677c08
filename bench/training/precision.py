"""In which precision a training computes, and what its steps need for it.

Weights, optimiser, losses and every evaluation are float32 throughout, so numbers of runs in
different precisions can stand beside each other. `precision` is of the training steps: products
and what follows them in half precision by autocast (P. Micikevicius et al., "Mixed precision
training", ICLR 2018), float16 with a loss scale that Lightning keeps in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from bench.core.config import TrainerConfig
from bench.core.errors import BenchError


class MixedTraining(MixedPrecision):
    """Autocast in training steps only."""

    @contextmanager
    def val_step_context(self) -> Iterator[None]:
        yield

    @contextmanager
    def test_step_context(self) -> Iterator[None]:
        yield


def precision_plugins(trainer: TrainerConfig) -> list[Any]:
    """Plugins of Lightning's Trainer for the configured precision."""
    if trainer.precision == "32":
        return []
    return [MixedTraining(trainer.precision, "cuda" if uses_cuda(trainer) else "cpu")]


def autocast(trainer: TrainerConfig, device: torch.device) -> torch.autocast:
    """The context of a training step's forward pass outside Lightning."""
    dtype = torch.bfloat16 if trainer.precision == "bf16-mixed" else torch.float16
    is_mixed = trainer.precision != "32"
    return torch.autocast(device.type, dtype=dtype, enabled=is_mixed, cache_enabled=False)


def uses_cuda(trainer: TrainerConfig) -> bool:
    """Return True where this configuration trains on a GPU here."""
    return trainer.accelerator != "cpu" and torch.cuda.is_available()


def set_float32(trainer: TrainerConfig) -> None:
    """Let float32 products on a GPU be exact, or TF32 where that is asked for.

    By itself the library computes recurrences and convolutions in TF32. Raises BenchError where
    TF32 is asked of a CPU.
    """
    if trainer.products == "tf32" and trainer.accelerator == "cpu":
        raise BenchError(
            "trainer.products is tf32, which only GPUs compute: add --trainer.accelerator gpu, or "
            "choose bfloat16 or float32"
        )
    is_chosen = trainer.products == "tf32"
    # The older switches: after the newer ones the library refuses to tell what the older are.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = is_chosen


def precision_in_effect(trainer: TrainerConfig, products: str) -> str:
    """Precision of products for the record; `products` names those that autocast leaves alone."""
    return products if trainer.precision == "32" else f"{trainer.precision}, softmax {products}"
