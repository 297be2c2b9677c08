"""The processes of a run that are not its first: they train along and record nothing."""

from __future__ import annotations

from bench.core.ranks import Rank
from bench.core.suite import Suite
from bench.runs.resolve import Resolved
from bench.runs.run import corpus_of, set_machine
from bench.training.crew import Crew
from bench.training.train import follow


def follow_run(resolved: Resolved, suite: Suite, rank: Rank) -> None:
    """Train along as the first process says, which holds the run's folder; over when training is.

    All processes see the suite's folder, where the checkpoint lies, under the same path.
    """
    crew = Crew(rank)
    if not crew.is_called():
        return
    set_machine(resolved.config.trainer)
    corpus = corpus_of(resolved)  # which the first process has prepared
    follow(resolved, corpus, suite.artifacts(resolved.card.task, resolved.run_id), crew)
