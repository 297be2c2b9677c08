"""TIMIT in LDC's layout, file names in any case; the speaker decides on the split.

    TRAIN/DR1/FCJF0/SX37.WAV     samples, NIST SPHERE or RIFF
    TRAIN/DR1/FCJF0/SX37.PHN     `first_sample end_sample label`, a line a phone

Speakers that the card does not name (144 of the full test set) and sentences that it leaves out
(SA, which everybody reads) are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import BenchError
from bench.data.files import walk_files
from bench.speech.data.corpus import Problem, UnusableError, Utterance
from bench.speech.data.specification import SpeechSpec

SENTENCE = re.compile(r"s[aix]\d+")
NUM_NAMED = 8
Found = dict[tuple[str, str], dict[str, Path]]  # (speaker, sentence) -> suffix -> file
LISTED = tuple[dict[str, tuple[Utterance, ...]], list[Problem]]


def list_timit(spec: SpeechSpec, folder: Path) -> LISTED:
    """Utterances by split, and those that cannot be used.

    Raises BenchError for an incomplete tree: the speakers that are missing or have too few
    utterances, by name, and where they belong.
    """
    found = _walk(spec, folder)
    _check_complete(spec, found, folder)
    problems: list[Problem] = []
    splits = {split: tuple(_utterances(split, found, spec, problems)) for split in spec.speakers}
    return splits, problems


def _walk(spec: SpeechSpec, folder: Path) -> Found:
    wanted = {speaker for speakers in spec.speakers.values() for speaker in speakers}
    found: Found = {}
    for path in walk_files(folder):
        speaker = path.parent.name.lower()
        sentence, _, suffix = path.name.lower().partition(".")
        if speaker not in wanted or suffix not in ("wav", "phn"):
            continue
        if not SENTENCE.fullmatch(sentence) or sentence.startswith(spec.sentences_left_out):
            continue
        files = found.setdefault((speaker, sentence), {})
        if suffix in files:
            raise BenchError(f"{files[suffix]} and {path} are the same recording: keep one")
        files[suffix] = path
    return found


def _check_complete(spec: SpeechSpec, found: Found, folder: Path) -> None:
    expected = spec.utterances_per_speaker or 1
    lacking = []
    for split, speakers in spec.speakers.items():
        numbers = {speaker: sum(who == speaker for who, _ in found) for speaker in speakers}
        absent = sorted(speaker for speaker, number in numbers.items() if not number)
        partial = sorted(s for s, number in numbers.items() if 0 < number < expected)
        if absent:
            lacking.append(f"{len(absent)} of {len(speakers)} {split} speakers ({_names(absent)})")
        if partial:
            named = [f"{speaker} {numbers[speaker]}" for speaker in partial]
            lacking.append(f"utterances of {len(partial)} {split} speakers ({_names(named)})")
    if lacking:
        each = f", {expected} utterances each" if spec.utterances_per_speaker else ""
        raise BenchError(
            f"{folder} is incomplete: missing {'; '.join(lacking)}{each}; put them there as "
            "TRAIN/DR1/FCJF0/SX37.WAV and SX37.PHN, in upper or lower case"
        )


def _names(names: list[str]) -> str:
    more = f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
    return ", ".join(names[:NUM_NAMED]) + more


def _utterances(
    split: str, found: Found, spec: SpeechSpec, problems: list[Problem]
) -> Iterator[Utterance]:
    for (speaker, sentence), files in sorted(found.items()):
        if speaker not in spec.speakers[split]:
            continue
        name = f"{speaker}-{sentence}"
        try:
            if "wav" not in files:
                raise UnusableError("no audio", f"{files['phn']} stands without its .wav")
            if "phn" not in files:
                raise UnusableError("no transcript", f"{files['wav']} stands without its .phn")
            phones, times = read_phn(files["phn"], set(spec.labels))
        except UnusableError as bad:
            problems.append(Problem(utterance=name, split=split, kind=bad.kind, detail=bad.detail))
        else:
            audio = files["wav"]
            yield Utterance(id=name, speaker=speaker, labels=phones, audio=audio, times=times)


def read_phn(path: Path, known: set[str]) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Labels of a `.phn` file, and their first and end samples."""
    phones, times, end = [], [], 0
    for number, line in enumerate(path.read_text("latin-1").splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not (fields[0].isdigit() and fields[1].isdigit()):
            raise UnusableError("bad transcript", f"{path}, line {number}: {line[:40]!r}")
        first, last, label = int(fields[0]), int(fields[1]), fields[2].lower()
        if label not in known:
            raise UnusableError("unknown phone", f"{path}, line {number}: {label!r}")
        if not end <= first < last:
            raise UnusableError("bad transcript", f"{path}, line {number}: times go back")
        phones.append(label)
        times.append((first, last))
        end = last
    if not phones:
        raise UnusableError("bad transcript", f"{path} holds no phone")
    return tuple(phones), tuple(times)
