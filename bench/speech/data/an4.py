"""AN4 in CMU's layout: lists, transcripts, a dictionary, and one recording an utterance.

    etc/an4_train.fileids          an4_clstk/fash/an251-fash-b
    etc/an4_train.transcription    <s> YES </s> (an251-fash-b)
    etc/an4.dic                    YES   Y EH S
    wav/an4_clstk/fash/an251-fash-b.sph    (or .raw, .flac, .wav; or below audio/)

Phones are the dictionary's first pronunciation of each word; AN4 does not say which one was
spoken. Speakers that the card names for `valid` are taken from the training list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BenchError
from bench.data.decoding import read_text_lines
from bench.data.files import walk_files
from bench.speech.data.corpus import Problem, UnusableError, Utterance
from bench.speech.data.specification import SpeechSpec

LISTS = ("train", "test")
FOLDERS = ("wav", "audio")
SUFFIXES = (".sph", ".raw", ".flac", ".wav")


@dataclass(frozen=True, kw_only=True)
class _Tree:
    """Contents of the folder."""

    root: Path
    places: Mapping[str, list[str]]
    """List -> places of its utterances, such as `an4_clstk/fash/an251-fash-b`."""
    words: Mapping[str, list[str]]
    """Utterance -> words."""
    dictionary: Mapping[str, tuple[str, ...]]
    audio: Mapping[str, Path]
    """Place -> file."""


def list_an4(
    spec: SpeechSpec, folder: Path
) -> tuple[dict[str, tuple[Utterance, ...]], list[Problem]]:
    """Utterances by split, and those that cannot be used.

    Raises BenchError for missing lists, for an unreadable line of one, and for a development
    speaker who is not in the training list.
    """
    tree = _read(folder / "an4" if (folder / "an4" / "etc").is_dir() else folder)
    _check_speakers(spec, tree)
    splits: dict[str, list[Utterance]] = {"train": [], "valid": [], "test": []}
    problems = list(_unlisted(tree))
    for name in LISTS:
        for place in tree.places[name]:
            speaker, utterance = place.split("/")[-2:]
            split = "valid" if speaker in spec.speakers.get("valid", ()) else name
            try:
                phones = _phones(place, utterance, tree, set(spec.labels))
            except UnusableError as bad:
                detail = f"{tree.root}: {place}: {bad.detail}"
                problems.append(
                    Problem(utterance=utterance, split=split, kind=bad.kind, detail=detail)
                )
            else:
                found = Utterance(
                    id=utterance, speaker=speaker, labels=phones, audio=tree.audio[place]
                )
                splits[split].append(found)
    return {split: tuple(utterances) for split, utterances in splits.items()}, problems


def _phones(place: str, utterance: str, tree: _Tree, known: set[str]) -> tuple[str, ...]:
    words = tree.words.get(utterance)
    if place not in tree.audio:
        raise UnusableError("no audio", "listed, but neither in wav/ nor in audio/")
    if words is None:
        raise UnusableError("no transcript", "listed, but without a transcript")
    if not words:
        raise UnusableError("bad transcript", "no word")
    for word in words:
        if word not in tree.dictionary:
            raise UnusableError("unknown word", f"{word!r} is not in etc/an4.dic")
    phones = tuple(phone for word in words for phone in tree.dictionary[word])
    for phone in phones:
        if phone not in known:
            raise UnusableError("unknown phone", f"{phone!r} of etc/an4.dic is not the card's")
    return phones


def _read(root: Path) -> _Tree:
    words: dict[str, list[str]] = {}
    for name in LISTS:
        words.update(_transcripts(_list(root, f"an4_{name}.transcription")))
    return _Tree(
        root=root,
        places={
            name: " ".join(read_text_lines(_list(root, f"an4_{name}.fileids"))).split()
            for name in LISTS
        },
        words=words,
        dictionary=_dictionary(_list(root, "an4.dic")),
        audio=_recordings(root),
    )


def _list(root: Path, name: str) -> Path:
    path = root / "etc" / name
    if not path.is_file():
        raise BenchError(f"{path} is missing: put CMU's an4 folder (etc/ and wav/) there")
    return path


def _dictionary(path: Path) -> dict[str, tuple[str, ...]]:
    """Word -> phones of its first pronunciation; `WORD(2)` and on are the others."""
    dictionary: dict[str, tuple[str, ...]] = {}
    for line in read_text_lines(path):
        word, *phones = line.split() or [""]
        if word and not re.search(r"\(\d+\)$", word):
            dictionary.setdefault(word, tuple(phones))
    return dictionary


def _transcripts(path: Path) -> dict[str, list[str]]:
    found = {}
    for number, line in enumerate(read_text_lines(path), start=1):
        match = re.fullmatch(r"(.*)\((\S+)\)\s*", line)
        if match is None:
            raise BenchError(f"{path}, line {number}: no (name) at the end: {line[:60]!r}")
        found[match[2]] = [word for word in match[1].split() if word not in ("<s>", "</s>")]
    return found


def _recordings(root: Path) -> dict[str, Path]:
    """Place -> file; of several formats the first of SUFFIXES."""
    found: dict[str, Path] = {}
    for folder in (root / name for name in FOLDERS):
        paths = list(walk_files(folder)) if folder.is_dir() else []
        for suffix in SUFFIXES:
            for path in sorted(path for path in paths if path.name.endswith(suffix)):
                found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return found


def _check_speakers(spec: SpeechSpec, tree: _Tree) -> None:
    listed = {place.split("/")[-2] for place in tree.places["train"]}
    if absent := sorted(set(spec.speakers.get("valid", ())) - listed):
        raise BenchError(
            f"{tree.root}/etc/an4_train.fileids: development speakers {', '.join(absent)} are not "
            "in it; put the original list in its place"
        )


def _unlisted(tree: _Tree) -> Iterator[Problem]:
    listed = {place for places in tree.places.values() for place in places}
    for place in sorted(set(tree.audio) - listed):
        detail = f"{tree.audio[place]} is in neither list"
        yield Problem(utterance=Path(place).name, kind="no transcript", detail=detail)
