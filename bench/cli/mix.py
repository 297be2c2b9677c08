"""`bench mix`: finished runs interpolated."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bench.cli.settings import Track, TrackSettings, track_options


def mix(
    task: str,
    *runs: str,
    cache: Annotated[
        tuple[float | Literal["auto"], ...], Parameter(consume_multiple=True, negative=())
    ] = (),
    again: Annotated[bool, Parameter(negative=())] = False,
    track: Track = "wandb",
    track_: TrackSettings = None,
    suite: Path = Path(),
) -> None:
    """Interpolate finished runs; the weights come from validation text only.

    The mixture is recorded as a run of its own. Per-token log-probabilities that are missing are
    regenerated from a run's weights, or by fitting a baseline again.

        bench mix ptb ngram-1b2c3d4e-s1 srn-5f6a7b8c-s1
        bench mix ptb ngram-1b2c srn-5f6a --cache auto
        bench mix ptb lstm-9d0e-s1 lstm-9d0e-s2 --cache 0.99 0.999

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    runs
        Names of finished runs, or how they begin; see `bench list runs --task TASK`.
    cache
        Add a unigram cache over the text's own history: a decay per word, several decays, or auto
        for one chosen on validation.
    again
        Throw away the record of this mixture first.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.core.suite import Suite
    from bench.runs.run import RunOptions
    from bench.table.summary import summary
    from bench.text.mixture import mix_runs, table_of_parts

    place = Suite.at(suite)
    run_options = RunOptions(
        track=track,
        tracking=track_options(track, track_),
        again=again,
        busy=lambda line: print(line, file=sys.stderr),
    )
    record, parts = mix_runs(place, task, runs, cache=cache, run_options=run_options)
    print(table_of_parts(record, parts))
    print(summary(record, place))
