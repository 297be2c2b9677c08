"""`bench data` on speech: places, formats, labels, sizes of the splits, every bad utterance."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.core.aligned import aligned
from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.problems import check_problems, default_style, progress_bar
from bench.data.sources import DownloadProgress, own_folder
from bench.speech.data.own import OwnCorpus, list_own
from bench.speech.data.prepared import THING, SpeechData, make_features, prepare
from bench.speech.data.specification import OwnSpeechSpec, SpeechSpec, candidate_folders

NUM_LABELS_SHOWN, NUM_PROBLEMS_SHOWN = 60, 50


def inspect(
    card: Card, data: DataConfig, *, fetch: bool, progress: DownloadProgress | None
) -> None:
    """Print the places of the corpus, every bad utterance by name, and the sizes of the splits."""
    del progress  # nothing is downloaded
    if isinstance(card.corpus, OwnSpeechSpec):
        _inspect_own(card.corpus, card.task, data, fetch=fetch)
    else:
        _inspect_card(card, data, fetch=fetch)


def _inspect_card(card: Card, data: DataConfig, *, fetch: bool) -> None:
    spec, task, path = card.corpus, card.task, own_folder(card.task, data)
    if isinstance(spec, SpeechSpec):
        places = candidate_folders(spec, path)
        states = [(str(place), "there" if place.is_dir() else "missing") for place in places]
        print(aligned(("folder", "state"), states))
        if fetch:
            raise BenchError(f"{task} is not downloaded: get it from {spec.obtain}")
    else:
        print(f"{task} is generated and needs no file")
    skipping = msgspec.structs.replace(data, on_bad="skip")
    corpus = prepare(card, skipping, style=default_style())
    for problem in corpus.skipped:
        print(problem)
    check_problems(corpus.skipped, "refuse", task=task, thing=THING)
    splits = ", ".join(
        f"{name} {len(split):,} ({sum(map(len, split.labels)):,} phones)"
        for name, split in corpus.splits.items()
    )
    checked = "generated"
    if isinstance(spec, SpeechSpec):
        checked = "verified" if spec.samples_sha256 else "counted"
    print(f"{task}: {checked}; {len(corpus.corpus.labels)} labels; utterances: {splits}")


def _inspect_own(spec: OwnSpeechSpec, task: str, data: DataConfig, *, fetch: bool) -> None:
    if fetch:
        raise BenchError(f"{task} reads your own recordings: there is nothing to fetch")
    own = list_own(spec, data, task=task)
    _print_own(own)
    with progress_bar(f"features of {task}", default_style()) as report:
        features = make_features(own.corpus, task=task, on_bad="skip", progress=report)
    print(aligned(*_sizes(features)))
    for problem in features.skipped[:NUM_PROBLEMS_SHOWN]:
        print(problem)
    if (more := len(features.skipped) - NUM_PROBLEMS_SHOWN) > 0:
        print(f"and {more:,} more")
    check_problems(features.skipped, "refuse", task=task, thing=THING)
    checksums = "; ".join(f"{name} {digits[:12]}" for name, digits in features.checksums.items())
    print(f"{task}: counted; {len(own.corpus.labels):,} {own.units}; sha256: {checksums}")


def _print_own(own: OwnCorpus) -> None:
    """Print the origin of the splits, the formats of the recordings and the labels."""
    print(f"splits: {own.splits}")
    rows = [
        (f"{found.rate_hz:,} Hz", str(found.num_channels), f"{number:,}")
        for found, number in sorted(own.recordings.formats.items())
    ]
    print(aligned(("rate", "channels", "recordings"), rows))
    how = "resampled to" if own.recordings.resample else "read at"
    print(f"{how} {own.recordings.sample_rate_hz:,} Hz")
    labels = own.corpus.labels
    shown = " ".join(labels[:NUM_LABELS_SHOWN])
    more = f" and {len(labels) - NUM_LABELS_SHOWN:,} more" if len(labels) > NUM_LABELS_SHOWN else ""
    print(f"{len(labels):,} {own.units}: {shown}{more}")


def _sizes(features: SpeechData) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Header and rows of the table of splits; hours are those of the frames."""
    corpus = features.corpus
    header = ("split", "utterances", "speakers", "hours", f"{corpus.unit}s")
    rows = []
    for name, split in features.splits.items():
        hours = int(split.num_frames.sum()) * corpus.recipe.shift_ms / 3_600_000
        speakers = len({utterance.speaker for utterance in split.utterances})
        num_labels = sum(map(len, split.labels))
        rows.append((name, f"{len(split):,}", f"{speakers:,}", f"{hours:.2f}", f"{num_labels:,}"))
    return header, rows
