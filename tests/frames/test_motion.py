"""Paths of sprites: straight ahead, back from the edges, the same on every machine."""

from __future__ import annotations

import numpy as np
import pytest

from bench.frames.data.motion import directions, draw_indices, integer_motion, paths, uniform_motion


def stream() -> np.random.PCG64:
    return np.random.PCG64(7)


@pytest.mark.parametrize(
    ("start", "velocity", "expected"),
    [
        (0.0, 2.0, [0, 2, 4, 6, 8, 10, 8, 6]),  # reaches the edge and turns
        (1.0, 3.0, [1, 4, 7, 10, 7, 4, 1, 0]),  # is stopped at the edge
        (9.0, 3.0, [9, 10, 7, 4, 1, 0, 3, 6]),
        (5.5, 0.25, [5, 5, 6, 6, 6, 6, 7, 7]),  # whole pixels are shown
        (2.0, -1.5, [2, 0, 0, 1, 3, 4, 6, 7]),
        (4.0, 0.0, [4] * 8),
    ],
)
def test_a_path(start: float, velocity: float, expected: list[int]) -> None:
    corner_MT2 = paths(np.array([[start, 5.0]]), np.array([[velocity, 0.0]]), num_frames=8, room=10)
    assert corner_MT2[0, :, 0].tolist() == expected
    assert corner_MT2[0, :, 1].tolist() == [5] * 8


def test_sprites_stay_in_the_frame() -> None:
    moving = uniform_motion(stream(), 500, room=36, slowest=3.0, fastest=5.0)
    corner_MT2 = paths(*moving, num_frames=20, room=36)
    assert corner_MT2.min() == 0
    assert corner_MT2.max() == 36


def test_speeds_and_directions_are_uniform() -> None:
    start_M2, velocity_M2 = uniform_motion(stream(), 20_000, room=36, slowest=3.0, fastest=5.0)
    speed_M = np.hypot(*velocity_M2.T)
    assert speed_M.min() >= 3.0
    assert speed_M.max() <= 5.0
    np.testing.assert_allclose(np.quantile(speed_M, [0.25, 0.5, 0.75]), [3.5, 4, 4.5], atol=0.03)
    angle_M = np.arctan2(*velocity_M2.T) / np.pi
    quarters = np.histogram(angle_M, bins=8, range=(-1, 1))[0] / len(angle_M)
    np.testing.assert_allclose(quarters, 1 / 8, atol=0.01)
    np.testing.assert_allclose(start_M2.mean(0), 18, atol=0.3)


def test_directions_have_length_one() -> None:
    np.testing.assert_allclose(np.hypot(*directions(stream(), 100).T), 1, rtol=1e-15)


def test_whole_pixels_are_all_that_occur_and_nothing_rests() -> None:
    start_M2, velocity_M2 = integer_motion(stream(), 5_000, room=9, fastest=2)
    assert set(start_M2.ravel()) == set(range(10))
    assert set(velocity_M2.ravel()) == {-2, -1, 0, 1, 2}
    pairs, counts = np.unique(velocity_M2, axis=0, return_counts=True)
    assert len(pairs) == 24
    assert [0, 0] not in pairs.tolist()
    np.testing.assert_allclose(counts / 5_000, 1 / 24, atol=0.012)


def test_indices_are_uniform() -> None:
    counts = np.bincount(draw_indices(stream(), 9_000, of=3), minlength=3)
    np.testing.assert_allclose(counts / 9_000, 1 / 3, atol=0.02)
