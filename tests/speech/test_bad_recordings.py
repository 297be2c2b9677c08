"""Everything that can be wrong with an utterance is named, counted, and refused or skipped."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from speech_trees import TINY, Samples, phn, prepare, smooth_noise, sphere, tiny_timit, variant

from bench.core.errors import BenchError
from bench.speech.data.corpus import UnusableError
from bench.speech.data.features import read_audio

GOOD = smooth_noise(99)
CLIPPED = np.where(np.arange(8000) % 50 == 0, 32767, GOOD).astype(np.int16)


def written(
    samples: Samples, kind: str = "WAV", subtype: str = "PCM_16", rate: int = 16000
) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind, subtype=subtype)
    return stream.getvalue()


BAD_AUDIO = [
    (b"", "empty", "a conversion in place may have emptied it"),
    (sphere(GOOD[:0]), "empty", "0 samples"),
    (written(GOOD[:0]), "empty", "0 samples"),
    (sphere(0 * GOOD), "silent", "every sample is 0"),
    (sphere(GOOD)[:-2000], "truncated", "7,000 samples where its header says 8,000"),
    (written(GOOD)[:-2000], "truncated", "7,000 samples where its header says 8,000"),
    (written(GOOD, "FLAC")[:600], "unreadable", ""),
    (sphere(CLIPPED), "clipped", "2.0 % of the samples"),
    (sphere(-CLIPPED - 1), "clipped", "2.0 % of the samples"),
    (sphere(GOOD, sample_rate=8000), "wrong rate", "8,000 Hz where the card says 16,000"),
    (written(GOOD, rate=44100), "wrong rate", "44,100 Hz"),
    (sphere(GOOD, channel_count=2), "not mono", "2 channels"),
    (written(np.stack([GOOD, GOOD], axis=1)), "not mono", "2 channels"),
    (sphere(GOOD, sample_coding="pcm,embedded-shorten-v2.00"), "compressed", "sph2pipe"),
    (sphere(GOOD, sample_coding="ulaw", sample_n_bytes=1), "encoding", "ulaw, 1 bytes"),
    (written(GOOD, subtype="FLOAT"), "encoding", "FLOAT"),
    (written(GOOD, subtype="PCM_24"), "encoding", "PCM_24"),
    (b"Dear reader, this is no recording.", "encoding", "neither NIST SPHERE nor RIFF nor FLAC"),
    (sphere(GOOD)[:100], "unreadable", "header has no end"),
    (sphere(GOOD, sample_rate=None), "unreadable", "names no sample_rate"),
    (sphere(GOOD[:1100]), "too short", "5 frames where its phones need 7"),
    (sphere(GOOD[:300]), "too short", "0 frames"),
]


@pytest.mark.parametrize(("content", "kind", "detail"), BAD_AUDIO)
def test_a_bad_recording_is_refused_or_skipped(
    tmp_path: Path, content: bytes, kind: str, detail: str
) -> None:
    folder = tiny_timit(tmp_path / "tiny")
    path = folder / "TRAIN/DR1/FABC0/SX1.WAV"
    path.write_bytes(content)
    check_refused_and_skipped(folder, path, kind, detail)


@pytest.mark.parametrize(
    ("change", "kind", "detail"),
    [
        ({"SX1.WAV": None}, "no audio", "stands without its .wav"),
        ({"SX1.PHN": None}, "no transcript", "stands without its .phn"),
        ({"SX1.PHN": ""}, "bad transcript", "holds no phone"),
        ({"SX1.PHN": "0 4000 aa\n4000 x b\n"}, "bad transcript", "line 2: '4000 x b'"),
        ({"SX1.PHN": "0 4000 aa\n3000 8000 b\n"}, "bad transcript", "line 2: times go back"),
        ({"SX1.PHN": "0 4000 aa\n4000 8000 bb\n"}, "unknown phone", "line 2: 'bb'"),
        ({"SX1.PHN": phn(["aa", "b"] * 30)}, "too short", "48 frames where its phones need 60"),
    ],
)
def test_a_bad_transcript_is_refused_or_skipped(
    tmp_path: Path, change: dict[str, str | None], kind: str, detail: str
) -> None:
    folder = tiny_timit(tmp_path / "tiny")
    ((name, text),) = change.items()
    path = folder / "TRAIN/DR1/FABC0" / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    check_refused_and_skipped(folder, path.with_suffix(""), kind, detail)


def check_refused_and_skipped(folder: Path, path: Path, kind: str, detail: str) -> None:
    whole = {"train": 4, "valid": 2, "test": 2}
    for _ in range(2):  # made, and read from the cache
        with pytest.raises(BenchError) as caught:
            prepare(folder)
        message = str(caught.value)
        for part in (f"1 bad utterance (1 {kind})", str(path), detail, "--data.on-bad skip"):
            assert part in message
        assert "\n" not in message
        data = prepare(folder, on_bad="skip")
        assert [(bad.utterance, bad.split, bad.kind) for bad in data.skipped] == [
            ("fabc0-sx1", "train", kind)
        ]
        assert {split: len(part) for split, part in data.splits.items()} == {**whole, "train": 3}
        assert "fabc0-sx1" not in {u.id for u in data.splits["train"].utterances}
        frames = np.concatenate([data.splits["train"].features(i) for i in range(3)])
        assert abs(frames.mean(axis=0)).max() < 1e-5  # the bad one is no part of the statistics


def test_many_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    folder = tiny_timit(tmp_path / "tiny")
    for path in [*folder.glob("TRAIN/*/*/S[IX]*.WAV"), folder / "TEST/DR1/FJKL1/SX1.WAV"]:
        path.write_bytes(b"")
    with pytest.raises(BenchError, match=r"5 bad utterances \(5 empty\): .*; and 2 more; put"):
        prepare(folder)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    folder = tiny_timit(tmp_path / "tiny")
    for path in folder.glob("TEST/DR1/MGHI0/*.WAV"):
        path.write_bytes(b"")
    with pytest.raises(BenchError, match="no usable utterance is left in the valid split"):
        prepare(folder, on_bad="skip")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.wav", sphere(GOOD)),
        ("a.wav", sphere(GOOD, order="10")),
        ("a.wav", sphere(GOOD, sample_coding=None)),
        ("a.WAV", written(GOOD)),
        ("a.wav", written(GOOD, "WAVEX")),
        ("a.flac", written(GOOD, "FLAC")),
        ("a.raw", GOOD.astype(">i2").tobytes()),
        ("a.sph", sphere(GOOD) + b"\0\0"),  # padded to a block
    ],
)
def test_every_format_gives_the_same_samples(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    samples = read_audio(path, TINY)
    assert samples.dtype == np.dtype(np.int16)
    assert (samples == GOOD).all()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({}, "byte order"), ({"raw_byte_order": "little"}, None)],
)
def test_swapped_bytes_are_heard(
    tmp_path: Path, settings: dict[str, Any], kind: str | None
) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(GOOD.astype("<i2").tobytes())
    if kind is None:
        assert (read_audio(path, variant(**settings)) == GOOD).all()
    else:
        with pytest.raises(UnusableError, match="not big-endian"):
            read_audio(path, variant(**settings))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnusableError, match="no whole number of samples"):
        read_audio(path, variant(**settings))


def test_a_few_samples_at_the_limit_are_speech(tmp_path: Path) -> None:
    loud = GOOD.copy()
    loud[::200] = 32767
    (tmp_path / "a.wav").write_bytes(sphere(loud))
    assert len(read_audio(tmp_path / "a.wav", TINY)) == 8000
