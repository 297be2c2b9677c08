"""`bench data`: find, verify and fetch a task's files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from bench.captioning.data.specification import CaptionsSpec, SyntheticCaptionsSpec
    from bench.core.cards import Card
    from bench.data.sources import Download
    from bench.speech.data.specification import SpeechSpec, SyntheticSpeechSpec
    from bench.translation.data.specification import ParallelSpec, SyntheticTranslationSpec


def data(
    task: str,
    *,
    path: Path | None = None,
    fetch: Annotated[bool, Parameter(negative=())] = False,
    segmentation: str | None = None,
    languages: str | None = None,
    features: str | None = None,
    suite: Path = Path(),
) -> None:
    """Say where a task's files are and whether they are the right bytes.

    Nothing is downloaded unless `--fetch` says so.

        bench data ptb
        bench data ptb --fetch
        bench data parallel-text --path my-text --languages en-fr
        bench data flickr8k --features gist

    Parameters
    ----------
    task
        Name of a card; see `bench list tasks`.
    path
        Folder with a corpus of your own, for the tasks `text` and `parallel-text`: counted, not
        verified; of speech and captions the folder that holds the corpus.
    fetch
        Download what is missing from the card's mirrors, checked before it is kept, and the
        weights of the network that makes the features.
    segmentation
        Of translation: which of the card's segmentations is shown, the first unless you choose.
    languages
        Source and target of `parallel-text`, as its files' names end, such as en-fr.
    features
        Of captions: which features of the images are made and shown, the card's unless you
        choose: colour-histogram, hog, gist; vgg16-fc7, resnet50 (by torchvision); or your own.
    suite
        Folder with further `tasks/`.
    """
    from bench.captioning.data.specification import CaptionsSpec, SyntheticCaptionsSpec
    from bench.cli.listing import files
    from bench.core.suite import Suite
    from bench.domains import as_text, load_corpus
    from bench.speech.data.specification import SpeechSpec, SyntheticSpeechSpec
    from bench.text.data.specification import SyntheticTextSpec
    from bench.translation.data.specification import ParallelSpec, SyntheticTranslationSpec

    card = Suite.at(suite).card(task)
    if found := files(card, path):
        print(found)
    if isinstance(card.corpus, SpeechSpec | SyntheticSpeechSpec):
        _speech(card, card.corpus, path=path, fetch=fetch)
        return
    if isinstance(card.corpus, ParallelSpec | SyntheticTranslationSpec):
        _translation(card, card.corpus, path=path, fetch=fetch, chosen=(segmentation, languages))
        return
    if isinstance(card.corpus, CaptionsSpec | SyntheticCaptionsSpec):
        _captions(card, card.corpus, path=path, fetch=fetch, features=features)
        return
    if card.kind == "frames":
        _frames(card, path=path, fetch=fetch)
        return
    found_here = load_corpus(
        card.corpus,
        task=task,
        twin=card.twin,
        path=path,
        download="missing" if fetch else "never",
        segmentation=segmentation,
        languages=languages,
        features=features,
        progress=_progress(),
    )
    corpus = as_text(found_here, task=task)
    sizes = {split: len(tokens) for split, tokens in corpus.splits.items()}
    counts = ", ".join(f"{split} {size:,}" for split, size in sizes.items())
    generated = isinstance(card.corpus, SyntheticTextSpec)
    checked = "generated" if generated else "counted" if path else "verified"
    print(f"{task}: {checked}; {len(corpus.vocabulary.symbols):,} types; tokens: {counts}")


def _speech(
    card: Card, spec: SpeechSpec | SyntheticSpeechSpec, *, path: Path | None, fetch: bool
) -> None:
    """Every bad utterance by name, then what there is; makes the features on the way."""
    from bench.core.errors import BenchError
    from bench.data.problems import progress_bar
    from bench.speech.data.corpus import check_problems
    from bench.speech.data.prepared import prepare_speech
    from bench.speech.data.specification import SpeechSpec

    task = card.task
    if fetch and isinstance(spec, SpeechSpec):
        raise BenchError(f"{task} is not downloaded: get it from {spec.obtain}")
    with progress_bar(
        f"features of {task}", "live" if sys.stderr.isatty() else "plain"
    ) as progress:
        data = prepare_speech(
            spec, task=task, twin=card.twin, path=path, on_bad="skip", progress=progress
        )
    for problem in data.skipped:
        print(problem)
    check_problems(data.skipped, "refuse", task=task)
    splits = ", ".join(
        f"{name} {len(split):,} ({sum(map(len, split.labels)):,} phones)"
        for name, split in data.splits.items()
    )
    checked = "generated"
    if isinstance(spec, SpeechSpec):
        checked = "verified" if spec.samples_sha256 else "counted"
    print(f"{task}: {checked}; {len(data.corpus.labels)} labels; utterances: {splits}")


def _translation(
    card: Card,
    spec: ParallelSpec | SyntheticTranslationSpec,
    *,
    path: Path | None,
    fetch: bool,
    chosen: tuple[str | None, str | None],
) -> None:
    """The splits that are there and what is bad in them, then the vocabularies."""
    from bench.data.problems import progress_bar
    from bench.translation.data.prepared import prepare_parallel, report_files, report_symbols
    from bench.translation.data.specification import ParallelSpec

    task, (segmentation, languages) = card.task, chosen
    download: Download = "missing" if fetch else "never"
    with progress_bar(f"words of {task}", "live" if sys.stderr.isatty() else "plain") as progress:
        if isinstance(spec, ParallelSpec):
            report_files(
                spec,
                task=task,
                twin=card.twin,
                path=path,
                languages=languages,
                download=download,
                fetching=_progress(),
            )
        corpus = prepare_parallel(
            spec,
            task=task,
            path=path,
            segmentation=segmentation,
            languages=languages,
            progress=progress,
        )
    report_symbols(corpus, task=task, checked=_checked(spec))


def _captions(
    card: Card,
    spec: CaptionsSpec | SyntheticCaptionsSpec,
    *,
    path: Path | None,
    fetch: bool,
    features: str | None,
) -> None:
    """What is bad, then what there is; makes the features on the way."""
    from bench.captioning.data.prepared import prepare_captions, report
    from bench.data.problems import progress_bar

    download: Download = "missing" if fetch else "never"
    with progress_bar(
        f"features of {card.task}", "live" if sys.stderr.isatty() else "plain"
    ) as progress:
        corpus = prepare_captions(
            spec,
            task=card.task,
            twin=card.twin,
            path=path,
            features=features,
            on_bad="skip",
            download=download,
            weights=download,
            fetching=_progress(),
            progress=progress,
        )
    report(corpus, task=card.task, checked=_checked(spec))


def _frames(card: Card, *, path: Path | None, fetch: bool) -> None:
    """What moves, and how much of it can be said."""
    from bench.frames.data.prepared import prepare_frames, report
    from bench.frames.data.specification import MovingDigitsSpec, SyntheticFramesSpec

    spec = card.corpus
    assert isinstance(spec, MovingDigitsSpec | SyntheticFramesSpec)
    corpus = prepare_frames(
        spec,
        task=card.task,
        twin=card.twin,
        path=path,
        download="missing" if fetch else "never",
        fetching=_progress(),
    )
    checked = "generated"
    if isinstance(spec, MovingDigitsSpec):
        checked = "verified" if spec.pixels_sha256 else "counted"
    report(corpus, task=card.task, checked=checked)


def _checked(
    spec: ParallelSpec | SyntheticTranslationSpec | CaptionsSpec | SyntheticCaptionsSpec,
) -> str:
    from bench.captioning.data.specification import CaptionsSpec
    from bench.translation.data.specification import ParallelSpec

    if not isinstance(spec, ParallelSpec | CaptionsSpec):
        return "generated"
    known = [file.digest() is not None for file in spec.files.values()]
    return "verified" if known and all(known) else "counted"


def _progress() -> Callable[[str, int, int | None], None]:
    """One line for each tenth of a file."""
    shown: dict[str, int] = {}

    def report(name: str, num_bytes: int, total_bytes: int | None) -> None:
        tenth = 10 * num_bytes // total_bytes if total_bytes else 0
        if shown.get(name) != tenth:
            shown[name] = tenth
            print(f"fetching {name}: {num_bytes / 1e6:.1f} MB", file=sys.stderr)

    return report
