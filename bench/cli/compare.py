"""`bench compare`: runs and groups of seeds, with tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bench.cli.numbers import OptionalWhole, Whole
from bench.cli.output import Format, chosen_format, put, terminal_width


def compare(
    *names: str,
    task: str | None = None,
    split: Literal["test", "valid"] = "test",
    block_length: OptionalWhole = None,
    resamples: Whole = 10_000,
    seed: Annotated[int, Parameter(help="Of the resampling.")] = 1,
    missing: Literal["make", "leave"] = "make",
    format: Format | None = None,
    out: Path | None = None,
    suite: Path = Path(),
) -> None:
    """Say which of several runs or groups is better, and how sure that is.

    Over seeds: mean ± std with n, Student's intervals, Welch's t and a permutation test, effect
    size, and the smallest difference that so many seeds can resolve. Over test units (blocks of
    consecutive text): bootstrap intervals and the paired bootstrap. More than two: every pair, with
    Holm's correction. One name alone gives its intervals.

        bench compare lstm-ec00e4ce srn-721824d8
        bench compare lstm-ec00e4ce-s1 lstm-ec00e4ce-s2
        bench compare 'LSTM, 100*' 'SRN, 100 hidden' 'SCRN, 100*' --task ptb --format latex

    Parameters
    ----------
    names
        A run; all seeds of a configuration, by `<model>-<digest>`, the digest, or how they begin;
        with --task also the label of a row of its table, or a pattern of labels.
    task
        Name of a card; see `bench list tasks`.
    split
        test, or valid.
    block_length
        Tokens a block; 1,000 words or 5,000 characters unless given.
    resamples
        Resamples of the bootstrap, and arrangements of the permutation test where there are more.
    missing
        Per-token log-probabilities that are not there: make them again from a run's weights or by
        fitting a baseline again, or leave out the tests over units.
    format
        text on a terminal and md elsewhere, unless given.
    out
        Write to this file instead of printing.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    import sys

    from bench.compare import Reading, Resampling, compare, render
    from bench.core.suite import Suite

    chosen = chosen_format(format, out)
    comparison = compare(
        Suite.at(suite),
        names,
        task=task,
        reading=Reading(
            split=split,
            block_length=block_length,
            missing=missing,
            say=lambda line: print(line, file=sys.stderr),
        ),
        resampling=Resampling(num_resamples=resamples, seed=seed),
    )
    if chosen == "csv":
        for note in comparison.notes:
            print(note, file=sys.stderr)
    put(render(comparison, chosen, width=terminal_width(chosen)), out)
