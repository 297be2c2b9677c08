"""The sounds of synthetic speech and which may follow which.

Vowels have the average formants of Peterson and Barney's (1952) men; consonants are noise bands,
bursts and weak resonances of about the right places. It is no English, and need not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Class = Literal["vowel", "stop", "fricative", "nasal", "liquid"]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """How a sound is made, by a vocal tract of length one."""

    kind: Class
    formants_hz: tuple[float, float, float]
    glide_to_hz: tuple[float, float, float] | None = None
    """Where the formants end when they move."""
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
    "ay": Sound(
        kind="vowel",
        formants_hz=(730, 1090, 2440),
        glide_to_hz=(390, 1990, 2550),
        voice=1,
        duration_ms=160,
    ),
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
