"""Recordings of the user: any format, rate and channels that libsndfile reads, as 16-bit samples.

    file -> channels averaged (`mix`) -> resampled (polyphase filter, Kaiser window) -> 16 bit

A recording of 16-bit samples with one channel and the right rate is read as it is, to the last bit.

Shapes: N samples, C channels.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bench.data.identity import file_sha256
from bench.speech.data.corpus import Samples, UnusableError, Utterance
from bench.speech.data.features import UNKNOWN_SIZE_BYTES, Wide, check_samples

RATE_MIN_HZ, RATE_MAX_HZ = 4000, 192_000
DEFAULT_RATE_HZ = 16_000
FULL_SCALE = 32768
COMPLETE_SHARE = 0.9
"""Share of the promised samples that a whole recording has: the header of an MP3 may estimate."""
VERSION = 1
"""Raised when the same file gives other samples, so that cached features are made anew."""
READABLE = ".wav .flac .ogg .oga .opus .mp3 .sph .aif .aiff .au .caf"
SUFFIXES = frozenset(f"{READABLE} .m4a .aac .wma .webm".split())
"""Files that count as recordings in a folder; those that libsndfile cannot read are bad."""
Channels = Literal["mono", "mix"]


class Format(NamedTuple):
    """Header of a recording."""

    rate_hz: int
    num_channels: int


@dataclass(frozen=True, kw_only=True)
class OwnRecordings:
    """Recordings in files, brought to one rate; `resample`: to this rate, else none is changed."""

    sample_rate_hz: int
    resample: bool
    channels: Channels
    clipped_share_max: float
    formats: Counter[Format]
    """Number of recordings of each format."""

    def samples(self, utterance: Utterance) -> Samples:
        """Samples [N]; raises UnusableError for a recording that cannot be used."""
        assert utterance.audio is not None
        try:
            content = utterance.audio.read_bytes()
        except OSError as error:
            raise UnusableError("unreadable", str(error.strerror)) from None
        if not content:
            raise UnusableError("empty", "0 bytes")
        wide_NC, rate_hz = _decode(content)
        mono_N = self._one_channel(wide_NC)
        samples_N = _sixteen_bit(self._at_rate(mono_N, rate_hz))
        check_samples(samples_N, self.clipped_share_max)
        return samples_N

    def fingerprint(self, utterance: Utterance) -> str:
        """SHA-256 of the file, and how it is read; a file that cannot be read counts as empty."""
        assert utterance.audio is not None
        try:
            content = file_sha256(utterance.audio)
        except OSError:
            content = "unreadable"
        rate = f"{self.sample_rate_hz} {'resampled' if self.resample else 'as it is'}"
        manner = f"own {VERSION} {rate} {self.channels} {self.clipped_share_max}"
        return f"{content} {manner}"

    def _one_channel(self, wide_NC: Wide) -> Wide:
        num_channels = wide_NC.shape[1]
        if num_channels > 1 and self.channels == "mono":
            raise UnusableError(
                "not mono", f"{num_channels} channels: average them with --data.channels mix"
            )
        return np.asarray(wide_NC.mean(axis=1))

    def _at_rate(self, wide_N: Wide, rate_hz: int) -> Wide:
        if not RATE_MIN_HZ <= rate_hz <= RATE_MAX_HZ:
            limits = f"{RATE_MIN_HZ:,} to {RATE_MAX_HZ:,}"
            raise UnusableError("wrong rate", f"{rate_hz:,} Hz is no rate of speech ({limits})")
        if rate_hz == self.sample_rate_hz:
            return wide_N
        if not self.resample:
            raise UnusableError(
                "wrong rate",
                f"{rate_hz:,} Hz where most recordings have {self.sample_rate_hz:,}: bring all to "
                f"one rate with --data.resample {min(rate_hz, self.sample_rate_hz)}",
            )
        from scipy.signal import resample_poly

        common = math.gcd(rate_hz, self.sample_rate_hz)
        return np.asarray(resample_poly(wide_N, self.sample_rate_hz // common, rate_hz // common))


def read_formats(paths: Iterable[Path]) -> Counter[Format]:
    """Formats of the recordings whose headers can be read."""
    import soundfile

    formats = Counter[Format]()
    for path in paths:
        try:
            header = soundfile.info(str(path))
        except (OSError, soundfile.SoundFileError):
            continue  # the recording is decoded later, which tells
        formats[Format(header.samplerate, header.channels)] += 1
    return formats


def commonest_rate(formats: Counter[Format]) -> int:
    """Rate of most recordings in Hz, the lowest of several."""
    rates = Counter[int]()
    for found, number in formats.items():
        if RATE_MIN_HZ <= found.rate_hz <= RATE_MAX_HZ:
            rates[found.rate_hz] += number
    return min(rates, key=lambda rate: (-rates[rate], rate), default=DEFAULT_RATE_HZ)


def _decode(content: bytes) -> tuple[Wide, int]:
    """Samples [N, C], full scale one, and their rate."""
    import soundfile

    if missing := _missing_riff_bytes(content):
        raise UnusableError("truncated", f"{missing:,} bytes fewer than its header says")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as opened:
            promised, rate_hz = opened.frames, opened.samplerate
            wide_NC: Wide = opened.read(dtype="float64", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise UnusableError("unreadable", f"{reason}: convert it, as `ffmpeg -i` does") from None
    if len(wide_NC) < COMPLETE_SHARE * promised:
        raise UnusableError(
            "truncated", f"{len(wide_NC):,} samples where its header says {promised:,}"
        )
    if not np.isfinite(wide_NC).all():
        raise UnusableError("unreadable", "some samples are NaN or infinite")
    return wide_NC, rate_hz


def _missing_riff_bytes(content: bytes) -> int:
    """Bytes of samples that a RIFF header promises beyond the end of the file."""
    at = 12
    while content.startswith(b"RIFF") and at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"data":
            return max(0, size - (len(content) - at - 8)) if size < UNKNOWN_SIZE_BYTES else 0
        at += 8 + size + size % 2
    return 0


def _sixteen_bit(wide_N: Wide) -> Samples:
    scaled_N = np.rint(wide_N * FULL_SCALE)
    return scaled_N.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
