"""Log-mel filter-bank features with energy and differences, as HTK and Kaldi define them.

    frame        25 ms every 10 ms, only where a whole one fits:  T = 1 + (N - W) // S
    x            the frame less its mean;                 energy  e = ln sum x^2
    spectrum     |DFT(hamming . preemphasis(x))|^2,       x'_n = x_n - 0.97 x_{n-1}
    log-mel      ln (triangles on the mel scale . spectrum)
    difference   d_t = sum_k k (c_{t+k} - c_{t-k}) / (2 sum_k k^2),  k = 1, 2, ends repeated

Samples keep the range of 16-bit integers, and logarithms are of at least one, so that digital
silence is zero and not minus infinity.

N samples, W window, S shift, T frames, F spectrum bins, M mel bands, C = M + 1 coefficients,
D = 3 C features.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from bench.speech.data.specification import FeatureRecipe

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]


def features(samples_N: Samples, recipe: FeatureRecipe, *, sample_rate_hz: int) -> Floats:
    """Features [T, D] of one recording, not normalised; T is zero for one shorter than a frame."""
    coefficients_TC = filter_bank(samples_N, recipe, sample_rate_hz=sample_rate_hz)
    orders = [coefficients_TC]
    for _ in range(recipe.num_differences):
        orders.append(differences(orders[-1], reach=recipe.difference_reach))
    return np.concatenate(orders, axis=1)


def num_frames(num_samples: int, recipe: FeatureRecipe, *, sample_rate_hz: int) -> int:
    """How many frames a recording has."""
    window, shift = _window_and_shift(recipe, sample_rate_hz)
    return 0 if num_samples < window else 1 + (num_samples - window) // shift


def filter_bank(samples_N: Samples, recipe: FeatureRecipe, *, sample_rate_hz: int) -> Floats:
    """Log-mel coefficients and, after them, the log energy [T, C]."""
    window, shift = _window_and_shift(recipe, sample_rate_hz)
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
    """Slope of the line fitted over `reach` frames to either side [T, C]."""
    num = len(values_TC)
    if not num:
        return values_TC
    padded = np.pad(values_TC, ((reach, reach), (0, 0)), mode="edge")
    slope_TC = np.zeros_like(values_TC)
    for k in range(1, reach + 1):
        later, earlier = padded[reach + k :][:num], padded[reach - k :][:num]
        slope_TC += np.float32(k) * (later - earlier)
    return slope_TC / np.float32(2 * sum(k * k for k in range(1, reach + 1)))


def _window_and_shift(recipe: FeatureRecipe, sample_rate_hz: int) -> tuple[int, int]:
    window = round(recipe.window_ms * sample_rate_hz / 1000)
    return window, round(recipe.shift_ms * sample_rate_hz / 1000)


@functools.cache
def _triangles(recipe: FeatureRecipe, num_points: int, sample_rate_hz: int) -> Floats:
    """Triangular weights [F, M], equally spaced and straight-sided on the mel scale."""
    high_hz = recipe.high_hz or sample_rate_hz / 2
    edges = np.linspace(_mel(recipe.low_hz), _mel(high_hz), recipe.num_mel_bands + 2)
    mel_F1 = _mel(np.arange(num_points // 2 + 1) * sample_rate_hz / num_points)[:, None]
    rising = (mel_F1 - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel_F1) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _mel(frequency_hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The mel scale of HTK."""
    return np.asarray(1127 * np.log1p(np.asarray(frequency_hz) / 700))
