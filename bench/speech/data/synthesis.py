"""Formant synthesis: pulses and noise through the resonances of a vocal tract.

    excitation   pulses at the speaker's pitch, and white noise
    voice        |H(f)| = tilt(f) prod_k |resonator(f; F_k, B_k)|     F_k slide from sound to sound
    noise        a band of its own for each sound
    spectrum     frames of 32 ms every 16 ms, multiplied, added up again (overlap-add)

F_k is the sound's formant times the speaker's factor: a shorter tract has higher resonances.
White noise is added at a level drawn for each utterance. Formants as in D. Klatt, "Software for a
cascade/parallel formant synthesizer", JASA 67, 1980; filters here have magnitudes and no phases.
Vowels have the average formants of Peterson and Barney's (1952) men; consonants are noise bands,
bursts and weak resonances in about the right places. The sounds are no English, and need not be.

Shapes: N samples, M control points, K formants, F frequencies.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from bench.data.random import uniform
from bench.speech.data.corpus import Samples, Utterance
from bench.speech.data.specification import SyntheticSpeechSpec

Class = Literal["vowel", "stop", "fricative", "nasal", "liquid"]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Sound of a vocal tract of length one."""

    kind: Class
    formants_hz: tuple[float, float, float]
    glide_to_hz: tuple[float, float, float] | None = None
    """End of the formants where they move."""
    voice: float = 0.0
    """Amplitude of the pulses."""
    noise: float = 0.0
    """Amplitude of the noise; a stop's comes after its closure only."""
    noise_hz: float = 4000.0
    noise_width_hz: float = 1000.0
    duration_ms: float = 90.0


def _vowel(f1: float, f2: float, f3: float, duration_ms: float = 110) -> Sound:
    return Sound(kind="vowel", formants_hz=(f1, f2, f3), voice=1, duration_ms=duration_ms)


def _stop(locus_hz: float, noise_hz: float, voice: float = 0) -> Sound:
    return Sound(
        kind="stop",
        formants_hz=(250, locus_hz, 2500),
        voice=voice,
        noise=1.5,
        noise_hz=noise_hz,
        duration_ms=80,
    )


def _fricative(noise: float, noise_hz: float, width_hz: float, voice: float = 0) -> Sound:
    return Sound(
        kind="fricative",
        formants_hz=(280, 1700, 2600),
        voice=voice,
        noise=noise,
        noise_hz=noise_hz,
        noise_width_hz=width_hz,
        duration_ms=100,
    )


def _voiced(kind: Class, f1: float, f2: float, f3: float, voice: float) -> Sound:
    return Sound(kind=kind, formants_hz=(f1, f2, f3), voice=voice, duration_ms=75)


SOUNDS: dict[str, Sound] = {
    "iy": _vowel(270, 2290, 3010),
    "ih": _vowel(390, 1990, 2550, 85),
    "eh": _vowel(530, 1840, 2480),
    "ae": _vowel(660, 1720, 2410, 130),
    "aa": _vowel(730, 1090, 2440, 130),
    "ao": _vowel(570, 840, 2410),
    "uh": _vowel(440, 1020, 2240, 85),
    "uw": _vowel(300, 870, 2240),
    "ah": _vowel(640, 1190, 2390, 85),
    "er": _vowel(490, 1350, 1690),
    "ay": replace(_vowel(730, 1090, 2440, 160), glide_to_hz=(390, 1990, 2550)),
    "p": _stop(900, 700),
    "t": _stop(1800, 4500),
    "k": _stop(2300, 2000),
    "b": _stop(900, 700, voice=0.25),
    "d": _stop(1800, 4500, voice=0.25),
    "g": _stop(2300, 2000, voice=0.25),
    "f": _fricative(0.25, 6500, 4000),
    "s": _fricative(0.8, 6200, 900),
    "sh": _fricative(0.9, 3000, 700),
    "z": _fricative(0.6, 6200, 900, voice=0.25),
    "m": _voiced("nasal", 250, 1000, 2200, 0.45),
    "n": _voiced("nasal", 250, 1600, 2500, 0.45),
    "l": _voiced("liquid", 360, 1000, 2700, 0.7),
    "r": _voiced("liquid", 350, 1060, 1500, 0.7),
    "w": _voiced("liquid", 300, 610, 2200, 0.7),
    "y": _voiced("liquid", 270, 2200, 3000, 0.7),
}
ALIKE = {"ih": "ix", "ah": "ax"}
"""Sound -> the rarer of the two labels that are written for it."""
NEXT_CLASS: dict[Class | None, dict[Class, float]] = {
    None: {"stop": 0.35, "fricative": 0.2, "nasal": 0.15, "liquid": 0.15, "vowel": 0.15},
    "vowel": {"stop": 0.3, "fricative": 0.25, "nasal": 0.25, "liquid": 0.2},
    "stop": {"vowel": 0.75, "liquid": 0.25},
    "fricative": {"vowel": 0.7, "stop": 0.2, "liquid": 0.1},
    "nasal": {"vowel": 0.6, "stop": 0.2, "fricative": 0.2},
    "liquid": {"vowel": 1.0},
}
"""Class of a sound, None before the first -> class of the next; no sound follows itself."""

