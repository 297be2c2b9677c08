"""`bench errors`: what a recogniser, a translator, a captioner or a predictor gets wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.core.suite import Suite
    from bench.runs.error_curves import Curve
    from bench.runs.finished import FinishedRun

Picture = Literal["none"] | Path | None


def errors(
    *runs: str,
    split: Literal["valid", "test"] = "test",
    num_confusions: int = 15,
    num_groups: int = 8,
    num_examples: int = 5,
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
    is gone, it is made again from the weights. Two runs are told apart by `bench compare`.

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
        raise BenchError(
            "name a finished run of a speech, translation, captioning or frames task; see "
            "`bench list runs`"
        )
    if isinstance(picture, Path) and picture.suffix not in (".png", ".svg", ".pdf"):
        raise BenchError(f"--picture {picture}: name a .png, .svg or .pdf file, or none")
    if num_groups < 1:
        raise BenchError(f"--num-groups {num_groups}: give 1 or more")
    if num_examples < 0:
        raise BenchError(f"--num-examples {num_examples}: give 0 or more")
    found = [find_run(place, name) for name in runs]
    metrics = {finished.record.metric for finished in found}
    if metrics == {"bleu"}:
        _translations(place, found, split, picture, num_groups=num_groups)
        return
    if metrics == {"cider"}:
        _captions(place, found, split, picture, num_groups=num_groups, num_examples=num_examples)
        return
    if metrics == {"cross-entropy"}:
        _frames(place, found, split, picture)
        return
    for finished in found:
        if finished.record.metric != "phone-error-rate":
            raise BenchError(f"run {finished.id} measures {finished.record.metric}: no edits")
    _recognitions(place, found, split, picture, num_confusions=num_confusions)


def _recognitions(
    suite: Suite, runs: list[FinishedRun], split: str, picture: Picture, *, num_confusions: int
) -> None:
    from bench.core.errors import BenchError
    from bench.speech.outputs import as_tables, draw_confusion, kept_recognitions

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
    from bench.translation.outputs import as_tables, curves, kept_translations

    drawn = {}
    for finished in runs:
        made = kept_translations(suite, finished.record, split)
        drawn[finished.id] = found = curves(made, num_groups=num_groups)
        print(as_tables(finished.id, split, made, found), end="\n\n")
        _draw_one(finished, found, picture, name=f"bleu-{split}.png", metric="BLEU")
    _draw_all(
        drawn,
        picture,
        metric="BLEU",
        different="the runs translated different sentences: draw them one by one",
    )


def _captions(
    suite: Suite,
    runs: list[FinishedRun],
    split: str,
    picture: Picture,
    *,
    num_groups: int,
    num_examples: int,
) -> None:
    from bench.captioning.errors import as_tables, curves
    from bench.captioning.outputs import kept_captions

    drawn = {}
    for finished in runs:
        made = kept_captions(suite, finished.record, split)
        drawn[finished.id] = found = curves(made, num_groups=num_groups)
        print(as_tables(finished.id, split, made, found, num_examples=num_examples), end="\n\n")
        _draw_one(finished, found, picture, name=f"cider-{split}.png", metric="CIDEr")
    _draw_all(
        drawn,
        picture,
        metric="CIDEr",
        different="the runs describe images with different references: draw them one by one",
    )


def _frames(suite: Suite, runs: list[FinishedRun], split: str, picture: Picture) -> None:
    from bench.frames.outputs import as_tables, curves, frames_path, kept_frames

    drawn = {}
    for finished in runs:
        made = kept_frames(suite, finished.record, split)
        drawn[finished.id] = found = curves(made)
        signature = finished.record.signature
        print(as_tables(finished.id, split, signature, made, found), end="\n\n")
        print(f"strips {frames_path(finished.folder, split).with_suffix('.png')}")
        _draw_one(finished, found, picture, name=f"losses-{split}.png", metric="a frame")
    _draw_all(
        drawn,
        picture,
        metric="a frame",
        different="the runs predicted different numbers of frames: draw them one by one",
    )


def _draw_one(
    run: FinishedRun, found: dict[str, Curve], picture: Picture, *, name: str, metric: str
) -> None:
    """The run's own picture, where no other is asked for."""
    from bench.runs.error_curves import draw_curves

    if picture is None and found:
        draw_curves({run.id: found}, run.folder / name, metric=metric, different="")
        print(f"picture {run.folder / name}\n")


def _draw_all(
    drawn: dict[str, dict[str, Curve]], picture: Picture, *, metric: str, different: str
) -> None:
    """One picture of all runs, where it is asked for."""
    from bench.runs.error_curves import draw_curves

    if isinstance(picture, Path) and all(drawn.values()):
        draw_curves(drawn, picture, metric=metric, different=different)
        print(f"picture {picture}")
