"""Learning-rate schedules, step by step against the papers' rules."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.config import OptimConfig
from bench.training.optimiser import Schedule


def schedule(**settings: Any) -> Schedule:
    stop_after = settings.pop("stop_after", 0)
    return Schedule(OptimConfig(lr=1.0, **settings), max_epochs=10, stop_after=stop_after)


@pytest.mark.parametrize(
    ("settings", "places", "rates"),
    [
        ({"schedule": "constant"}, [0.0, 5.5, 9.9], [1.0, 1.0, 1.0]),
        ({"schedule": "linear"}, [0.0, 2.5, 10.0], [1.0, 0.75, 0.0]),
        # Zaremba et al. (2014), small: lr 1 for four epochs, then halved before each epoch.
        (
            {"schedule": "epochs", "shrink": 2.0, "shrink_after": 4},
            [0.0, 3.9, 4.0, 5.0],
            [1.0, 1.0, 0.5, 0.25],
        ),
    ],
)
def test_rates(settings: dict[str, Any], places: list[float], rates: list[float]) -> None:
    assert [schedule(**settings).lr(place) for place in places] == pytest.approx(rates)


def test_plateau_shrinks_when_validation_stalls() -> None:
    plateau = schedule(schedule="plateau", shrink=2.0, threshold=0.99)
    improved = [plateau.report(loss) for loss in (5.0, 4.5, 4.49, 4.0, 4.2)]
    assert improved == [True, True, True, True, False]
    # 4.49 is better than 4.5 but not by one per cent; 4.2 is worse.
    assert plateau.lr(5.0) == 0.25


def test_back_to_best_only_after_a_stall() -> None:
    plateau = schedule(schedule="plateau", back_to_best=True)
    plateau.report(5.0)
    assert not plateau.returns_to_best
    plateau.report(6.0)
    assert plateau.returns_to_best


def test_stops_after_so_many_validations_without_improvement() -> None:
    stopping = schedule(schedule="constant", stop_after=2)
    finished = []
    for loss in (5.0, 5.1, 4.9, 4.9, 5.0):
        stopping.report(loss)
        finished.append(stopping.finished)
    assert finished == [False, False, False, False, True]


def test_a_restored_schedule_goes_on_alike() -> None:
    first = schedule(schedule="plateau", stop_after=3)
    for loss in (5.0, 5.5, 4.0):
        first.report(loss)
    second = schedule(schedule="plateau", stop_after=3)
    second.load_state_dict(first.state_dict())
    for loss in (4.5, 4.6, 4.7):
        assert first.report(loss) == second.report(loss)
        assert (first.lr(1.0), first.finished) == (second.lr(1.0), second.finished)
