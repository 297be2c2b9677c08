"""The learning rate over epochs, and when to stop; validation decides, exactly resumable."""

from __future__ import annotations

from typing import Any

from bench.core.config import OptimConfig


class Schedule:
    """Learning rate and stopping after the papers' rules.

    constant  lr
    plateau   lr / shrink^k, k grows when a validation loss exceeds threshold x the best so far
              (Mikolov et al., 2014)
    linear    lr (1 - place / max_epochs), place in epochs and fractions of one
    epochs    lr / shrink^(epoch - shrink_after) once shrink_after epochs are over
              (Zaremba et al., 2014)
    """

    def __init__(self, config: OptimConfig, *, max_epochs: int, stop_after: int = 0) -> None:
        self.config = config
        self.max_epochs = max_epochs
        self.stop_after = stop_after
        self.best = float("inf")
        self.num_shrinks = 0
        self.num_stalls = 0
        self.stalled = False

    def lr(self, place: float) -> float:
        """The learning rate at `place`, counted in epochs from 0."""
        config = self.config
        if config.schedule == "linear":
            return config.lr * max(0.0, 1.0 - place / self.max_epochs)
        if config.schedule == "epochs":
            return config.lr / config.shrink ** max(0, int(place) + 1 - config.shrink_after)
        return float(config.lr / config.shrink**self.num_shrinks)

    def report(self, loss: float) -> bool:
        """Take in a validation loss in nats; true when it is the best so far."""
        self.stalled = loss > self.best * self.config.threshold
        improved = loss < self.best
        self.best = min(self.best, loss)
        self.num_stalls = 0 if improved else self.num_stalls + 1
        if self.stalled and self.config.schedule == "plateau":
            self.num_shrinks += 1
        return improved

    @property
    def returns_to_best(self) -> bool:
        """Whether the last report asks for the best weights again."""
        config = self.config
        return self.stalled and config.schedule == "plateau" and config.back_to_best

    @property
    def finished(self) -> bool:
        """Whether validation has not improved for `stop_after` times in a row."""
        return self.stop_after > 0 and self.num_stalls >= self.stop_after

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"best": self.best, "num_shrinks": self.num_shrinks, "num_stalls": self.num_stalls}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.best = state["best"]
        self.num_shrinks = state["num_shrinks"]
        self.num_stalls = state["num_stalls"]
