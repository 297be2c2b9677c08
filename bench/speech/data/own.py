"""Corpus of the user's recordings: transcripts cut into labels, and splits that are held out.

    characters    t h e _ c a t       of the NFC form; white space becomes the card's `space`
    words         the cat             between white space
    phones        DH AH K AE T        by lexicon.txt in the folder (a line a word: `the DH AH`),
                                      or, where there is none, the transcripts as they are

The labels are those of the training transcripts; an utterance of another split that has others is
bad. Case and punctuation stay as they are.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.splits import SPLITS
from bench.data.decoding import read_text_lines
from bench.data.identity import file_sha256
from bench.data.problems import summary
from bench.data.sources import own_folder
from bench.speech.data.corpus import (
    Problem,
    SpeechCorpus,
    UnusableError,
    Utterance,
    digest_of_lines,
    labels_sha256,
)
from bench.speech.data.recordings import OwnRecordings, commonest_rate, read_formats
from bench.speech.data.specification import OwnSpeechSpec, Units
from bench.speech.data.transcripts import LAYOUTS, Entry, read_transcripts

LEXICON = "lexicon.txt"
UNKNOWN_SPEAKER = "unknown"
HELD_OUT = ("test", "valid")
Lexicon = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class OwnCorpus:
    """Corpus with facts that `bench data` prints."""

    corpus: SpeechCorpus
    recordings: OwnRecordings
    units: str
    """Labels in words, such as `phones by lexicon.txt`."""
    splits: str
    """Origin of the splits in words."""


@dataclass(frozen=True, kw_only=True)
class _Labelled:
    """Utterances with labels, before any recording is opened."""

    labels: tuple[str, ...]
    splits: dict[str, tuple[Utterance, ...]]
    problems: tuple[Problem, ...]
    units: str
    origin: str

    @property
    def unit(self) -> str:
        return self.units.split()[0].removesuffix("s")


def list_own(spec: OwnSpeechSpec, data: DataConfig, *, task: str) -> OwnCorpus:
    """Utterances in the folder `data.path`.

    Raises BenchError where there is no folder or none of the layouts, and for a lexicon that cannot
    be read. Single bad utterances are in `problems`.
    """
    found = _label(spec, data, task=task)
    every = (utterance.audio for part in found.splits.values() for utterance in part)
    formats = read_formats(path for path in every if path is not None)
    recordings = OwnRecordings(
        sample_rate_hz=data.resample or commonest_rate(formats),
        resample=data.resample is not None,
        channels=data.channels,
        clipped_share_max=spec.clipped_share_max,
        formats=formats,
    )
    corpus = SpeechCorpus(
        labels=found.labels,
        folding={label: label for label in found.labels},
        splits=found.splits,
        recordings=recordings,
        recipe=spec.features,
        unit=found.unit,
        space=spec.space if found.unit == "character" else None,
        problems=found.problems,
    )
    return OwnCorpus(corpus=corpus, recordings=recordings, units=found.units, splits=found.origin)


def own_digests(spec: OwnSpeechSpec, data: DataConfig, *, task: str) -> dict[str, str]:
    """Checksums of the transcripts in labels, and of the files of the recordings."""
    found = _label(spec, data, task=task)
    lines = [
        f"{utterance.id} {file_sha256(utterance.audio)}"
        for part in found.splits.values()
        for utterance in part
        if utterance.audio is not None
    ]
    labels = labels_sha256(found.splits)
    return {f"{found.unit}s": labels, "recordings": digest_of_lines(lines)}


def _label(spec: OwnSpeechSpec, data: DataConfig, *, task: str) -> _Labelled:
    folder = own_folder(task, data)
    if folder is None:
        raise BenchError(
            f"{task} reads your own recordings: name their folder with --data.path DIR (`bench "
            f"data`: --path DIR), which holds {LAYOUTS}"
        )
    if not folder.is_dir():
        raise BenchError(f"{task}: {folder} is no folder: name the one that holds your recordings")
    read = read_transcripts(folder)
    entries, origin = hold_out(spec, read.entries, folder, read.problems)
    units = data.units or spec.units
    lexicon = read_lexicon(folder / LEXICON) if units == "phones" else None
    splits, problems = _utterances(entries, units, lexicon, spec.space)
    labels, unknown = _labels(splits, entries, unit=units.removesuffix("s"))
    bad = {problem.utterance for problem in unknown}
    return _Labelled(
        labels=labels,
        splits={s: tuple(u for u in part if u.id not in bad) for s, part in splits.items()},
        problems=(*read.problems, *problems, *unknown),
        units=f"{units} by {LEXICON}" if lexicon else units,
        origin=origin,
    )


# Splits -----------------------------------------------------------------------------------------


def hold_out(
    spec: OwnSpeechSpec,
    entries: Mapping[str, Sequence[Entry]],
    folder: Path,
    problems: Sequence[Problem] = (),
) -> tuple[dict[str, list[Entry]], str]:
    """Splits of which those that are missing are taken out of `train`; how, in words.

    Names are in the order of the SHA-256 of `<seed> <name>`, so that a split depends on nothing but
    the names. Whole speakers where at least `num_speakers_min` are named and every entry names one,
    passing over who would more than double the share; single utterances elsewhere. Raises
    BenchError, with the `problems` of the rest, for too few entries.
    """
    missing = [split for split in HELD_OUT if split not in entries]
    if not missing:
        return {split: list(entries[split]) for split in SPLITS}, "those of the folder"
    left, wanted = list(entries["train"]), spec.held_out_share * len(entries["train"])
    if len(left) <= len(missing):
        raise BenchError(
            f"{folder} holds {len(left)} usable training utterances: too few to hold "
            f"{' and '.join(reversed(missing))} out of them"
            + (f"; {summary(problems, thing='utterance')}" if problems else "")
        )
    taken, manner = _whole_speakers(spec, left, wanted, missing), "speakers"
    if taken is None:
        ordered = _by_hash(spec.seed, (entry.id for entry in left))
        number, manner = max(1, round(wanted)), "utterances"
        taken = {s: set(ordered[i * number :][:number]) for i, s in enumerate(missing)}
    splits = {split: list(part) for split, part in entries.items()}
    for split, names in taken.items():
        splits[split] = [entry for entry in left if entry.id in names]
    gone = set().union(*taken.values())
    splits["train"] = [entry for entry in left if entry.id not in gone]
    parts = " and ".join(reversed(missing))
    origin = f"{manner} of {parts} held out of train by their names (seed {spec.seed})"
    return {split: splits[split] for split in SPLITS}, origin


def _by_hash(seed: int, names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest())


def _whole_speakers(
    spec: OwnSpeechSpec, entries: Sequence[Entry], wanted: float, missing: Sequence[str]
) -> dict[str, set[str]] | None:
    """Split -> ids of the entries of its speakers; None where speakers cannot be held out."""
    numbers = Counter(entry.speaker for entry in entries if entry.speaker)
    if len(numbers) < spec.num_speakers_min or numbers.total() < len(entries):
        return None
    waiting = _by_hash(spec.seed, numbers)
    taken: dict[str, set[str]] = {}
    for split in missing:
        chosen, total = set[str](), 0
        for speaker in waiting:
            if total < wanted and total + numbers[speaker] <= 2 * wanted:
                chosen.add(speaker)
                total += numbers[speaker]
        if not chosen:
            return None
        waiting = [speaker for speaker in waiting if speaker not in chosen]
        taken[split] = {entry.id for entry in entries if entry.speaker in chosen}
    return taken


# Labels -----------------------------------------------------------------------------------------


def read_lexicon(path: Path) -> Lexicon | None:
    """Word, as it is and without case, -> phones of its first pronunciation; None without a file.

    A line is a word and its phones between white space; `;;;` begins a comment, `word(2)` is a
    further pronunciation. Raises BenchError for a line without phones and for one that is no text.
    """
    if not path.is_file():
        return None
    exact, folded = dict[str, tuple[str, ...]](), dict[str, tuple[str, ...]]()
    for number, line in enumerate(read_text_lines(path), start=1):
        word, *phones = unicodedata.normalize("NFC", line).split() or [";;;"]
        if word.startswith(";;;") or re.search(r".\(\d+\)$", word):
            continue
        if not phones:
            raise BenchError(f"{path}, line {number}: the word {word!r} has no phones")
        exact.setdefault(word, tuple(phones))
        folded.setdefault(word.casefold(), tuple(phones))
    if not exact:
        raise BenchError(f"{path} holds no word: remove it where transcripts are phones already")
    return {**folded, **exact}


def cut(text: str, units: Units, *, lexicon: Lexicon | None, space: str) -> tuple[str, ...]:
    """Labels of a transcript; raises UnusableError for one that has none."""
    words = unicodedata.normalize("NFC", text).split()
    if not words:
        raise UnusableError("empty transcript", "no text")
    if units == "characters":
        if space in "".join(words):
            raise UnusableError("bad transcript", f"it holds {space!r}, which stands for blanks")
        return tuple(space.join(words))
    if lexicon is None:
        return tuple(words)
    phones: list[str] = []
    for word in words:
        found = lexicon.get(word) or lexicon.get(word.casefold())
        if found is None:
            raise UnusableError("unknown word", f"{word!r} is not in {LEXICON}")
        phones += found
    return tuple(phones)


def _utterances(
    entries: Mapping[str, Sequence[Entry]], units: Units, lexicon: Lexicon | None, space: str
) -> tuple[dict[str, list[Utterance]], list[Problem]]:
    splits: dict[str, list[Utterance]] = {split: [] for split in SPLITS}
    problems = []
    for split, part in entries.items():
        for entry in part:
            try:
                labels = cut(entry.text, units, lexicon=lexicon, space=space)
            except UnusableError as bad:
                detail = f"{entry.where}: {bad.detail}"
                problems.append(
                    Problem(utterance=entry.id, split=split, kind=bad.kind, detail=detail)
                )
                continue
            speaker = entry.speaker or UNKNOWN_SPEAKER
            splits[split].append(
                Utterance(id=entry.id, speaker=speaker, labels=labels, audio=entry.audio)
            )
    return splits, problems


def _labels(
    splits: Mapping[str, Sequence[Utterance]], entries: Mapping[str, Sequence[Entry]], *, unit: str
) -> tuple[tuple[str, ...], list[Problem]]:
    """Labels of training, sorted, and utterances of other splits that have others."""
    known = {label for utterance in splits["train"] for label in utterance.labels}
    problems = []
    for split in HELD_OUT:
        where = {entry.id: entry.where for entry in entries[split]}
        for utterance in splits[split]:
            if lacking := [label for label in utterance.labels if label not in known]:
                detail = f"{where[utterance.id]}: {lacking[0]!r} is in no training transcript"
                problems.append(
                    Problem(
                        utterance=utterance.id, split=split, kind=f"unknown {unit}", detail=detail
                    )
                )
    return tuple(sorted(known)), problems
