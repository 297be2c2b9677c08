"""One recording -> 16-bit samples, or why it cannot be used.

    NIST SPHERE   "NIST_1A", the header's size, `name -type value` lines, `end_head`; then samples
    RIFF, FLAC    through soundfile
    raw           nothing but samples; the card says in which byte order

The format is told from the first bytes, since TIMIT's `.wav` may be SPHERE or RIFF.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.speech.data.problems import UnusableError
from bench.speech.data.specification import SpeechSpec

Samples = npt.NDArray[np.int16]
LARGEST = 32767
UNKNOWN_SIZE_BYTES = 0x7FFFF000  # what programs that write to a pipe put for a size, or more


def read_audio(path: Path, spec: SpeechSpec) -> Samples:
    """The samples [N] of a recording: one channel of 16-bit integers at the card's rate.

    Raises UnusableError for an empty, silent, truncated, clipped, compressed or unreadable file,
    for another rate or encoding and for more than one channel.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnusableError("unreadable", str(error.strerror)) from None
    if not content:
        raise UnusableError("empty", "0 bytes; a conversion in place may have emptied it")
    if content.startswith(b"NIST_1A"):
        samples = _sphere(content, spec.sample_rate_hz)
    elif content.startswith((b"RIFF", b"fLaC")):
        samples = _soundfile(content, spec.sample_rate_hz)
    elif path.suffix.lower() == ".raw":
        samples = _raw(content, spec)
    else:
        raise UnusableError("encoding", "neither NIST SPHERE nor RIFF nor FLAC")
    _check_samples(samples, spec.clipped_share_max)
    return samples


def _check_samples(samples: Samples, clipped_share_max: float) -> None:
    if not len(samples):
        raise UnusableError("empty", "0 samples")
    if not samples.any():
        raise UnusableError("silent", "every sample is 0")
    clipped = float(np.mean((samples >= LARGEST) | (samples < -LARGEST)))
    if clipped > clipped_share_max:
        raise UnusableError("clipped", f"{100 * clipped:.1f} % of the samples at the limit")


def _sphere(content: bytes, sample_rate_hz: int) -> Samples:
    size = content[8:16].strip()
    head, end, _ = content[: int(size) if size.isdigit() else 0].partition(b"end_head")
    if not end:
        raise UnusableError("unreadable", "its NIST SPHERE header has no end")
    lines = head.decode("ascii", "replace")
    fields = dict(re.findall(r"^(\w+) -[irs]\d* (.*?)\s*$", lines, re.M))
    for name in ("sample_rate", "channel_count"):
        if not fields.get(name, "").isdigit():
            raise UnusableError("unreadable", f"its NIST SPHERE header names no {name}")
    coding = fields.get("sample_coding", "pcm")
    if "shorten" in coding:
        raise UnusableError(
            "compressed", f"{coding}: unpack it with NIST's w_decode or sph2pipe -p"
        )
    width = fields.get("sample_n_bytes", "2")
    if coding != "pcm" or width != "2":
        raise UnusableError("encoding", f"{coding}, {width} bytes a sample, and not 16-bit pcm")
    _check_format(int(fields["sample_rate"]), int(fields["channel_count"]), sample_rate_hz)
    order = ">i2" if fields.get("sample_byte_format") == "10" else "<i2"
    data = content[int(size) :]
    promised = int(fields.get("sample_count", len(data) // 2))
    _check_length(len(data) // 2, promised)
    return np.frombuffer(data[: 2 * promised], order).astype(np.int16)


def _soundfile(content: bytes, sample_rate_hz: int) -> Samples:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as opened:
            if opened.subtype != "PCM_16":
                raise UnusableError("encoding", f"{opened.subtype}, and not 16-bit PCM")
            _check_format(opened.samplerate, opened.channels, sample_rate_hz)
            promised = _riff_samples(content) or opened.frames
            samples: Samples = opened.read(dtype="int16")
    except soundfile.LibsndfileError as error:
        raise UnusableError("unreadable", error.error_string) from None
    _check_length(len(samples), promised)
    return samples


def _riff_samples(content: bytes) -> int | None:
    """What a RIFF header promises; soundfile silently takes what is there."""
    at = 12
    while content.startswith(b"RIFF") and at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"data":
            return size // 2 if size < UNKNOWN_SIZE_BYTES else None
        at += 8 + size + size % 2
    return None


def _raw(content: bytes, spec: SpeechSpec) -> Samples:
    if len(content) % 2:
        raise UnusableError("truncated", f"{len(content):,} bytes are no whole number of samples")
    samples = np.frombuffer(content, ">i2" if spec.raw_byte_order == "big" else "<i2")
    # Speech is smooth at 16 kHz, and with its bytes swapped it is noise.
    if 2 * _roughness(samples.byteswap()) < _roughness(samples):
        raise UnusableError("byte order", f"the samples are not {spec.raw_byte_order}-endian")
    return samples.astype(np.int16)


def _roughness(samples: npt.NDArray[np.int16]) -> float:
    return float(np.abs(np.diff(samples.astype(np.float64))).mean()) if len(samples) > 1 else 0.0


def _check_format(rate_hz: int, num_channels: int, expected_hz: int) -> None:
    if num_channels != 1:
        raise UnusableError("not mono", f"{num_channels} channels")
    if rate_hz != expected_hz:
        raise UnusableError("wrong rate", f"{rate_hz:,} Hz where the card says {expected_hz:,}")


def _check_length(num_samples: int, promised: int) -> None:
    if num_samples < promised:
        raise UnusableError(
            "truncated", f"{num_samples:,} samples where its header says {promised:,}"
        )
