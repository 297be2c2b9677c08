"""`bench reproduce`: the published rows of a task measured anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli.numbers import Whole
from bench.cli.output import chosen_format, put, terminal_width
from bench.cli.settings import (
    DataSettings,
    LauncherSettings,
    Track,
    TrackSettings,
    TrainerSettings,
    track_options,
    tree,
)
from bench.launch.launcher import LauncherName


def reproduce(
    task: str,
    *,
    rows: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative=())] = (),
    seeds: Whole = 3,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    workers: Whole = 1,
    launcher: LauncherName = "local",
    launcher_: LauncherSettings = None,
    trainer: TrainerSettings = None,
    data: DataSettings = None,
    track: Track = "wandb",
    track_: TrackSettings = None,
    suite: Path = Path(),
    as_worker: Annotated[int | None, Parameter(show=False)] = None,
    session: Annotated[Path | None, Parameter(show=False)] = None,
) -> None:
    """Run what the published rows of a task say, with several seeds, and print the table.

    Each row gives a run for every seed: its `match` above the recipe of its model. What has a
    record is not run again. Evaluations and mixtures come after the runs that they are made of. A
    run that fails is told at the end, with exit code 1, and the others go on. Ctrl-C stops; the
    same command goes on.

        bench reproduce ptb --rows 'scrn*' --seeds 5 --workers 2
        bench reproduce ptb --dry-run
        bench reproduce ptb --rows '5-gram*' zaremba-small
        bench reproduce text8 --workers 4 --launcher slurm --launcher.partition long

    Parameters
    ----------
    task
        Name of a card that has published rows; see `bench table TASK`.
    rows
        Patterns such as 'scrn*', compared with the rows' labels, models and recipes; all rows
        unless given.
    seeds
        How many: seeds 1 to this. What draws nothing at random is run once.
    dry_run
        Print what would be run and about how long it takes, and stop.
    workers
        How many runs at a time.
    launcher
        What starts the workers: processes of this machine, Slurm jobs or a Ray cluster.
    suite
        Folder with further `tasks/`, and where `results/` and `artifacts/` are written.
    """
    from bench.core.errors import BenchError
    from bench.core.suite import Suite
    from bench.reproduce import call
    from bench.table import render

    if seeds < 1 or workers < 1:
        raise BenchError("--seeds and --workers are 1 or more")
    options = call.ReproduceOptions(
        suite=Suite.at(suite),
        task=task,
        patterns=rows,
        num_seeds=seeds,
        settings=tree(None, trainer=trainer, data=data),
        track=track,
        tracking=track_options(track, track_),
    )
    if as_worker is not None and session is not None:
        call.run_worker(options, session, as_worker)
        return
    plan = options.plan()
    text = call.plan_and_time(options, plan, num_workers=workers)
    if dry_run:
        print(text)
        return
    print(text, file=sys.stderr)
    outcomes = call.reproduce(
        options, plan, num_workers=workers, launcher=launcher, launcher_options=launcher_
    )
    chosen = chosen_format(None, None)
    put(render(call.selected_table(options, plan), chosen, width=terminal_width(chosen)), None)
    if failed := call.failure_lines(outcomes):
        print("\n".join(failed), file=sys.stderr)
        raise SystemExit(1)
