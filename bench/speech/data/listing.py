"""Utterances of a speech card whose recordings lie in files, checked against the card's counts."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import BenchError
from bench.speech.data.an4 import list_an4
from bench.speech.data.corpus import Samples, SpeechCorpus, Utterance
from bench.speech.data.features import read_audio
from bench.speech.data.specification import SpeechSpec, find_folder
from bench.speech.data.timit import list_timit

LAYOUTS = {"timit": list_timit, "an4": list_an4}


@dataclass(frozen=True, kw_only=True)
class Files:
    """Recordings in files."""

    spec: SpeechSpec

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of the card."""
        return self.spec.sample_rate_hz

    def samples(self, utterance: Utterance) -> Samples:
        """Samples [N]; see `read_audio` for the errors."""
        assert utterance.audio is not None
        return read_audio(utterance.audio, self.spec)

    def fingerprint(self, utterance: Utterance) -> str:
        """SHA-256 of the file, and how it is read; a file that cannot be read counts as empty."""
        assert utterance.audio is not None
        try:
            content = utterance.audio.read_bytes()
        except OSError:
            content = b""
        spec = self.spec
        manner = f"{spec.sample_rate_hz} {spec.raw_byte_order} {spec.clipped_share_max}"
        return f"{hashlib.sha256(content).hexdigest()} {manner}"


def list_speech(
    spec: SpeechSpec, *, task: str, twin: str | None = None, path: Path | None = None
) -> SpeechCorpus:
    """Corpus in the first folder that is there.

    Raises BenchError where there is no folder, where something is missing from it, and where counts
    or phones are not the card's. Single bad utterances are in `problems`.
    """
    folder = find_folder(spec, task=task, twin=twin, path=path)
    splits, problems = LAYOUTS[spec.layout](spec, folder)
    corpus = SpeechCorpus(
        labels=spec.labels,
        folding={label: spec.folded(label) for label in spec.labels},
        splits=splits,
        recordings=Files(spec=spec),
        recipe=spec.features,
        problems=tuple(problems),
    )
    _check_counts(spec, corpus, folder)
    return corpus


def _check_counts(spec: SpeechSpec, corpus: SpeechCorpus, folder: Path) -> None:
    """Compare utterances, bad ones included, with the card, and phones where none is bad."""
    bad = Counter(problem.split for problem in corpus.problems)
    numbers = [
        (f"{split} utterances", len(corpus.splits[split]) + bad[split], expected)
        for split, expected in spec.counts.utterances.items()
    ]
    if not corpus.problems:
        numbers += [
            (f"{split} phones", sum(len(u.labels) for u in corpus.splits[split]), expected)
            for split, expected in spec.counts.phones.items()
        ]
    for what, number, expected in numbers:
        if number != expected:
            raise BenchError(
                f"{folder}: {number:,} {what} where the card counts {expected:,}; put the original "
                "files in their place"
            )
    if not corpus.problems and spec.phones_sha256 not in (None, corpus.labels_sha256()):
        raise BenchError(
            f"{folder}: altered: the utterances' phones have sha256 {corpus.labels_sha256()} where "
            f"the card says {spec.phones_sha256}; put the original files in their place"
        )
