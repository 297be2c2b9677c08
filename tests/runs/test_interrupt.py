"""Ctrl-C ends a run as an interruption, and the next start goes on from the last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_task import make_suite, settings

from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.runs.run import run
from bench.text.objective import LanguageModel


def test_an_interrupted_run_is_one_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Suite(folder=make_suite(tmp_path))
    resolved = resolve(suite, "tiny", model="srn", overrides=settings())
    train = LanguageModel.training_step

    def interrupted(self: LanguageModel, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return train(self, batch, batch_idx)

    monkeypatch.setattr(LanguageModel, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(resolved, suite)
    assert not suite.record_path("tiny", resolved.run_id).exists()
    steps: list[int] = []

    def counted(self: LanguageModel, batch: Any, batch_idx: int) -> Any:
        steps.append(self.current_epoch)
        return train(self, batch, batch_idx)

    monkeypatch.setattr(LanguageModel, "training_step", counted)
    assert run(resolved, suite).status == "finished"
    assert set(steps) == {1}
