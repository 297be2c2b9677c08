"""`bench errors`: what a recogniser, a translator, a captioner or a predictor gets wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.cli.numbers import Whole

if TYPE_CHECKING:
    from bench.core.suite import Suite
    from bench.runs.finished import FinishedRun
    from bench.runs.outputs import ErrorReport

Picture = Literal["none"] | Path | None


def errors(
    *runs: str,
    split: Literal["valid", "test"] = "test",
    num_confusions: Whole = 15,
    num_groups: Whole = 8,
    num_examples: Whole = 5,
    picture: Literal["none"] | Path | None = None,
    suite: Path = Path(),
) -> None:
    """Show what finished runs get wrong.

    Of speech: kinds of edits, speakers, confused phones. Of translations: BLEU over the length of
    sentences and over the rarity of their words, with bootstrap intervals. Of captions: CIDEr over
    the agreement of an image's references, how much is copied from the training captions beside
    what people copy, and scores of what is no copy. Of predicted frames: both losses by how far
    ahead a frame is. A picture of several runs has a line for each. What a run made of each
    utterance, sentence, image or sequence lies in `artifacts/<task>/<run>/`; where it
    is gone, it is regenerated from the weights. Two runs are told apart by `bench compare`.

        bench errors lstm-9d0e1f2a-s1
        bench errors lstm-9d0e --split valid --num-confusions 30
        bench errors lstm-9d0e --picture confusions.svg
        bench errors gru-77aa-s1 gru-81c2-s1 --picture bleu-by-length.svg
        bench errors nearest-5e1d-s1 gru-0b9c-s1 --num-examples 10 --picture none

    Parameters
    ----------
    runs
        Names of finished runs, or how they begin; see `bench list runs`.
    split
        Validation or test.
    num_confusions
        Of speech: how many of the most frequent confusions are listed.
    num_groups
        Of translations and captions: groups of about as many sentences or images.
    num_examples
        Of captions: how many of the best and of the worst are shown.
    picture
        Where to draw the confusion matrix or the curves, .png, .svg or .pdf; none for no picture;
        beside the run's artifacts, unless given.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.core.errors import BenchError
    from bench.core.suite import Suite
    from bench.runs.finished import find_run

    place = Suite.at(suite)
    if not runs:
        raise BenchError("name a finished run; see `bench list runs`")
    if isinstance(picture, Path) and picture.suffix not in (".png", ".svg", ".pdf"):
        raise BenchError(f"--picture {picture}: name a .png, .svg or .pdf file, or none")
    if num_groups < 1:
        raise BenchError(f"--num-groups {num_groups}: give 1 or more")
    if num_examples < 0:
        raise BenchError(f"--num-examples {num_examples}: give 0 or more")
    found = [find_run(place, name) for name in runs]
    if len({finished.record.metric for finished in found}) > 1:
        raise BenchError("the runs measure different things: name runs of one kind of task")
    numbers = (num_confusions, num_groups, num_examples)
    reports = {
        finished.id: _report(place, finished, split, picture, numbers=numbers) for finished in found
    }
    if isinstance(picture, Path):
        _draw_all(reports, picture)


def _report(
    suite: Suite,
    finished: FinishedRun,
    split: str,
    picture: Picture,
    *,
    numbers: tuple[int, int, int],
) -> ErrorReport:
    """Print the analysis of a run and draw its own picture, where no other is asked for."""
    from bench.runs.error_curves import draw_curves
    from bench.runs.outputs import ErrorOptions, find_outputs

    options = ErrorOptions(
        run=finished.id,
        split=split,
        folder=finished.folder,
        num_confusions=numbers[0],
        num_groups=numbers[1],
        num_examples=numbers[2],
    )
    report = find_outputs(suite, finished.record, split).errors(options)
    print(report.text, end="\n\n")
    for note in report.notes:
        print(note)
    if picture is None:
        path = finished.folder / report.picture
        if report.draw is not None:
            report.draw(path)
        elif report.curves:
            draw_curves({finished.id: dict(report.curves)}, path, metric=report.axis)
        else:
            return report
        print(f"picture {path}\n")
    return report


def _draw_all(reports: dict[str, ErrorReport], picture: Path) -> None:
    """Draw one picture of all runs."""
    from bench.core.errors import BenchError
    from bench.runs.error_curves import draw_curves

    first = next(iter(reports.values()))
    if first.draw is not None:
        if len(reports) > 1:
            raise BenchError("--picture names one file: give one run")
        first.draw(picture)
    elif all(report.curves for report in reports.values()):
        curves = {run: dict(report.curves) for run, report in reports.items()}
        draw_curves(curves, picture, metric=first.axis)
    else:
        return
    print(f"picture {picture}")
