"""Recordings of somebody's own: tones for letters, in each of the layouts that are read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from bench.core.config import DataConfig
from bench.speech.data.own import OwnCorpus, list_own
from bench.speech.data.prepared import SpeechData, make_features
from bench.speech.data.specification import FeatureRecipe, OwnSpeechSpec

Floats = npt.NDArray[np.float64]
SPEC = OwnSpeechSpec(features=FeatureRecipe(num_mel_bands=20, num_differences=0))
LETTER_SEC = 0.09
TONES_HZ = {"a": (400, 1000), "b": (650, 1900), "c": (900, 2900), " ": (150, 300)}
TEXTS = ("a b", "cab", "bac ab", "c")
SPLITS = {"train": TEXTS, "valid": ("ba", "a c"), "test": ("ab c", "b", "cc")}


def spoken(text: str, *, rate_hz: int = 16000, seed: int = 0) -> Floats:
    """A text letter by letter: two tones each, louder in its middle, with a little noise."""
    draw = np.random.default_rng([seed, *text.encode()])
    time_N = np.arange(round(LETTER_SEC * rate_hz)) / rate_hz
    pitch = 1 + 0.05 * draw.standard_normal()
    letters = [
        np.hanning(len(time_N)) * sum(np.sin(2 * np.pi * f * pitch * time_N) for f in TONES_HZ[at])
        for at in text
    ]
    pause_N = np.zeros(round(0.05 * rate_hz))
    sound_N = np.concatenate([pause_N, *letters, pause_N])
    return np.asarray(0.2 * sound_N + 0.003 * draw.standard_normal(len(sound_N)))


def encoded(
    samples: Floats, *, rate_hz: int = 16000, kind: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    """Bytes of a recording; samples are [N] or [N, C]."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format=kind, subtype=subtype)
    return stream.getvalue()


def record(path: Path, text: str, **options: Any) -> None:
    """Write a recording of a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rate_hz = options.get("rate_hz", 16000)
    path.write_bytes(encoded(spoken(text, rate_hz=rate_hz), **options))


def write_list(
    path: Path, rows: Iterable[Sequence[str]], *, header: str = "path transcript"
) -> None:
    """Write a list of recordings, separated as its name says."""
    delimiter = "\t" if path.suffix == ".tsv" else ","
    lines = [header.split(), *rows]
    path.write_text("".join(delimiter.join(line) + "\n" for line in lines), encoding="utf-8")


def own_lists(folder: Path) -> Path:
    """A list a split, and the recordings in the folder `audio`."""
    for split, texts in SPLITS.items():
        rows = []
        for number, text in enumerate(texts):
            record(folder / f"audio/{split}{number}.wav", text)
            rows.append((f"audio/{split}{number}.wav", text))
        write_list(folder / f"{split}.tsv", rows)
    return folder


def listed(folder: Path, **settings: Any) -> OwnCorpus:
    """The utterances of a folder."""
    return list_own(SPEC, DataConfig(path=str(folder), **settings), task="speech")


def prepared(folder: Path, *, on_bad: Any = "refuse", **settings: Any) -> SpeechData:
    """The features of a folder, cached beside it."""
    corpus = listed(folder, **settings).corpus
    cache = folder.parent / "cache"
    return make_features(corpus, task="speech", on_bad=on_bad, cache=cache, num_workers=1)
