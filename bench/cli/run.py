"""`bench run`: one configuration, recorded and resumable."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bench.cli.numbers import OptionalWhole
from bench.cli.settings import (
    DataSettings,
    InitSettings,
    ModelSettings,
    ObjectiveSettings,
    OptimSettings,
    Track,
    TrackSettings,
    TrainerSettings,
    track_options,
    tree,
)

if TYPE_CHECKING:
    from bench.core.suite import Suite
    from bench.runs.resolve import Resolved
    from bench.runs.run import RunOptions
    from bench.training.progress import Style


def run(
    *,
    task: str,
    model: str | None = None,
    model_: ModelSettings = None,
    recipe: str | None = None,
    seed: OptionalWhole = None,
    config: Path | None = None,
    objective: str | None = None,
    objective_: ObjectiveSettings = None,
    optim: OptimSettings = None,
    trainer: TrainerSettings = None,
    data: DataSettings = None,
    init: InitSettings = None,
    print_config: Annotated[bool, Parameter(negative=())] = False,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    again: Annotated[bool, Parameter(negative=())] = False,
    quiet: Annotated[bool, Parameter(negative=())] = False,
    track: Track = "wandb",
    track_: TrackSettings = None,
    group: str | None = None,
    tag: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    flops: Literal["formula", "counted"] = "formula",
    suite: Path = Path(),
) -> None:
    """Train one model on one task, measure it, and keep the record.

    The same command again: done means nothing to do, interrupted means resume. A run whose loss
    became NaN or infinite is recorded as diverged, without a value, and counts as done. With
    `--trainer.devices N` N processes share every batch, a device each; torchrun and srun start
    them, too.

        bench run --task synthetic-text --model scrn
        bench run --task ptb --model scrn --model.hidden-size 200 --optim.lr 0.005 --seed 3
        bench run --task ptb --model lstm --config mine.yaml --print-config
        bench run --task synthetic-speech --model lstm --model.direction bidirectional
        bench run --task ptb --model scrn --trainer.devices 2
        bench run --task synthetic-text --model scrn --objective.batch-size 200 --dry-run

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    model
        Name of an architecture or a baseline; see `bench list models`.
    recipe
        A named recipe of the card instead of the model's own.
    seed
        Of weights, dropout and everything else that is drawn.
    config
        YAML file of settings; the command line stands above it.
    objective
        What the model is trained for, where the card allows several: transducer instead of ctc.
    print_config
        Print the complete configuration as YAML and stop.
    dry_run
        Say what the run would be called and what memory a device would need, part by part, and
        stop: nothing is trained or written. The estimate reads the corpus and tries parts of the
        largest batch.
    again
        Throw away the record and the checkpoints of this configuration first.
    quiet
        Print nothing while it runs.
    group
        Group of runs in the tracker.
    tag
        Tag in the tracker; may be given several times.
    flops
        counted: count the matrix products of a few training batches, too, for the record's cost.
    suite
        Folder with further `tasks/`, and where `results/` and `artifacts/` are written.
    """
    from bench.core.suite import Suite
    from bench.runs.resolve import resolve

    place = Suite.at(suite)
    overrides = tree(
        seed, model=model_, objective=objective_, optim=optim, trainer=trainer, data=data, init=init
    )
    resolved = resolve(
        place,
        task,
        model=model,
        objective=objective,
        recipe=recipe,
        file=config,
        overrides=overrides,
    )
    if print_config:
        return _print_config(resolved.config)
    if dry_run:
        return _print_needs(resolved, place)
    tracking = track_options(track, track_)
    run_options = _run_options(
        quiet=quiet, track=track, tracking=tracking, group=group, tags=tag, again=again, flops=flops
    )
    return _carry_out(resolved, place, run_options)


def _run_options(*, quiet: bool, again: bool, **given: Any) -> RunOptions:
    from bench.core.ranks import is_started_again
    from bench.runs.run import RunOptions

    style: Style = "quiet" if quiet else "live" if sys.stderr.isatty() else "plain"
    again = again and not is_started_again(os.environ)  # what is there by now is of this call
    return RunOptions(style=style, busy=_say, again=again, **given)


def _carry_out(resolved: Resolved, place: Suite, run_options: RunOptions) -> None:
    from bench.runs.run import rank_of, run_worker
    from bench.runs.run import run as carry_out
    from bench.table.summary import summary
    from bench.tracking.options import viewer_command

    path = place.record_path(resolved.card.task, resolved.run_id)
    existed = path.exists() and not run_options.again
    rank = rank_of(resolved)
    if rank is None and not existed:
        _start(resolved)
        return
    if rank is not None and not rank.is_first:
        run_worker(resolved, place, rank)
        return
    record = carry_out(resolved, place, run_options)
    if run_options.style == "quiet":
        return
    if existed:
        _say(f"run {record.id} was done before; --again would do it anew")
    print(summary(record, place))
    viewer = viewer_command(run_options.track, run_options.tracking, place.folder)
    if viewer is not None and not existed:
        print(f"  view    {viewer}")


def _start(resolved: Resolved) -> None:
    """Start this command in a process for each device."""
    from bench.core.errors import BenchError
    from bench.launch.ranks import run_ranks

    trainer = resolved.config.trainer
    if trainer.num_nodes > 1:
        raise BenchError(
            f"--trainer.num-nodes {trainer.num_nodes}: start the same command on every node by "
            "torchrun or srun; see docs/guides/devices.md"
        )
    command = [sys.executable, "-m", "bench", *sys.argv[1:]]
    if code := run_ranks(command, trainer.devices):
        raise SystemExit(code)


def _print_needs(resolved: Resolved, place: Suite) -> None:
    from bench.runs.dry_run import dry_run
    from bench.runs.run import rank_of

    rank = rank_of(resolved)  # which refuses what cannot be divided
    if rank is None or rank.is_first:
        print(dry_run(resolved, place))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_config(config: Any) -> None:
    import msgspec
    import yaml

    print(yaml.safe_dump(msgspec.to_builtins(config), sort_keys=False), end="")
