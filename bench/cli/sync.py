"""`bench sync`: finished and offline runs sent to W&B, and confirmed there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from bench.tracking.sync import SyncResult


def sync(
    *tasks: str,
    run: tuple[str, ...] = (),
    wandb: str | None = None,
    artifacts: str = "none",
    patience: float = 30.0,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    suite: Path = Path(),
) -> None:
    """Send to W&B what it does not have yet of the records and offline runs of a folder.

    The same command again sends nothing: a run counts as there when its server confirms every row,
    the final numbers and the end. One that is not confirmed is told, with exit code 1. What W&B
    needs is a key, in WANDB_API_KEY or from `wandb login`; nobody is asked for one.

        bench sync
        bench sync ptb --wandb my-team/sequences
        bench sync --run scrn-3bdc72b6 --artifacts checkpoints,predictions
        bench sync --dry-run

    Parameters
    ----------
    tasks
        Names of cards; all unless given.
    run
        Only runs whose name begins so; may be given several times.
    wandb
        ENTITY/PROJECT; the account's own and `sequence-bench` unless given or in WANDB_ENTITY and
        WANDB_PROJECT.
    artifacts
        checkpoints, predictions, tables, with commas between, together with what they came from;
        unless given, what was asked for when the run began.
    patience
        Seconds that the server may take for each answer.
    dry_run
        Ask what is there, and send nothing.
    suite
        Folder with `results/` and `artifacts/`.
    """
    from bench.core.structs import to_struct
    from bench.core.suite import Suite
    from bench.tracking.options import TrackOptions, split_place
    from bench.tracking.sync import sync as send

    entity, project = split_place(wandb) if wandb else (None, None)
    given = {"artifacts": artifacts, "patience_sec": patience}
    options = to_struct(
        {**given, "entity": entity, "project": project}, TrackOptions, where="command line"
    )
    place = Suite.at(suite)
    results = send(
        place,
        tasks,
        options,
        runs=run,
        action="look" if dry_run else "send",
        report=_print,
    )
    if not results:
        print(f"nothing to send: {suite} has neither records nor offline runs")
    if any(result.status == "not confirmed" for result in results):
        raise SystemExit(1)


def _print(result: SyncResult) -> None:
    line = f"{result.status:14}{result.name}" + (f": {result.reason}" if result.reason else "")
    print(line, file=sys.stderr if result.status == "not confirmed" else sys.stdout, flush=True)
