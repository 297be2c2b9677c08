"""The contract of baselines: models that learn by counting or storing, without a gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bench.core.config import RunConfig
from bench.core.outcome import Outcome

Report: TypeAlias = Callable[[str], None]
"""Called with one line of text for each thing that a user should know."""


class Baseline(ABC):
    """A model without recurrent training; its options are its constructor's keyword arguments."""

    @abstractmethod
    def measure(
        self,
        config: RunConfig,
        corpus: Any,
        folder: Path,
        *,
        splits: Sequence[str],
        report: Report | None = None,
    ) -> Outcome:
        """Fit to the training split, evaluate `splits` and keep their outputs in `folder`."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Numbers that the fitted model stores and predicts with."""
