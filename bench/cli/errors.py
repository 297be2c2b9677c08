"""`bench errors`: what a recogniser of speech gets wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def errors(
    *runs: str,
    split: Literal["valid", "test"] = "test",
    num_confusions: int = 15,
    picture: Literal["none"] | Path | None = None,
    suite: Path = Path(),
) -> None:
    """Show what recognisers of speech get wrong: kinds of edits, speakers, confused phones.

    What a run made of each utterance lies in `artifacts/<task>/<run>/recognitions-<split>.jsonl`;
    where it is gone, it is made again from the weights. Two runs are told apart by
    `bench compare`.

        bench errors lstm-9d0e1f2a-s1
        bench errors lstm-9d0e --split valid --num-confusions 30
        bench errors lstm-9d0e --picture confusions.svg

    Parameters
    ----------
    runs
        Names of finished runs, or how they begin; see `bench list runs`.
    split
        Validation or test.
    num_confusions
        How many of the most frequent confusions are listed.
    picture
        Where to draw the confusion matrix, .png, .svg or .pdf; none for no picture; beside the
        run's artifacts, unless given.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.diagnosis.recognition import as_tables, draw_confusion
    from bench.errors import BenchError
    from bench.finished import find_run
    from bench.kept_recognitions import kept_recognitions
    from bench.suite import Suite

    place = Suite.at(suite)
    if not runs:
        raise BenchError("name a finished run of a speech task; see `bench list runs`")
    if isinstance(picture, Path) and picture.suffix not in (".png", ".svg", ".pdf"):
        raise BenchError(f"--picture {picture}: name a .png, .svg or .pdf file, or none")
    if isinstance(picture, Path) and len(runs) > 1:
        raise BenchError("--picture names one file: give one run")
    for name in runs:
        finished = find_run(place, name)
        if finished.record.metric != "phone-error-rate":
            raise BenchError(f"run {finished.id} measures {finished.record.metric}: no edits")
        found = kept_recognitions(place, finished.record, split)
        scored = found.errors()
        print(
            as_tables(
                finished.id, split, found.header.signature, scored, num_confusions=num_confusions
            )
        )
        if picture != "none":
            path = picture or finished.folder / f"confusions-{split}.png"
            draw_confusion(scored.confusion, f"{finished.id}, {split}", path)
            print(f"\npicture {path}")
