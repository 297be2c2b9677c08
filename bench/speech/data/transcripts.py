"""Transcripts of the user's recordings, as lists or beside the recordings.

    train.tsv, valid.tsv, test.tsv     a list a split, tab-separated (.csv: commas): a header, and a
                                       line a recording; its path is from the list's folder, or from
                                       clips/, audio/ or wav/ there
    train/, valid/, test/              a folder a split: a list in it, or x.wav with x.txt, or lines
                                       `x transcript` in *.trans.txt; folders in it are speakers
    metadata.csv, or recordings        one list, or one folder of recordings, without splits

Names are those of `bench.data.sources.SPLIT_WORDS`: dev-clean and my.validation.csv are `valid`.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.errors import BenchError
from bench.data.decoding import UnreadableError
from bench.data.files import walk_files
from bench.data.lines import Lines, read_lines
from bench.data.sources import SPLIT_WORDS
from bench.speech.data.corpus import Problem
from bench.speech.data.recordings import SUFFIXES

DELIMITERS = {".tsv": "\t", ".csv": ","}
PATH_COLUMNS = ("path", "file_name", "audio")
TEXT_COLUMNS = ("transcript", "sentence", "transcription", "text")
SPEAKER_COLUMNS = ("speaker", "client_id", "speaker_id")
AUDIO_FOLDERS = ("", "clips", "audio", "wav")
BESIDE, MANY = ".txt", ".trans.txt"
LAYOUTS = (
    "train.tsv, valid.tsv and test.tsv with the columns path and transcript, or folders train/, "
    "valid/ and test/ of recordings with transcripts beside them (x.wav and x.txt)"
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Recording with its transcript; `where` is the transcript's file, and line in a list."""

    id: str
    """Path of the recording from the corpus's folder, or the absolute one that is listed, without
    its suffix."""
    audio: Path
    text: str
    speaker: str | None
    where: str


@dataclass(kw_only=True)
class Transcripts:
    """Entries of each split that the folder has; `train` alone where it has none."""

    root: Path
    sources: dict[str, Path] = field(default_factory=dict)
    """Split -> list or folder."""
    entries: dict[str, list[Entry]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    """Id -> where it stands first."""

    def add(self, split: str, entry: Entry) -> None:
        """Keep an entry, unless its recording is missing or has been listed before."""
        name, where = entry.id, entry.where
        if name in self.places:
            detail = f"{where}: {name} stands in {self.places[name]} already"
            self.reject(split, name, "listed twice", detail)
            return
        self.places[name] = where
        if not entry.audio.is_file():
            self.reject(split, name, "no audio", f"{where}: {entry.audio} is not there")
            return
        self.entries[split].append(entry)

    def reject(self, split: str, name: str, kind: str, detail: str) -> None:
        """Keep a problem."""
        problem = Problem(utterance=name, split=split, kind=kind, detail=detail)
        self.problems.append(problem)

    def name(self, audio: Path, listed: str = "") -> str:
        """Path from the root without the suffix; where an absolute one leaves the root, itself."""
        name = Path(os.path.relpath(audio, self.root))
        if name.parts[0] == ".." and Path(listed).is_absolute():
            name = Path(listed)
        return (name.with_suffix("") if name.suffix.lower() in SUFFIXES else name).as_posix()


def read_transcripts(folder: Path) -> Transcripts:
    """Entries of a folder by split.

    Raises BenchError for a folder in none of the layouts, for several candidates for a split, for
    unreadable lists and those without the columns. Single bad entries are in `problems`.
    """
    found = Transcripts(root=folder, sources=find_splits(folder))
    for split, source in found.sources.items():
        found.entries[split] = []
        if source.is_dir() and (lists := lists_in(source)):
            source = _only(lists, f"{source} holds several lists")
        if source.is_dir():
            _read_folder(found, split, source)
        else:
            _read_list(found, split, source)
        if not found.entries[split] and not found.problems:
            raise BenchError(f"{source} holds no recordings: put there {LAYOUTS}")
    return found


# Splits -----------------------------------------------------------------------------------------


def find_splits(folder: Path) -> dict[str, Path]:
    """List or folder of each split, `train` first; a single one without splits is `train`."""
    lists = lists_in(folder)
    if any(_split_of(path) == "train" for path in lists):
        return _by_split(folder, [path for path in lists if _split_of(path)])
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir() and _split_of(path)]
    if not lists and any(_split_of(path) == "train" for path in folders):
        return _by_split(folder, folders)
    if alone := [path for path in [*lists, *folders] if _split_of(path)]:
        names = ", ".join(path.name for path in alone)
        raise BenchError(f"{folder} holds {names}, but no training utterances: {LAYOUTS}")
    return {"train": _only(lists, f"{folder} holds several lists") if lists else folder}


