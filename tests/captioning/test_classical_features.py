"""Colours, edges and textures: what the equations say, pixel by pixel, and what they tell apart."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bench.captioning.data.extraction import (
    CLASSICAL,
    MARGIN,
    SIDE,
    colour_histogram,
    evened,
    gist,
    hog,
    hsv,
)

Floats = npt.NDArray[np.float32]
LINE = np.arange(SIDE)


def noise(seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((SIDE, SIDE, 3), np.float32)


def grey(pixels_HW: npt.NDArray[np.floating]) -> Floats:
    return np.repeat(np.asarray(pixels_HW, np.float32)[:, :, None], 3, axis=2)


def stripes(angle: float, period: float) -> Floats:
    """Waves that run at `angle` to the x axis."""
    along = LINE[None, :] * math.cos(angle) + LINE[:, None] * math.sin(angle)
    return grey(0.5 + 0.4 * np.cos(2 * np.pi * along / period))


@pytest.mark.parametrize(
    ("name", "size"), [("colour-histogram", 640), ("hog", 1764), ("gist", 512)]
)
def test_sizes(name: str, size: int) -> None:
    for image in (noise(), grey(np.zeros((SIDE, SIDE))), grey(np.ones((SIDE, SIDE)))):
        found = CLASSICAL[name](image)
        assert found.shape == (size,)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()


# Colours ----------------------------------------------------------------------------------------


def test_hue_saturation_and_value() -> None:
    colours = [*noise()[0, :40], [0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]
    image = np.array([colours], np.float32)
    found = np.stack(hsv(image), axis=2)[0]
    expected = [colorsys.rgb_to_hsv(*map(float, colour)) for colour in image[0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_histogram_holds_the_shares_of_the_image_and_its_quarters() -> None:
    image = grey(np.zeros((SIDE, SIDE)))
    image[: SIDE // 2, : SIDE // 2] = (1, 0, 0)
    shares = colour_histogram(image).reshape(5, 8, 4, 4) ** 2
    red, black = (0, 3, 3), (0, 0, 0)
    assert shares.sum(axis=(1, 2, 3)).tolist() == pytest.approx([1] * 5)
    assert [shares[(part, *red)] for part in range(5)] == pytest.approx([0.25, 1, 0, 0, 0])
    assert [shares[(part, *black)] for part in range(5)] == pytest.approx([0.75, 0, 1, 1, 1])


# Edges ------------------------------------------------------------------------------------------


def hog_loop(image: Floats) -> list[float]:
    """The same, a pixel at a time."""
    cells = np.zeros((8, 8, 9))
    wide = image.astype(np.float64)
    for y in range(SIDE):
        for x in range(SIDE):
            best = (-1.0, 0.0, 0.0)
            for c in range(3):
                up, down = max(y - 1, 0), min(y + 1, SIDE - 1)
                left, right = max(x - 1, 0), min(x + 1, SIDE - 1)
                dy = (wide[down, x, c] - wide[up, x, c]) / (down - up)
                dx = (wide[y, right, c] - wide[y, left, c]) / (right - left)
                if math.hypot(dx, dy) > best[0]:
                    best = (math.hypot(dx, dy), dx, dy)
            angle = math.atan2(best[2], best[1]) / math.pi % 1 * 9
            lower = int(angle)
            cells[y // 16, x // 16, lower % 9] += best[0] * (1 - (angle - lower))
            cells[y // 16, x // 16, (lower + 1) % 9] += best[0] * (angle - lower)
    found: list[float] = []
    for row in range(7):
        for column in range(7):
            block = cells[row : row + 2, column : column + 2].ravel()
            block = np.minimum(block / math.sqrt((block**2).sum() + 1e-6), 0.2)
            found += (block / math.sqrt((block**2).sum() + 1e-6)).tolist()
    return found


def test_directions_are_those_of_a_plain_loop() -> None:
    image = np.asarray(0.7 * stripes(0.4, 9) + 0.3 * noise(), np.float32)
    np.testing.assert_allclose(hog(image), hog_loop(image), atol=2e-4)


@pytest.mark.parametrize("direction", range(9))
def test_an_edge_falls_into_its_direction(direction: int) -> None:
    found = hog(stripes(np.pi * direction / 9, 16)).reshape(49 * 4, 9).sum(axis=0)
    assert int(found.argmax()) == direction


# Textures ---------------------------------------------------------------------------------------


def gist_loop(image: Floats, scale: int, number: int) -> list[float]:
    """The same of one filter, on the full grid and with plain sums over pixels."""
    padded = np.pad(image.mean(axis=2), MARGIN, mode="symmetric")
    size, middle = len(padded), 0.3 / 1.85**scale
    cycles = np.fft.fftfreq(size).tolist()
    height = np.zeros((size, size))
    for y in range(size):
        for x in range(size):
            f = math.hypot(cycles[x], cycles[y])
            apart = math.atan2(cycles[y], cycles[x]) - math.pi * number / 8
            apart = (apart + math.pi) % (2 * math.pi) - math.pi
            height[y, x] = math.exp(-3.5 * (f / middle - 1) ** 2 - 2 * math.pi * apart**2)
    spectrum = np.fft.fft2(evened(padded).astype(np.float64))
    response = np.abs(np.fft.ifft2(spectrum * height))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    side = SIDE // 4
    return [
        float(response[row * side :, column * side :][:side, :side].mean())
        for row in range(4)
        for column in range(4)
    ]


@pytest.mark.parametrize(("scale", "number"), [(0, 0), (1, 3), (3, 7)])
def test_energies_are_those_of_a_plain_loop(scale: int, number: int) -> None:
    image = np.asarray(0.5 * stripes(1.0, 7) + 0.5 * noise(), np.float32)
    expected = np.array(gist_loop(image, scale, number))
    found = gist(image).reshape(4, 8, 16)[scale, number]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("number", range(8))
def test_a_wave_excites_the_filter_of_its_direction_and_scale(number: int) -> None:
    middle = 0.3 / 1.85**1
    found = gist(stripes(np.pi * number / 8, 1 / middle)).reshape(4, 8, 16).mean(axis=2)
    assert int(found.argmax()) == 1 * 8 + number


def brighter(image: Floats) -> Floats:
    return np.asarray(0.5 * image, np.float32)


@pytest.mark.parametrize(("describe", "change"), [(hog, brighter), (gist, brighter)])
def test_edges_and_textures_hardly_mind_the_light(
    describe: Callable[[Floats], Floats], change: Callable[[Floats], Floats]
) -> None:
    image = np.asarray(0.5 * stripes(0.3, 12) + 0.2 * noise() + 0.2, np.float32)
    one, other = describe(image), describe(change(image))
    cosine = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    assert cosine > 0.99
