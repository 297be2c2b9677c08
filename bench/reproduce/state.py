"""Which runs of a plan are over, which can begin, and which have to be made anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.core.record import Record, read_record
from bench.core.suite import Suite
from bench.reproduce.plan import Plan
from bench.reproduce.session import Outcome
from bench.reproduce.steps import Step
from bench.training.checkpoint import LAST

State = Literal["done", "to do", "resumes", "anew"]
"""anew: recorded, but the weights are gone that another run of the plan has to read."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the plan's runs stand, as far as files tell."""

    suite: Suite
    plan: Plan

    def record(self, step: Step) -> Record | None:
        """The record of a step, of the working folder or shipped."""
        for folder in self.suite.folders:
            path = folder / "results" / self.plan.card.task / "runs" / f"{step.run_id}.json"
            if path.is_file():
                return read_record(path)
        return None

    def state(self, step: Step) -> State:
        """Whether a step has a record, and all that others need of it."""
        record = self.record(step)
        if record is None:
            return "resumes" if self.progress(step) else "to do"
        if record.status != "finished":
            return "done"
        readers = [other for other in self.plan.steps if step.run_id in other.needs]
        unread = [
            r for r in readers if self.record(r) is None and not r.can_read(self.suite, record)
        ]
        return "anew" if unread else "done"

    def states(self) -> dict[str, State]:
        """Run -> state."""
        return {step.run_id: self.state(step) for step in self.plan.steps}

    def progress(self, step: Step) -> int:
        """A number that changes with every checkpoint; 0 where there is none."""
        last = self.suite.artifacts(self.plan.card.task, step.run_id) / LAST
        return last.stat().st_mtime_ns if last.is_file() else 0

    def obstacle(self, step: Step, outcomes: Mapping[str, Outcome]) -> str | None:
        """Why a step whose components are over cannot be carried out."""
        for need in step.needs:
            record = self.record(self._step(need))
            outcome = outcomes.get(need)
            if outcome is not None and outcome.status == "failed":
                return f"needs {need}, which failed"
            if record is not None and record.status != "finished":
                return f"needs {need}, which {record.status}"
        return None

    def _step(self, run_id: str) -> Step:
        return next(step for step in self.plan.steps if step.run_id == run_id)
