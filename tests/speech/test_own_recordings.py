"""Sound of own recordings: formats, rates, channels, and recordings that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from own_recordings import encoded, own_lists, prepared, record, spoken

from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.structs import to_struct
from bench.speech.data.corpus import Samples, Utterance
from bench.speech.data.recordings import Format, OwnRecordings, commonest_rate, read_formats

TEXT = "cab a"


def decoded(path: Path, rate_hz: int = 16000, **changes: Any) -> Samples:
    settings: dict[str, Any] = {"resample": True, "channels": "mono", **changes}
    recordings = OwnRecordings(
        sample_rate_hz=rate_hz, clipped_share_max=0.01, formats=read_formats([path]), **settings
    )
    return recordings.samples(Utterance(id="x", speaker="s", labels=("a",), audio=path))


def test_sixteen_bits_are_read_as_they_are(tmp_path: Path) -> None:
    noise_N = np.random.default_rng(1).integers(-32768, 32768, 9000).astype(np.int16)
    noise_N[:2] = -32768, 32767
    for kind in ("WAV", "FLAC", "AIFF", "NIST"):
        path = tmp_path / f"a.{kind}"
        path.write_bytes(encoded(noise_N, kind=kind))  # type: ignore[arg-type]
        assert np.array_equal(decoded(path), noise_N)


@pytest.mark.parametrize(
    ("kind", "subtype", "tolerance"),
    [
        ("WAV", "PCM_24", 1e-4),
        ("WAV", "FLOAT", 1e-4),
        ("WAV", "ULAW", 0.03),
        ("OGG", "VORBIS", 0.15),
        ("MP3", "MPEG_LAYER_III", 0.15),
    ],
)
def test_other_encodings_come_near(
    tmp_path: Path, kind: str, subtype: str, tolerance: float
) -> None:
    (tmp_path / "a").write_bytes(encoded(spoken(TEXT), kind=kind, subtype=subtype))
    expected_N = spoken(TEXT) * 32768
    found_N = decoded(tmp_path / "a")
    assert len(found_N) == len(expected_N)
    difference = np.sqrt(np.mean((found_N - expected_N) ** 2) / np.mean(expected_N**2))
    assert difference < tolerance


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000])
def test_a_tone_stays_a_tone_at_another_rate(tmp_path: Path, rate_hz: int) -> None:
    def tone(rate_hz: int) -> Any:
        return 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate_hz // 2) / rate_hz)

    (tmp_path / "a.wav").write_bytes(encoded(tone(rate_hz), rate_hz=rate_hz))
    found_N, expected_N = decoded(tmp_path / "a.wav"), 32768 * tone(16000)
    assert abs(len(found_N) - len(expected_N)) <= 2
    inner = slice(400, 7000)
    difference_N = found_N[inner] - expected_N[inner]
    assert np.abs(difference_N).max() < 0.004 * 32768


def test_what_is_above_half_the_rate_is_filtered_out(tmp_path: Path) -> None:
    time_N = np.arange(24000) / 48000
    (tmp_path / "a.wav").write_bytes(encoded(0.5 * np.sin(2e4 * np.pi * time_N), rate_hz=48000))
    assert np.abs(decoded(tmp_path / "a.wav")[400:-400]).max() < 0.01 * 16384


def test_channels_are_averaged_when_asked(tmp_path: Path) -> None:
    left_N, right_N = spoken("abc"), 0.5 * spoken("cba")
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(np.stack([left_N, right_N], axis=1)))
    mixed_N = decoded(path, channels="mix")
    assert np.abs(mixed_N - 32768 * (left_N + right_N) / 2).max() <= 2
    mono = tmp_path / "b.wav"
    mono.write_bytes(encoded(left_N))
    assert np.array_equal(decoded(mono, channels="mix"), decoded(mono))


def test_the_rate_of_most_recordings_is_theirs(tmp_path: Path) -> None:
    for number, rate_hz in enumerate([22050, 22050, 8000]):
        record(tmp_path / f"{number}.wav", "a", rate_hz=rate_hz)
    (tmp_path / "9.wav").write_bytes(b"no recording")
    formats = read_formats(sorted(tmp_path.iterdir()))
    assert formats == {Format(22050, 1): 2, Format(8000, 1): 1}
    assert commonest_rate(formats) == 22050
    assert commonest_rate(read_formats([tmp_path / "9.wav"])) == 16000


GOOD = spoken("cab")
BAD_AUDIO = [
    (b"", "empty", "0 bytes"),
    (encoded(GOOD[:0]), "empty", "0 samples"),
    (encoded(0 * GOOD), "silent", "every sample is 0"),
    (encoded(9 * np.sign(GOOD)), "clipped", "% of the samples at the limit"),
    (encoded(GOOD)[:-2000], "truncated", "2,000 bytes fewer than its header says"),
    (encoded(GOOD, kind="FLAC")[:600], "unreadable", "convert it"),
    (encoded(GOOD, kind="MP3", subtype="MPEG_LAYER_III")[:900], "truncated", "its header says"),
    (b"Dear reader, this is no recording.", "unreadable", "convert it, as `ffmpeg -i` does"),
    (encoded(GOOD * np.nan, subtype="FLOAT"), "unreadable", "some samples are NaN"),
    (encoded(GOOD, rate_hz=8000), "wrong rate", "--data.resample 8000"),
    (encoded(GOOD, rate_hz=44100), "wrong rate", "--data.resample 16000"),
    (encoded(GOOD, rate_hz=100), "wrong rate", "100 Hz is no rate of speech"),
    (encoded(np.stack([GOOD, GOOD], axis=1)), "not mono", "--data.channels mix"),
    (encoded(GOOD[:700]), "too short", "2 frames where its characters need 3"),
]


@pytest.mark.parametrize(("content", "kind", "detail"), BAD_AUDIO)
def test_a_bad_recording_is_refused_or_skipped(
    tmp_path: Path, content: bytes, kind: str, detail: str
) -> None:
    folder = own_lists(tmp_path / "own")
    path = folder / "audio/train1.wav"
    path.write_bytes(content)
    for _ in range(2):  # made, and read from the cache
        with pytest.raises(BenchError) as caught:
            prepared(folder)
        message = str(caught.value)
        for part in (f"1 bad utterance (1 {kind})", str(path), detail, "--data.on-bad skip"):
            assert part in message
        data = prepared(folder, on_bad="skip")
        assert [(bad.utterance, bad.split, bad.kind) for bad in data.skipped] == [
            ("audio/train1", "train", kind)
        ]
        assert len(data.splits["train"]) == 3


def test_nothing_left_says_why(tmp_path: Path) -> None:
    folder = own_lists(tmp_path / "own")
    for path in folder.glob("audio/test*"):
        path.write_bytes(b"")
    with pytest.raises(BenchError, match=r"is left in the test split: 3 bad utterances \(3 empty"):
        prepared(folder, on_bad="skip")


def test_checksums_follow_sound_and_transcripts_and_not_the_format(tmp_path: Path) -> None:
    folder = own_lists(tmp_path / "own")
    before = prepared(folder).checksums
    assert set(before) == {"characters", "samples"}
    moved = own_lists(tmp_path / "moved")
    for path in moved.glob("audio/*.wav"):
        path.write_bytes(encoded(soundfile.read(path, dtype="int16")[0], kind="FLAC"))
    assert prepared(moved).checksums == before
    text = (moved / "test.tsv").read_text()
    (moved / "test.tsv").write_text(text.replace("ab c", "ab a"))
    changed = prepared(moved).checksums
    assert changed["samples"] == before["samples"]
    assert changed["characters"] != before["characters"]
    record(folder / "audio/test0.wav", "ba c")
    changed = prepared(folder).checksums
    assert changed["characters"] == before["characters"]
    assert changed["samples"] != before["samples"]


def test_cached_features_are_of_the_way_of_reading(tmp_path: Path) -> None:
    folder = own_lists(tmp_path / "own")
    sizes = {
        rate: int(prepared(folder, resample=rate).splits["test"].num_frames.sum())
        for rate in (None, 8000, 16000)
    }
    keys = list((tmp_path / "cache/features").glob("*/features.f32"))
    assert len(keys) == 3
    assert sizes[None] == sizes[16000]
    assert sizes[8000] == pytest.approx(sizes[16000], abs=3)


@pytest.mark.parametrize("rate", [0, 3999, 192_001, "fast"])
def test_a_rate_that_cannot_be_meant_is_refused(rate: Any) -> None:
    with pytest.raises(BenchError, match="resample"):
        to_struct({"resample": rate}, DataConfig, where="command line")
