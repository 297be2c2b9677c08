"""Log-mel filter-bank features with energy and differences, as HTK and Kaldi define them.

    frame        25 ms every 10 ms, only where a whole one fits:  T = 1 + (N - W) // S
    x            the frame less its mean;                 energy  e = ln sum x^2
    spectrum     |DFT(hamming . preemphasis(x))|^2,       x'_n = x_n - 0.97 x_{n-1}
    log-mel      ln (triangles on the mel scale . spectrum)
    difference   d_t = sum_k k (c_{t+k} - c_{t-k}) / (2 sum_k k^2),  k = 1, 2, ends repeated

Samples keep the range of 16-bit integers, and logarithms are of at least one, so that digital
silence is zero and not minus infinity.

Shapes: N samples, W window, S shift, T frames, F spectrum bins, M mel bands, C = M + 1
coefficients, D = 3 C features.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from bench.data.problems import Progress
from bench.speech.data.corpus import (
    Problem,
    Samples,
    SpeechCorpus,
    UnusableError,
    Utterance,
    num_frames_needed,
)
from bench.speech.data.specification import FeatureRecipe, SpeechSpec

Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.float64]


def features(samples_N: Samples, recipe: FeatureRecipe, *, sample_rate_hz: int) -> Floats:
    """Features [T, D] of one recording, not normalised; T is zero for one shorter than a frame."""
    coefficients_TC = filter_bank(samples_N, recipe, sample_rate_hz=sample_rate_hz)
    orders = [coefficients_TC]
    for _ in range(recipe.num_differences):
        orders.append(differences(orders[-1], reach=recipe.difference_reach))
    return np.concatenate(orders, axis=1)


def filter_bank(samples_N: Samples, recipe: FeatureRecipe, *, sample_rate_hz: int) -> Floats:
    """Log-mel coefficients and, after them, the log energy [T, C]."""
    window = round(recipe.window_ms * sample_rate_hz / 1000)
    shift = round(recipe.shift_ms * sample_rate_hz / 1000)
    if len(samples_N) < window:
        return np.zeros((0, recipe.num_coefficients), np.float32)
    samples = samples_N.astype(np.float32)
    frames_TW = np.lib.stride_tricks.sliding_window_view(samples, window)[::shift]
    frames_TW = frames_TW - frames_TW.mean(axis=1, keepdims=True)
    energy_T = np.einsum("tw,tw->t", frames_TW, frames_TW)
    emphasised_TW = frames_TW.copy()
    emphasised_TW[:, 1:] -= np.float32(recipe.preemphasis) * frames_TW[:, :-1]
    emphasised_TW[:, 0] *= np.float32(1 - recipe.preemphasis)
    emphasised_TW *= np.hamming(window).astype(np.float32)
    num_points = 1 << (window - 1).bit_length()
    spectrum_TF = np.fft.rfft(emphasised_TW, num_points)
    power_TF = spectrum_TF.real**2 + spectrum_TF.imag**2
    mel_TM = power_TF @ _triangles(recipe, num_points, sample_rate_hz)
    coefficients_TC = np.column_stack([mel_TM, energy_T])
    return np.asarray(np.log(np.maximum(coefficients_TC, 1)), np.float32)


def differences(values_TC: Floats, *, reach: int) -> Floats:
    """Slope of the line that is fitted over `reach` frames to either side [T, C]."""
    num = len(values_TC)
    if not num:
        return values_TC
    padded = np.pad(values_TC, ((reach, reach), (0, 0)), mode="edge")
    slope_TC = np.zeros_like(values_TC)
    for k in range(1, reach + 1):
        later, earlier = padded[reach + k :][:num], padded[reach - k :][:num]
        slope_TC += np.float32(k) * (later - earlier)
    return slope_TC / np.float32(2 * sum(k * k for k in range(1, reach + 1)))


@functools.cache
def _triangles(recipe: FeatureRecipe, num_points: int, sample_rate_hz: int) -> Floats:
    """Triangular weights [F, M], equally spaced and straight-sided on the mel scale."""
    high_hz = recipe.high_hz or sample_rate_hz / 2
    edges = np.linspace(_mel(recipe.low_hz), _mel(high_hz), recipe.num_mel_bands + 2)
    mel_F1 = _mel(np.arange(num_points // 2 + 1) * sample_rate_hz / num_points)[:, None]
    rising = (mel_F1 - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel_F1) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _mel(frequency_hz: npt.ArrayLike) -> Wide:
    """HTK's mel scale."""
    return np.asarray(1127 * np.log1p(np.asarray(frequency_hz) / 700))