def lists_in(folder: Path) -> list[Path]:
    """Lists of a folder by name; hidden files are none."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in DELIMITERS and path.is_file() and not path.name.startswith(".")
    ]


def _split_of(path: Path) -> str | None:
    words = set(re.split(r"[._-]", path.name.lower()))
    return next((split for split, names in SPLIT_WORDS.items() if words & set(names)), None)


def _by_split(folder: Path, paths: Sequence[Path]) -> dict[str, Path]:
    return {
        split: _only(own, f"{folder} holds several {split} splits")
        for split in SPLIT_WORDS
        if (own := [path for path in paths if _split_of(path) == split])
    }


def _only(paths: Sequence[Path], otherwise: str) -> Path:
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise BenchError(f"{otherwise} ({names}): leave only one of them, named for its split")
    return paths[0]


# Lists ------------------------------------------------------------------------------------------


def _read_list(found: Transcripts, split: str, path: Path) -> None:
    lines, faults = _readable(path)
    rows = _rows(path, lines, faults)
    if 0 in faults:
        raise BenchError(f"{path}, line 1: {faults[0]}")
    _, header = next(rows, (1, []))
    columns = {name.strip().lower(): place for place, name in reversed([*enumerate(header)])}
    audio = _column(columns, PATH_COLUMNS, "recordings", path, header)
    text = _column(columns, TEXT_COLUMNS, "transcripts", path, header)
    speaker = next((columns[name] for name in SPEAKER_COLUMNS if name in columns), None)
    for place, fault in faults.items():
        line = f"line {place + 1}"
        found.reject(split, line, "bad transcript", f"{path}, {line}: {fault}")
    for number, row in rows:
        where = f"{path}, line {number}"
        if len(row) != len(header) or not row[audio].strip():
            fields = f"{len(row)} fields where the header has {len(header)}"
            fault = fields if len(row) != len(header) else "no path of a recording"
            found.reject(split, f"line {number}", "bad line", f"{where}: {fault}")
            continue
        who = row[speaker].strip() if speaker is not None else ""
        listed = row[audio].strip()
        recording = _locate(path.parent, listed)
        name = found.name(recording, listed)
        entry = Entry(id=name, audio=recording, text=row[text], speaker=who or None, where=where)
        found.add(split, entry)


def _readable(path: Path) -> tuple[Lines, dict[int, str]]:
    """Lines of a file, and the faults of those that are no text."""
    try:
        lines = read_lines(path)
    except (OSError, UnreadableError) as error:
        raise BenchError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return lines, lines.undecodable()


def _rows(path: Path, lines: Lines, faults: dict[int, str]) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line, and fields, of each row; rows of nothing are left out."""
    delimiter = DELIMITERS[path.suffix.lower()]
    text = ("" if place in faults else f"{lines[place]}\n" for place in range(len(lines)))
    if delimiter == "\t":
        reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(value.strip() for value in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise BenchError(f"{path}, line {reader.line_num}: {error}") from None


def _column(
    columns: dict[str, int], names: Sequence[str], what: str, path: Path, header: Sequence[str]
) -> int:
    for name in names:
        if name in columns:
            return columns[name]
    shown = ", ".join(value.strip()[:40] for value in header[:8]) or "nothing"
    separator = "tabs" if path.suffix.lower() == ".tsv" else "commas"
    raise BenchError(
        f"{path}, line 1: no column of {what} ({' or '.join(names)}) in the header, which has "
        f"{shown}; columns are separated by {separator}"
    )


def _locate(folder: Path, name: str) -> Path:
    """Path of a listed recording; the first of AUDIO_FOLDERS where it is in none."""
    places = [folder / part / name for part in AUDIO_FOLDERS]
    return next((place for place in places if place.is_file()), places[0])


# Folders of recordings --------------------------------------------------------------------------


def _read_folder(found: Transcripts, split: str, folder: Path) -> None:
    audio, texts = _walk(folder)
    known = {path.with_suffix("") for path in audio}
    with_audio = {path.parent for path in audio}
    spoken = dict(_of_many(found, split, [p for p in texts if p.name.endswith(MANY)]))
    for path in texts:
        if path.with_suffix("") in known:
            spoken[path.with_suffix("")] = _beside(path)
        elif path.parent in with_audio and not path.name.endswith(MANY):
            found.reject(split, found.name(path), "no audio", f"{path} stands without a recording")
    for stem, said in spoken.items():
        if stem not in known:
            found.reject(
                split, found.name(stem), "no audio", f"{said.where}: {stem.name} is not there"
            )
    for path in audio:
        said = spoken.get(path.with_suffix(""), _Said(where=str(path)))
        if said.text is None:
            kind = "bad transcript" if said.fault else "no transcript"
            fault = said.fault or f"neither {path.stem}{BESIDE} nor a line in *{MANY} is beside it"
            found.reject(split, found.name(path), kind, f"{said.where}: {fault}")
            continue
        inside = path.relative_to(folder).parts[:-1]
        speaker = inside[0] if inside else None
        entry = Entry(
            id=found.name(path), audio=path, text=said.text, speaker=speaker, where=said.where
        )
        found.add(split, entry)


@dataclass(frozen=True, kw_only=True)
class _Said:
    """Transcript and its place, or why it cannot be read."""

    where: str
    text: str | None = None
    fault: str | None = None


def _beside(path: Path) -> _Said:
    lines, faults = _readable(path)
    for place, fault in faults.items():
        return _Said(where=f"{path}, line {place + 1}", fault=fault)
    return _Said(where=str(path), text=" ".join(lines))


def _of_many(found: Transcripts, split: str, paths: Sequence[Path]) -> Iterator[tuple[Path, _Said]]:
    """Path without suffix, and transcript, of each line of the *.trans.txt files."""
    for path in paths:
        lines, faults = _readable(path)
        for place in range(len(lines)):
            where = f"{path}, line {place + 1}"
            if place in faults:
                found.reject(
                    split, f"line {place + 1}", "bad transcript", f"{where}: {faults[place]}"
                )
            elif words := lines[place].split(maxsplit=1):
                text = words[1] if len(words) > 1 else ""
                yield path.parent / words[0], _Said(where=where, text=text)


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """Recordings and text files below a folder, through links, each folder once."""
    audio, texts = list[Path](), list[Path]()
    for path in walk_files(folder):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.suffix.lower() in SUFFIXES:
            audio.append(path)
        elif path.suffix == BESIDE:
            texts.append(path)
    return audio, texts
