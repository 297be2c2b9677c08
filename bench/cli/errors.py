"""`bench errors`: what a recogniser of speech or a translator gets wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.finished import FinishedRun
    from bench.suite import Suite

Picture = Literal["none"] | Path | None


def errors(
    *runs: str,
    split: Literal["valid", "test"] = "test",
    num_confusions: int = 15,
    num_groups: int = 8,
    picture: Literal["none"] | Path | None = None,
    suite: Path = Path(),
) -> None:
    """Show what finished runs get wrong.

    Of speech: kinds of edits, speakers, confused phones. Of translations: BLEU over the length of
    sentences and over the rarity of their words, with bootstrap intervals; a picture of several
    runs has a line for each. What a run made of each utterance or sentence lies in
    `artifacts/<task>/<run>/`; where it is gone, it is made again from the weights. Two runs are
    told apart by `bench compare`.

        bench errors lstm-9d0e1f2a-s1
        bench errors lstm-9d0e --split valid --num-confusions 30
        bench errors lstm-9d0e --picture confusions.svg
        bench errors gru-77aa-s1 gru-81c2-s1 --picture bleu-by-length.svg

    Parameters
    ----------
    runs
        Names of finished runs, or how they begin; see `bench list runs`.
    split
        Validation or test.
    num_confusions
        Of speech: how many of the most frequent confusions are listed.
    num_groups
        Of translations: groups of about as many sentences, by length and by rank.
    picture
        Where to draw the confusion matrix or the curves, .png, .svg or .pdf; none for no picture;
        beside the run's artifacts, unless given.
    suite
        Folder with further `tasks/`, with `results/` and `artifacts/`.
    """
    from bench.errors import BenchError
    from bench.finished import find_run
    from bench.suite import Suite

    place = Suite.at(suite)
    if not runs:
        raise BenchError(
            "name a finished run of a speech task or a translation task; see `bench list runs`"
        )
    if isinstance(picture, Path) and picture.suffix not in (".png", ".svg", ".pdf"):
        raise BenchError(f"--picture {picture}: name a .png, .svg or .pdf file, or none")
    if num_groups < 1:
        raise BenchError(f"--num-groups {num_groups}: give 1 or more")
    found = [find_run(place, name) for name in runs]
    metrics = {finished.record.metric for finished in found}
    if metrics == {"bleu"}:
        _translations(place, found, split, picture, num_groups=num_groups)
        return
    for finished in found:
        if finished.record.metric != "phone-error-rate":
            raise BenchError(f"run {finished.id} measures {finished.record.metric}: no edits")
    _recognitions(place, found, split, picture, num_confusions=num_confusions)


def _recognitions(
    suite: Suite, runs: list[FinishedRun], split: str, picture: Picture, *, num_confusions: int
) -> None:
    from bench.diagnosis.recognition import as_tables, draw_confusion
    from bench.errors import BenchError
    from bench.kept_recognitions import kept_recognitions

    if isinstance(picture, Path) and len(runs) > 1:
        raise BenchError("--picture names one file: give one run")
    for finished in runs:
        found = kept_recognitions(suite, finished.record, split)
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


def _translations(
    suite: Suite, runs: list[FinishedRun], split: str, picture: Picture, *, num_groups: int
) -> None:
    from bench.diagnosis.translation import as_tables, curves, draw_curves
    from bench.kept_translations import kept_translations

    drawn = {}
    for finished in runs:
        made = kept_translations(suite, finished.record, split)
        drawn[finished.id] = found = curves(made, num_groups=num_groups)
        print(as_tables(finished.id, split, made, found), end="\n\n")
        if picture is None:
            path = finished.folder / f"bleu-{split}.png"
            draw_curves({finished.id: found}, path)
            print(f"picture {path}\n")
    if isinstance(picture, Path):
        draw_curves(drawn, picture)
        print(f"picture {picture}")