LARGEST = 32767
UNKNOWN_SIZE_BYTES = 0x7FFFF000
"""Size from which on a header's size means nothing: programs that write to a pipe put such."""


def read_audio(path: Path, spec: SpeechSpec) -> Samples:
    """Samples [N] of a recording: one channel of 16-bit integers at the card's rate.

    NIST SPHERE   "NIST_1A", the header's size, `name -type value` lines, `end_head`; then samples
    RIFF, FLAC    through soundfile
    raw           samples alone, in the card's byte order

    The format is recognised by the first bytes, since TIMIT's `.wav` may be SPHERE or RIFF. Raises
    UnusableError for an empty, silent, truncated, clipped, compressed or unreadable file, for
    another rate or encoding and for more than one channel.
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
    check_samples(samples, spec.clipped_share_max)
    return samples


def check_samples(samples: Samples, clipped_share_max: float) -> None:
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
    """Number of samples in a RIFF header; soundfile silently reads as many as there are."""
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


BLOCK = 64
"""Recordings that are transformed before the first of them is written."""


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """Facts about the samples of a recording, or why it cannot be used."""

    num_frames: int = 0
    num_samples: int = 0
    sha256: str = ""
    problem: Problem | None = None


def extract(corpus: SpeechCorpus, split: str, utterance: Utterance) -> tuple[Floats, Extracted]:
    """Decode, check and transform a recording; where there is a problem T is zero."""
    try:
        samples = corpus.recordings.samples(utterance)
        rate = corpus.recordings.sample_rate_hz
        found_TD = features(samples, corpus.recipe, sample_rate_hz=rate)
        needed = num_frames_needed(corpus.numbers(utterance))
        if len(found_TD) < needed:
            raise UnusableError(
                "too short", f"{len(found_TD)} frames where its {corpus.unit}s need {needed}"
            )
    except UnusableError as bad:
        problem = Problem(utterance=utterance.id, split=split, kind=bad.kind, detail=bad.detail)
        return np.zeros((0, corpus.recipe.num_features), np.float32), Extracted(problem=problem)
    digest = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
    facts = Extracted(num_frames=len(found_TD), num_samples=len(samples), sha256=digest)
    return found_TD, facts


def extract_all(
    corpus: SpeechCorpus, *, num_workers: int, progress: Progress | None = None
) -> Iterator[tuple[Floats, Extracted]]:
    """Features of all utterances, split by split in order.

    Threads are enough: NumPy's transforms and the decoder release the interpreter's lock.
    """
    every = [(split, u) for split, utterances in corpus.splits.items() for u in utterances]
    with ThreadPoolExecutor(num_workers) as pool:
        for first in range(0, len(every), BLOCK):
            block = every[first : first + BLOCK]
            for done, found in enumerate(pool.map(lambda pair: extract(corpus, *pair), block)):
                if progress is not None:
                    progress(first + done + 1, len(every))
                yield found


def write_features(
    corpus: SpeechCorpus, stream: BinaryIO, *, num_workers: int, progress: Progress | None = None
) -> tuple[list[Extracted], Wide, Wide]:
    """Write the features of all utterances as float32.

    Returns facts about the recordings, and mean and deviation of the training frames [D], from sums
    in float64; a dimension that never changes has deviation one.
    """
    count, num_train = 0, len(corpus.splits.get("train", ()))
    sum_D, squares_D = np.zeros((2, corpus.recipe.num_features))
    facts = []
    every = extract_all(corpus, num_workers=num_workers, progress=progress)
    for place, (x_TD, found) in enumerate(every):
        stream.write(x_TD.astype("<f4").tobytes())
        if place < num_train:
            wide_TD = x_TD.astype(np.float64)
            count += len(x_TD)
            sum_D += wide_TD.sum(axis=0)
            squares_D += np.einsum("td,td->d", wide_TD, wide_TD)
        facts.append(found)
    mean_D = sum_D / max(count, 1)
    deviation_D = np.sqrt(np.maximum(squares_D / max(count, 1) - mean_D**2, 0))
    return facts, mean_D, np.where(deviation_D > 1e-6, deviation_D, 1.0)
