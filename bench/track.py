"""Mirrors a run into Weights & Biases; the only file that knows it.

The record and the artifacts are the store; nothing is ever read back from here, and a tracker that
fails costs a warning, never a run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

from bench.record import Record
from bench.resolve import Resolved

Kind = Literal["wandb", "none"]


class Tracker(Protocol):
    """Where a run's numbers are mirrored to."""

    def log(self, numbers: dict[str, float], *, step: int) -> None:
        """Numbers at one step of training."""

    def finish(self, record: Record) -> None:
        """The run is over; its record is written."""

    def abandon(self) -> None:
        """The run was stopped or failed; it may go on later."""


class NoTracker:
    """Mirrors nothing."""

    def log(self, numbers: dict[str, float], *, step: int) -> None:
        pass

    def finish(self, record: Record) -> None:
        pass

    def abandon(self) -> None:
        pass


class WandbTracker:
    """A W&B run: offline unless the environment variable WANDB_MODE asks for more."""

    def __init__(
        self, resolved: Resolved, folder: Path, *, group: str | None, tags: tuple[str, ...]
    ) -> None:
        self._run: Any = None
        self._gone = False
        self._guard(lambda: self._start(resolved, folder, group, tags))

    def _start(
        self, resolved: Resolved, folder: Path, group: str | None, tags: tuple[str, ...]
    ) -> None:
        import msgspec
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        config = msgspec.to_builtins(resolved.config)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "sequence-bench"),
            id=f"{resolved.card.task}-{resolved.run_id}",
            name=resolved.run_id,
            group=group,
            tags=[resolved.card.task, str(config["model"]["name"]), *tags],
            config={**config, "recipe": resolved.recipe, "card_version": resolved.card.version},
            dir=folder,
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            resume="allow",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )

    def log(self, numbers: dict[str, float], *, step: int) -> None:
        self._guard(lambda: self._run.log(numbers, step=step))

    def finish(self, record: Record) -> None:
        def close() -> None:
            summary = {f"final/{split}": value for split, value in record.metrics.items()}
            self._run.summary.update(
                {**summary, "status": record.status, "num_parameters": record.cost.num_parameters}
            )
            self._run.finish(exit_code=1 if record.status == "diverged" else 0)

        self._guard(close)

    def abandon(self) -> None:
        # Left open, it would be taken for the process's next run.
        self._guard(lambda: self._run.finish(exit_code=1))

    def _guard(self, action: Callable[[], None]) -> None:
        """Whatever W&B does, the run goes on: after one warning it is left alone."""
        if self._gone:
            return
        try:
            action()
        except Exception as error:
            print(f"warning: W&B is out ({error}); the run goes on untracked", file=sys.stderr)
            self._gone = True


def make_tracker(
    kind: Kind,
    resolved: Resolved,
    folder: Path,
    *,
    group: str | None = None,
    tags: tuple[str, ...] = (),
) -> Tracker:
    """The tracker that `--track` names."""
    if kind == "none":
        return NoTracker()
    return WandbTracker(resolved, folder, group=group, tags=tags)
