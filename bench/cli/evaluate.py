"""`bench evaluate`: a finished network measured in another way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def evaluate(
    run: str,
    *,
    mode: Literal["dynamic", "neural-cache"],
    tune: Annotated[bool, Parameter(negative=())] = False,
    lr: float | None = None,
    segment_length: int | None = None,
    theta: float | None = None,
    window: int | None = None,
    share: float | None = None,
    again: Annotated[bool, Parameter(negative=())] = False,
    track: Literal["wandb", "none"] = "wandb",
    suite: Path = Path(),
) -> None:
    """Evaluate a finished network that adapts to the text which it has predicted.

    Options are chosen on validation text only; test is read once. The outcome is recorded as a run
    of its own, whose signature never shares a column with static evaluation.

        bench evaluate srn-5f6a7b8c-s1 --mode dynamic --tune
        bench evaluate lstm-9d0e --mode neural-cache --theta 0.3 --window 2000

    Parameters
    ----------
    run
        Name of a finished run, or how it begins; see `bench list runs`.
    mode
        dynamic: a step of gradient descent after each segment; neural-cache: words that followed
        similar hidden states become more likely.
    tune
        Choose the options that are not given on validation, from a small grid.
    lr
        Of dynamic: step along the gradient of a segment's summed loss.
    segment_length
        Of dynamic: tokens between updates.
    theta
        Of neural-cache: sharpness of the comparison of states.
    window
        Of neural-cache: states in the cache.
    share
        Of neural-cache: its weight; chosen on validation unless given.
    again
        Throw away the record of this evaluation first.
    track
        Mirror into W&B (offline, unless WANDB_MODE says otherwise) or nowhere.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.evaluation import evaluate_run
    from bench.run import Manners
    from bench.suite import Suite
    from bench.summary import summary

    given = {
        "lr": lr,
        "segment_length": segment_length,
        "theta": theta,
        "window": window,
        "share": share,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    place = Suite.at(suite)
    manners = Manners(track=track, again=again, busy=lambda line: print(line, file=sys.stderr))
    others: Literal["default", "tuned"] = "tuned" if tune else "default"
    record = evaluate_run(place, run, mode, settings, others=others, manners=manners)
    print(", ".join(f"{name} {value:g}" for name, value in record.extra.items()))
    print(summary(record, place))
