"""`bench sweep`: many trials of a task under one budget, by one worker or many."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bench.cli.settings import (
    DataSettings,
    LauncherSettings,
    Track,
    TrackSettings,
    TrainerSettings,
    track_options,
)
from bench.launch.launcher import LauncherName

if TYPE_CHECKING:
    from bench.core.suite import Suite
    from bench.launch.launcher import Launcher
    from bench.sweep.definition import Sweep
    from bench.sweep.storage import Storage
    from bench.tracking.options import Kind, TrackOptions

STORAGE = "BENCH_STORAGE"
Flag = Annotated[bool, Parameter(negative=())]


def sweep(
    file: str,
    *,
    workers: int = 1,
    storage: Annotated[str | None, Parameter(env_var=STORAGE)] = None,
    launcher: LauncherName = "local",
    launcher_: LauncherSettings = None,
    status: Flag = False,
    again: Annotated[bool, Parameter(negative="--resume")] = False,
    quiet: Flag = False,
    track: Track = "wandb",
    track_: TrackSettings = None,
    trainer: TrainerSettings = None,
    data: DataSettings = None,
    storage_timeout: float = 600.0,
    heartbeat: float = 30.0,
    suite: Path = Path(),
    as_worker: Annotated[int | None, Parameter(show=False)] = None,
) -> None:
    """Try settings of models until a budget is used up, judged on validation alone.

    The same command again goes on where the last one stopped, and joins one that runs: any
    machine that reaches the storage may help. Trials are runs with a record of their own; the
    same configuration is never trained twice, and `bench run` with the best one has only the
    test left to do.

        bench sweep ptb-scrn
        bench sweep sweeps/mine.yaml --workers 4
        bench sweep sweeps/mine.yaml --status
        bench sweep ptb-scrn --storage postgresql+psycopg://me@db/sweeps
        bench sweep ptb-scrn --workers 8 --launcher slurm

    Parameters
    ----------
    file
        A sweep file, or the name of one that is shipped.
    workers
        How many trials at a time; local ones share this machine's cores.
    storage
        Where trials are kept: sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE.
        Unless given, `artifacts/sweeps/<name>.db`.
    storage_timeout
        Seconds for which workers and supervisor wait for a storage that is out of reach.
    launcher
        What starts the workers: local processes, Slurm jobs or Ray tasks.
    status
        Print how the sweep stands, from any machine, write its result so far, and stop.
    again
        Forget the trials of this sweep first. Their records stay, and are not trained again.
        `--resume`, which is the default, goes on with them.
    quiet
        Print nothing while it runs.
    heartbeat
        Seconds between a worker's signs of life; the trial of one that misses four goes to another.
    suite
        Folder with further `tasks/` and `sweeps/`, and where results and artifacts are written.
    """
    from bench.core.errors import BenchError
    from bench.core.suite import Suite
    from bench.sweep.specification import load_sweep
    from bench.sweep.storage import default_url, open_storage

    place = Suite.at(suite)
    if workers < 1 or not 0 < heartbeat < math.inf or not 0 <= storage_timeout < math.inf:
        raise BenchError("--workers is 1 or more, --heartbeat above 0, --storage-timeout 0 or more")
    tracking = track_options(track, track_)
    fixed = {"trainer": trainer or {}, "data": data or {}}
    plan = load_sweep(place, file, fixed=fixed)
    url = storage or default_url(place, plan.name)
    if status:
        _show(plan, place, open_storage(url, heartbeat_sec=heartbeat, missing="refuse"))
        return
    store = open_storage(
        url,
        heartbeat_sec=heartbeat,
        timeout_sec=storage_timeout,
        say=_say,
        away="refuse" if as_worker is None else "wait",
    )
    if as_worker is not None:
        _work(plan, place, store, track, tracking)
        return
    _run(
        plan,
        place,
        store,
        starter=_starter(launcher, launcher_, store),
        command_for=_commands(
            place.sweep_path(file),
            [track, *tracking.words()],
            {
                "--heartbeat": heartbeat,
                "--storage-timeout": storage_timeout,
                "--suite": suite.resolve(),
            },
            fixed,
        ),
        workers=workers,
        environment=_environment(url, launcher, workers),
        again="forget" if again else "keep",
        style="quiet" if quiet else "live" if sys.stderr.isatty() else "plain",
    )


def _starter(name: LauncherName, options: dict[str, str] | None, store: Storage) -> Launcher:
    from bench.launch.launcher import make_launcher

    if name != "local" and store.url.get_backend_name() == "sqlite":
        _say("note: SQLite is for the workers of one machine; for several, name a PostgreSQL")
    return make_launcher(name, options)


def _environment(url: str, launcher: LauncherName, workers: int) -> dict[str, str]:
    """Environment of workers: the storage's address, since it may hold a password."""
    from bench.launch.launcher import thread_variables

    return {STORAGE: url, **(thread_variables(workers) if launcher == "local" else {})}


def _commands(
    path: Path,
    track: list[str],
    options: Mapping[str, object],
    fixed: dict[str, dict[str, str]],
) -> Callable[[int], list[str]]:
    """The command of each worker: the user's own, in the hidden form for one."""
    from bench.launch.launcher import bench_command

    shared: list[object] = [path.resolve(), "--track", *track]
    for option, value in options.items():
        shared += [option, value]
    for group, values in fixed.items():
        for key, value in values.items():
            shared += [f"--{group}.{key}", value]
    return lambda number: bench_command("sweep", *shared, "--as-worker", number)


def _run(
    plan: Sweep,
    place: Suite,
    store: Storage,
    *,
    starter: Launcher,
    command_for: Callable[[int], list[str]],
    workers: int,
    environment: dict[str, str],
    again: Literal["keep", "forget"],
    style: Literal["live", "plain", "quiet"],
) -> None:
    from bench.sweep.study import delete_studies, open_studies
    from bench.sweep.supervision import check_corpus, supervise

    check_corpus(plan, place, style=style)
    if again == "forget":
        delete_studies(plan, store)
    studies = open_studies(plan, place, store)
    state = supervise(
        studies, place, starter, command_for, workers, environment=environment, style=style
    )
    _report(state, place, silent=style == "quiet")


def _show(plan: Sweep, place: Suite, store: Storage) -> None:
    from bench.sweep.display import progress
    from bench.sweep.status import read_state
    from bench.sweep.study import open_studies

    state = read_state(open_studies(plan, place, store, missing="refuse"))
    print("\n".join(progress(state)), end="\n\n")
    _report(state, place, silent=False)


def _report(state: Any, place: Suite, *, silent: bool) -> None:
    from bench.sweep.display import repeat_lines, summary
    from bench.sweep.supervision import write_outcome

    paths = write_outcome(state, place)
    if not silent:
        print(summary(state))
        print("".join(f"{line}\n" for line in repeat_lines(state, place)), end="")
        print("\n".join(f"  wrote  {os.path.relpath(path)}" for path in paths))


def _work(plan: Sweep, place: Suite, store: Storage, track: Kind, tracking: TrackOptions) -> None:
    from bench.runs.run import RunOptions
    from bench.sweep.study import open_studies
    from bench.sweep.worker import Worker

    run_options = RunOptions(
        style="plain", track=track, tracking=tracking, group=plan.name, busy=_say
    )
    studies = store.retry(lambda: open_studies(plan, place, store))
    Worker(studies, place, run_options=run_options, log=_say).run()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