Floats = npt.NDArray[np.float64]
VERSION = 1
"""Version of the sound, raised when the same card sounds different."""
CONTROL_MS = 5
WINDOW, HOP, NUM_POINTS = 512, 256, 1024
BANDWIDTHS_HZ = (80.0, 100.0, 150.0, 250.0)
FOURTH_FORMANT_HZ = 3500.0
TILT_HZ = 500.0
CLOSED_SHARE = 0.6
"""Share of a stop in which the tract is closed."""
SLIDE, FADE = 7, 3
"""Control points over which formants and amplitudes are smoothed."""
LOUDNESS = 2000.0
LIMIT = 32000
SOUND_NAMED = {rare: SOUNDS[name] for name, rare in ALIKE.items()} | SOUNDS


@dataclass(frozen=True, kw_only=True)
class Traits:
    """Traits of a speaker."""

    pitch_hz: float
    formant_factor: float
    rate: float
    loudness: float


def speaker_traits(spec: SyntheticSpeechSpec, number: int) -> Traits:
    """Traits of speaker `number`; a high voice tends to go with a short tract."""
    high, own, rate, loudness = uniform(np.random.PCG64([spec.seed, number]), 4).tolist()
    return Traits(
        pitch_hz=90 * 2.6**high,
        formant_factor=0.92 + 0.16 * high + 0.08 * own,
        rate=0.85 + 0.3 * rate,
        loudness=0.5 + loudness,
    )


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Settings of the tract at each control point [M], for the formants [M, K]."""

    formants: Floats
    voice: Floats
    noise: Floats
    noise_hz: Floats
    noise_width_hz: Floats


@dataclass(frozen=True, kw_only=True)
class Synthesiser:
    """Recordings that are generated when they are used, the same each time."""

    spec: SyntheticSpeechSpec

    @property
    def sample_rate_hz(self) -> int:
        """Sample rate of the card."""
        return self.spec.sample_rate_hz

    def fingerprint(self, utterance: Utterance) -> str:
        """Everything that the sound depends on."""
        spec = msgspec.json.encode(self.spec, order="deterministic").decode()
        return f"{VERSION} {spec} {utterance.labels} {utterance.times}"

    def samples(self, utterance: Utterance) -> Samples:
        """Samples of an utterance by its speaker [N]."""
        assert utterance.times is not None
        spec, rate = self.spec, self.sample_rate_hz
        source = np.random.PCG64([spec.seed, zlib.crc32(utterance.id.encode())])
        pause, level, *wiggle = uniform(source, 5).tolist()
        num_samples = utterance.times[-1][1] + int((0.1 + 0.1 * pause) * rate)
        traits = speaker_traits(spec, int(utterance.speaker[1:]))
        tracks = _tracks(utterance, traits, num_samples, rate)
        pulses = _pulses(traits.pitch_hz, wiggle, num_samples, rate)
        noise = 2 * uniform(source, num_samples) - 1
        speech = _filtered(pulses, noise, tracks, rate)
        speech *= LOUDNESS * traits.loudness / np.sqrt(np.mean(speech**2))
        noise_db = spec.noise_db_min + level * (spec.noise_db_max - spec.noise_db_min)
        around = LOUDNESS * traits.loudness * 10 ** (-noise_db / 20) * np.sqrt(3)
        speech += around * (2 * uniform(source, num_samples) - 1)
        return np.rint(np.clip(speech, -LIMIT, LIMIT)).astype(np.int16)


def _pulses(pitch_hz: float, wiggle: list[float], num_samples: int, rate: int) -> Floats:
    """Pulse at the beginning of each period; the pitch falls by a fifth and wavers a little."""
    t = np.linspace(0, 1, num_samples)
    bend = 0.1 * (wiggle[0] - 0.5) + 0.2 * (wiggle[1] - 0.5) * t + 0.1 * wiggle[2] * t**2
    phase = np.cumsum(pitch_hz * (1.1 - 0.2 * t) * (1 + bend) / rate)
    return np.asarray(12.0 * np.diff(np.floor(phase), prepend=0.0))


def _tracks(utterance: Utterance, traits: Traits, num_samples: int, rate: int) -> Tracks:
    assert utterance.times is not None
    step = CONTROL_MS * rate // 1000
    num_points = 2 + num_samples // step
    sounds = [SOUND_NAMED[phone] for phone in utterance.labels]
    formants_MK = np.tile(_formants(sounds[0], 1)[0], (num_points, 1))
    voice, noise = np.zeros((2, num_points))
    noise_hz, width_hz = np.full(num_points, 4000.0), np.full(num_points, 1000.0)
    for sound, (first, end) in zip(sounds, utterance.times, strict=True):
        begin, num = first // step, max(end // step - first // step, 1)
        here = slice(begin, begin + num)
        formants_MK[here] = _formants(sound, num)
        formants_MK[begin + num :] = formants_MK[begin + num - 1]
        voice[here], noise[here] = sound.voice, sound.noise
        noise_hz[here], width_hz[here] = sound.noise_hz, sound.noise_width_hz
        if sound.kind == "stop":
            noise[begin : begin + int(CLOSED_SHARE * num)] = 0
    return Tracks(
        formants=_smooth(formants_MK, SLIDE) * traits.formant_factor,
        voice=_smooth(voice[:, None], FADE)[:, 0],
        noise=_smooth(noise[:, None], FADE)[:, 0],
        noise_hz=noise_hz,
        noise_width_hz=width_hz,
    )


def _formants(sound: Sound, num_points: int) -> Floats:
    begin = np.array([*sound.formants_hz, FOURTH_FORMANT_HZ])
    end = np.array([*(sound.glide_to_hz or sound.formants_hz), FOURTH_FORMANT_HZ])
    return np.asarray(begin + np.linspace(0, 1, num_points)[:, None] * (end - begin))


def _smooth(values_MK: Floats, num_points: int) -> Floats:
    reach = num_points // 2
    padded = np.pad(values_MK, ((reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, num_points, axis=0)
    return np.asarray(windows.mean(axis=-1))


def _filtered(pulses_N: Floats, noise_N: Floats, tracks: Tracks, rate: int) -> Floats:
    num_blocks = -(-len(pulses_N) // HOP) + WINDOW // HOP
    middle = (np.arange(num_blocks) * HOP - WINDOW // 2) * 1000 // (CONTROL_MS * rate)
    at = np.clip(middle, 0, len(tracks.voice) - 1)
    f_F = np.arange(NUM_POINTS // 2 + 1) * rate / NUM_POINTS
    voice = _spectra(pulses_N, num_blocks) * _resonances(f_F, tracks.formants[at])
    away = (f_F - tracks.noise_hz[at, None]) / tracks.noise_width_hz[at, None]
    noise = _spectra(noise_N, num_blocks) / (1 + away**2)
    both = voice * tracks.voice[at, None] + noise * tracks.noise[at, None]
    blocks = np.fft.irfft(both, NUM_POINTS, axis=1)
    added = np.zeros((num_blocks + NUM_POINTS // HOP, HOP))
    for part in range(NUM_POINTS // HOP):
        added[part : part + num_blocks] += blocks[:, part * HOP : (part + 1) * HOP]
    return added.ravel()[WINDOW : WINDOW + len(pulses_N)]


def _spectra(signal_N: Floats, num_blocks: int) -> npt.NDArray[np.complex128]:
    padded = np.concatenate([np.zeros(WINDOW), signal_N, np.zeros(2 * WINDOW)])
    blocks = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:num_blocks]
    return np.asarray(np.fft.rfft(blocks * np.hanning(WINDOW + 1)[:-1], NUM_POINTS, axis=1))


def _resonances(f_F: Floats, formants_MK: Floats) -> Floats:
    """Magnitude of a cascade of resonators, one at zero frequency, under a falling source.

    |f^2 - (F + iB/2)^2|^2 = (f^2 + F^2 + B^2/4)^2 - 4 f^2 F^2: each resonator's poles.
    """
    squared_F = f_F**2
    gain = 1 / (1 + squared_F / TILT_HZ**2) * np.ones((len(formants_MK), 1))
    for centre_M, bandwidth in zip(formants_MK.T, BANDWIDTHS_HZ, strict=True):
        at_zero_M1 = (centre_M**2 + bandwidth**2 / 4)[:, None]
        sides = squared_F + at_zero_M1
        gain *= at_zero_M1**2 / (sides**2 - (4 * centre_M**2)[:, None] * squared_F)
    return np.asarray(np.sqrt(gain))
