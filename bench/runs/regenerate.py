"""What an evaluation of a finished run left, made again where it is gone."""

from __future__ import annotations

from bench.runs.finished import FinishedRun, read_again
from bench.runs.fitting import fit_baseline
from bench.runs.run import corpus_of
from bench.tracking.tracker import NoTracker


def regenerate(finished: FinishedRun, split: str) -> None:
    """Keep once more what was kept of `split`: a network is read again from its weights, a
    baseline is fitted again.

    Raises BenchError where there are no weights.
    """
    if not finished.resolved.is_baseline:
        read_again(finished, split)
        return
    finished.folder.mkdir(parents=True, exist_ok=True)
    corpus = corpus_of(finished.resolved)
    fit_baseline(finished.resolved, corpus, finished.folder, style="quiet", tracker=NoTracker())
