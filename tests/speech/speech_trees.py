"""Small corpora in the layouts of TIMIT and AN4, and the files that stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bench.core.cards import read_card
from bench.speech.data.prepared import SpeechData, prepare_speech
from bench.speech.data.specification import SpeechCounts, SpeechSpec

TASKS = Path(__file__).parents[2] / "tasks"
Samples = npt.NDArray[np.int16]
PHONES = ("h#", "aa", "b", "aa", "aa", "h#")
TINY = SpeechSpec(
    layout="timit",
    folder="tiny",
    licence="none",
    obtain="nowhere",
    labels=("aa", "b", "h#", "q"),
    folding=({"b": "aa", "q": None},),
    speakers={"train": ("fabc0", "mdef0"), "valid": ("mghi0",), "test": ("fjkl1",)},
    utterances_per_speaker=2,
    sentences_left_out=("sa",),
    counts=SpeechCounts(utterances={"train": 4, "valid": 2, "test": 2}),
)


def card_spec(task: str) -> SpeechSpec:
    """The corpus part of a shipped card."""
    spec = read_card(TASKS / f"{task}.yaml").corpus
    assert isinstance(spec, SpeechSpec)
    return spec


def smooth_noise(seed: int, num_samples: int = 8000) -> Samples:
    """Something that is as smooth as speech."""
    noise = np.random.default_rng(seed).standard_normal(num_samples + 20)
    return np.convolve(1500 * noise, np.hanning(21), "valid").astype(np.int16)


def sphere(samples: Samples, *, order: str = "01", **changes: Any) -> bytes:
    """A NIST SPHERE file; `changes` are header fields, None leaves one out."""
    fields: dict[str, Any] = {
        "channel_count": 1,
        "sample_count": len(samples),
        "sample_rate": 16000,
        "sample_n_bytes": 2,
        "sample_byte_format": order,
        "sample_sig_bits": 16,
        "sample_coding": "pcm",
        **changes,
    }
    lines = ["NIST_1A", "   1024"]
    for name, value in fields.items():
        if value is not None:
            kind = "i" if isinstance(value, int) else f"s{len(value)}"
            lines.append(f"{name} -{kind} {value}")
    header = "\n".join([*lines, "end_head", ""]).encode()
    data = samples.astype("<i2" if order == "01" else ">i2").tobytes()
    return header.ljust(1024, b" ") + data


def phn(phones: Sequence[str], num_samples: int = 8000) -> str:
    """The text of a `.phn` file of equally long phones."""
    edges = np.linspace(0, num_samples, len(phones) + 1).astype(int)
    spans = zip(edges[:-1], edges[1:], phones, strict=True)
    return "".join(f"{first} {end} {phone}\n" for first, end, phone in spans)


def tiny_timit(folder: Path) -> Path:
    """TINY's tree: two sentences of each speaker, one that is left out, and a speaker too many."""
    seed = 0
    for half, speaker in (
        ("TRAIN", "FABC0"),
        ("TRAIN", "MDEF0"),
        ("TEST", "MGHI0"),
        ("TEST", "FJKL1"),
        ("TEST", "MXYZ0"),
    ):
        place = folder / half / "DR1" / speaker
        place.mkdir(parents=True)
        for sentence in ("SA1", "SX1", "SI2"):
            seed += 1
            (place / f"{sentence}.WAV").write_bytes(sphere(smooth_noise(seed)))
            (place / f"{sentence}.PHN").write_text(phn(PHONES))
            (place / f"{sentence}.TXT").write_text("0 8000 Ah.\n")
    return folder


def prepare(folder: Path, spec: SpeechSpec = TINY, **settings: Any) -> SpeechData:
    """The features of a tree, cached beside it."""
    cache = folder.parent / "cache"
    return prepare_speech(spec, task="tiny", path=folder, cache=cache, num_workers=1, **settings)


def variant(spec: SpeechSpec = TINY, **changes: Any) -> SpeechSpec:
    """Card with other facts."""
    return msgspec.structs.replace(spec, **changes)
