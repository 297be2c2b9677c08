"""Features: equal to their equations in float64 and to an independent implementation."""

from __future__ import annotations

from pathlib import Path

import kaldi_native_fbank as knf  # type: ignore[import-untyped]
import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from speech_trees import Samples, smooth_noise

from bench.speech.data.features import differences, features, filter_bank
from bench.speech.data.specification import FeatureRecipe

RECIPE = FeatureRecipe()
RATE = 16000


@pytest.fixture(scope="module")
def speech(bench_data: Path) -> Samples:
    samples: Samples = soundfile.read(
        bench_data / "timit-sample/dr1-fvmh0/sx206.wav", dtype="int16"
    )[0]
    return samples


def plain_features(samples_N: Samples, recipe: FeatureRecipe) -> npt.NDArray[np.float64]:
    """The equations, a frame and a band at a time, in float64."""
    window, shift = 400, 160
    points = 512
    frequencies = [k * RATE / points for k in range(points // 2 + 1)]

    def mel(frequency: float) -> float:
        return float(1127 * np.log(1 + frequency / 700))

    low, high = mel(recipe.low_hz), mel(recipe.high_hz or RATE / 2)
    step = (high - low) / (recipe.num_mel_bands + 1)
    rows = []
    for begin in range(0, len(samples_N) - window + 1, shift):
        x = samples_N[begin : begin + window].astype(np.float64)
        x = x - x.mean()
        energy = (x * x).sum()
        y = [x[n] - recipe.preemphasis * x[max(n - 1, 0)] for n in range(window)]
        y = [y[n] * (0.54 - 0.46 * np.cos(2 * np.pi * n / (window - 1))) for n in range(window)]
        power = abs(np.fft.fft(y, points)[: points // 2 + 1]) ** 2
        row = []
        for band in range(recipe.num_mel_bands):
            left = low + band * step
            weights = [max(0, 1 - abs(mel(f) - left - step) / step) for f in frequencies]
            row.append(np.log(max(1, np.dot(weights, power))))
        rows.append([*row, np.log(max(1, energy))])
    static = np.array(rows)
    whole = [static]
    for _ in range(recipe.num_differences):
        c = whole[-1]
        last = len(c) - 1
        slope = [
            sum(k * (c[min(t + k, last)] - c[max(t - k, 0)]) for k in (1, 2)) / 10
            for t in range(len(c))
        ]
        whole.append(np.array(slope))
    return np.concatenate(whole, axis=1)


@pytest.mark.parametrize(
    "changes", [{}, {"num_mel_bands": 26, "low_hz": 0.0, "high_hz": 7000.0, "num_differences": 1}]
)
def test_the_equations(speech: Samples, changes: dict[str, float]) -> None:
    recipe = msgspec.structs.replace(RECIPE, **changes)
    samples = speech[4000:9000]
    expected = plain_features(samples, recipe)
    found = features(samples, recipe, sample_rate_hz=RATE)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (29, recipe.num_features)
    assert abs(found - expected).max() < 2e-4


def test_kaldis_filter_bank(speech: Samples) -> None:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.window_type = "hamming"
    options.mel_opts.num_bins = 40
    options.use_energy = True
    options.htk_compat = True  # energy last
    options.energy_floor = 1.0
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(RATE, speech.astype(np.float32).tolist())
    computer.input_finished()
    expected = np.stack([computer.get_frame(t) for t in range(computer.num_frames_ready)])
    found = filter_bank(speech, RECIPE, sample_rate_hz=RATE)
    assert found.shape == expected.shape
    assert abs(found - expected).max() < 5e-4


def test_a_tone_is_loudest_in_its_band() -> None:
    t = np.arange(8000) / RATE
    edges = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(8000 / 700), 42)
    centres = 700 * np.expm1(edges[1:-1] / 1127)
    for band in (5, 15, 25, 35):
        tone = (8000 * np.sin(2 * np.pi * centres[band] * t)).astype(np.int16)
        mel = filter_bank(tone, RECIPE, sample_rate_hz=RATE)[:, :40]
        assert (mel.argmax(axis=1) == band).all()


def test_the_energy_follows_the_level() -> None:
    samples = smooth_noise(3)
    quiet, loud = (filter_bank(k * samples, RECIPE, sample_rate_hz=RATE) for k in (1, 2))
    assert loud - quiet == pytest.approx(np.full_like(loud, 2 * np.log(2)), abs=1e-4)
    assert np.ptp(loud[:, 40]) < 2


@pytest.mark.parametrize(
    ("num_samples", "expected"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16000, 98)]
)
def test_a_frame_needs_a_whole_window(num_samples: int, expected: int) -> None:
    found = features(smooth_noise(1, num_samples), RECIPE, sample_rate_hz=RATE)
    assert found.shape == (expected, 123)


def test_digital_silence_is_zero() -> None:
    assert (features(np.zeros(4000, np.int16), RECIPE, sample_rate_hz=RATE) == 0).all()


def test_differences_of_a_line_are_its_slope() -> None:
    line = 0.5 * np.arange(20, dtype=np.float32)[:, None]
    slope = differences(line, reach=2)
    assert slope[2:-2] == pytest.approx(np.full((16, 1), 0.5))
    assert slope[0, 0] == pytest.approx((1 * 0.5 + 2 * 1.0) / 10)  # its first value repeated


def test_the_papers_vector() -> None:
    assert RECIPE.num_features == 123
    assert (RECIPE.window_ms, RECIPE.shift_ms) == (25, 10)
