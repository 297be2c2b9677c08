"""Result of a sweep: best trials, curves, importance, slices, tables and figures."""

from __future__ import annotations

import builtins
import random
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.sweep.definition import Budget, Sweep
from bench.sweep.dimension import Choice, Dimension, FloatRange, IntRange
from bench.sweep.importance import Method, bins, format_value, importance_of, slices
from bench.sweep.outcome import best_so_far, best_trial, read_result, summarise, write_result
from bench.sweep.report import draw_sweep, format_metric, report
from bench.sweep.trial import Status, TrialResult

SPACE: dict[str, Dimension] = {
    "optim.lr": FloatRange(low=0.001, high=0.1, log=True),
    "objective.dropout_output": FloatRange(low=0.0, high=0.6, step=0.1),
    "model.context_size": IntRange(low=10, high=80, step=10, when={"model.name": ["scrn"]}),
    "optim.name": Choice(choices=["adamw", "sgd"]),
    "optim.momentum": FloatRange(low=0.0, high=0.9, when={"optim.name": ["sgd"]}),
}
SWEEP = Sweep(
    name="mine",
    task="synthetic-text",
    models=["srn", "scrn", "gru"],
    space=SPACE,
    budget=Budget(trials=20, parameters=30_000),
)


def trial(number: int, status: Status = "finished", **more: Any) -> TrialResult:
    settings = {"model": "srn", "chosen": {"optim.lr": 0.01}, "seconds": 10.0, "flops": 1e9}
    return TrialResult(number=number, status=status, **{**settings, **more})


def many(model: str, count: int = 24) -> list[TrialResult]:
    """Trials whose value depends strongly on dropout, weakly on the rate, not on the rest."""
    draw = random.Random(model)
    found = []
    for i in range(count):
        chosen: dict[str, Any] = {
            "optim.lr": 0.001 * 100 ** draw.random(),
            "objective.dropout_output": draw.randrange(7) / 10,
            "optim.name": draw.choice(["adamw", "sgd"]),
        }
        if model == "scrn":
            chosen["model.context_size"] = draw.randrange(10, 90, 10)
        if chosen["optim.name"] == "sgd":
            chosen["optim.momentum"] = draw.random() * 0.9
        value = 50 + 40 * chosen["objective.dropout_output"] + 50 * chosen["optim.lr"]
        status: Status = {5: "pruned", 7: "diverged", 9: "failed", 11: "lost"}.get(i, "finished")  # type: ignore[assignment]
        found.append(
            trial(
                i,
                status,
                model=model,
                chosen=chosen,
                value=value if status == "finished" else None,
                run_ids=[f"{model}-0000000{i % 10}-s1"],
                num_parameters=30_010,
                worker="machine:123",
                order=float(i),
            )
        )
    return found


TRIALS = many("srn") + many("scrn")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(folder=tmp_path)


def result_of(suite: Suite, trials: list[TrialResult] = TRIALS) -> Any:
    return summarise(SWEEP, suite.card("synthetic-text"), trials)


CURVES: list[tuple[str, list[TrialResult], list[tuple[int, float, float]]]] = [
    ("no trial", [], []),
    ("one", [trial(0, value=5.0)], [(1, 10.0, 5.0)]),
    (
        "the best stays",
        [trial(0, value=5.0), trial(1, value=7.0), trial(2, value=3.0)],
        [(1, 10.0, 5.0), (2, 20.0, 5.0), (3, 30.0, 3.0)],
    ),
    (
        "pruned and diverged trials cost",
        [trial(0, "diverged"), trial(1, value=5.0), trial(2, "pruned", seconds=1.0)],
        [(2, 20.0, 5.0), (3, 21.0, 5.0)],
    ),
    (
        "failed, lost, running and waiting ones do not count",
        [trial(0, "failed"), trial(1, "lost"), trial(2, "running"), trial(3, "waiting"),
         trial(4, value=2.0)],
        [(1, 10.0, 2.0)],
    ),
    (
        "in the order of their end",
        [trial(0, value=2.0, order=9.0), trial(1, value=5.0, order=3.0)],
        [(1, 10.0, 5.0), (2, 20.0, 2.0)],
    ),
    ("of one model", [trial(0, value=1.0, model="gru"), trial(0, value=5.0)], [(1, 10.0, 5.0)]),
]  # fmt: skip


@pytest.mark.parametrize(("trials", "points"), [c[1:] for c in CURVES], ids=[c[0] for c in CURVES])
def test_best_so_far(trials: list[TrialResult], points: list[tuple[int, float, float]]) -> None:
    curve = best_so_far(trials, "srn", "min")
    assert [(p.trials, p.seconds, p.value) for p in curve] == points
    assert [p.flops for p in curve] == pytest.approx([p.trials * 1e9 for p in curve])


def test_best_so_far_of_a_metric_to_maximise() -> None:
    trials = [trial(i, value=v) for i, v in enumerate((2.0, 5.0, 3.0))]
    assert [p.value for p in best_so_far(trials, "srn", "max")] == [2.0, 5.0, 5.0]
    best = best_trial(trials, "srn", "max")
    assert best is not None
    assert best.number == 1


@given(st.lists(st.one_of(st.none(), st.floats(1, 1e6)), max_size=30))
def test_the_last_point_of_a_curve_is_the_best(values: list[float | None]) -> None:
    trials = [
        trial(i, "pruned" if value is None else "finished", value=value)
        for i, value in enumerate(values)
    ]
    curve, best = best_so_far(trials, "srn", "min"), best_trial(trials, "srn", "min")
    assert (best is None) == (not curve)
    if best:
        assert curve[-1].value == best.value == min(v for v in values if v is not None)
        assert curve[-1].trials == len(values)
        assert [p.value for p in curve] == sorted((p.value for p in curve), reverse=True)


def test_of_equal_trials_the_first_is_the_best() -> None:
    best = best_trial([trial(3, value=1.0), trial(2, value=1.0)], "srn", "min")
    assert best is not None
    assert best.number == 2


def test_the_file_holds_the_whole_result(suite: Suite) -> None:
    repeats = {"srn": ["srn-00000000-s2"]}
    card = suite.card("synthetic-text")
    path = write_result(summarise(SWEEP, card, TRIALS, repeats=repeats), suite)
    assert path == suite.folder / "results/synthetic-text/sweeps/mine.json"
    again = read_result(path)
    expected = result_of(suite)
    assert msgspec.structs.replace(again, repeats={}) == expected
    assert again.repeats == repeats
    assert path.with_suffix(".md").read_text() == report(again)
    assert "`bench table synthetic-text`: srn 1." in report(again)
    assert "machine" not in path.read_text()
    assert [t.number for t in again.trials] == [*range(24), *range(24)]
    assert again.best["srn"].value == min(t.value for t in TRIALS[:24] if t.value is not None)
    assert "gru" not in again.best
    assert again.curves["gru"] == []


def test_a_file_that_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="run the sweep first"):
        read_result(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(BenchError, match="not a sweep's result"):
        read_result(tmp_path / "bad.json")


METHODS: list[Method] = ["fanova", "ped-anova"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("direction", ["min", "max"])
def test_the_influential_setting_comes_first(
    method: Method, direction: Literal["min", "max"]
) -> None:
    found = importance_of(SWEEP, many("scrn", 60), "scrn", direction=direction, method=method)
    assert found is not None
    assert found.method == method
    assert next(iter(found.shares)) == "objective.dropout_output"
    assert sum(found.shares.values()) == pytest.approx(1.0, abs=1e-3)
    assert found.num_trials == 56
    # Momentum is not chosen in every trial, so fANOVA leaves it out.
    assert ("optim.momentum" in found.shares) is (method == "ped-anova")


def test_importance_is_deterministic() -> None:
    first, second = (importance_of(SWEEP, TRIALS, "srn", direction="min") for _ in range(2))
    assert first == second


TOO_LITTLE: dict[str, list[TrialResult]] = {
    "none": [],
    "too few": [trial(i, value=float(i)) for i in range(3)],
    "all the same": [trial(i, value=1.0) for i in range(9)],
    "none finished": [trial(i, "pruned") for i in range(9)],
}


@pytest.mark.parametrize("case", TOO_LITTLE)
def test_too_few_trials_have_no_importance(case: str) -> None:
    assert importance_of(SWEEP, TOO_LITTLE[case], "srn", direction="min") is None


def test_without_scikit_learn_the_method_is_ped_anova(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = importance_of(SWEEP, TRIALS, "srn", direction="min")
    assert found is not None
    assert found.method == "ped-anova"


def test_slices_count_every_finished_trial_once() -> None:
    finished = [t for t in many("scrn") if t.status == "finished"]
    found = slices(SWEEP, TRIALS, "scrn", direction="min")
    for key in SPACE:
        mine = [part for part in found if part.key == key]
        assert sum(part.num_trials for part in mine) == sum(key in t.chosen for t in finished)
        if len([t for t in finished if key in t.chosen]) == len(finished):
            assert min(part.best for part in mine) == min(t.value or 0 for t in finished)


BINS: list[tuple[Dimension, list[str]]] = [
    (Choice(choices=["a", True, None, 0.5]), ["a", "true", "none", "0.5"]),
    (IntRange(low=1, high=3), ["1", "2", "3"]),
    (IntRange(low=10, high=80, step=10), ["10 to 20", "30 to 40", "50 to 60", "70 to 80"]),
    (FloatRange(low=0.0, high=0.2, step=0.1), ["0", "0.1", "0.2"]),
    (FloatRange(low=0.0, high=1.0), ["0 to 0.25", "0.25 to 0.5", "0.5 to 0.75", "0.75 to 1"]),
    (
        FloatRange(low=0.0001, high=1.0, log=True),
        ["0.0001 to 0.001", "0.001 to 0.01", "0.01 to 0.1", "0.1 to 1"],
    ),
    (
        IntRange(low=1, high=10_000, log=True),
        ["1 to 10", "10 to 100", "100 to 1e+03", "1e+03 to 1e+04"],
    ),
]


@pytest.mark.parametrize(("dimension", "names"), BINS)
def test_bins_of_a_dimension(dimension: Dimension, names: list[str]) -> None:
    assert [name for name, _ in bins(dimension)] == names


@given(st.floats(0.001, 0.1), st.integers(1, 8), st.integers(0, 6))
def test_every_value_is_in_one_bin(rate: float, tens: int, tenths: int) -> None:
    values = [
        ("optim.lr", rate),
        ("model.context_size", 10 * tens),
        ("objective.dropout_output", tenths / 10),
    ]
    for key, value in values:
        assert sum(belongs(value) for _, belongs in bins(SPACE[key])) == 1


def test_the_report_counts_trials_by_status(suite: Suite) -> None:
    text = report(result_of(suite))
    assert text.startswith("# Sweep mine\n")
    lines = text.splitlines()
    [row] = [line for line in lines if line.startswith("| scrn") and "30,010" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    # 24 trials: 20 finished, one each pruned, diverged, failed, lost.
    assert cells[:6] == ["scrn", "22", "1", "1", "1", "1"]
    assert "optim.name=" in cells[-1]
    assert any("Validation perplexity of the finished trials" in line for line in lines)
    assert any(line.startswith("| gru") for line in lines)
    assert "30,000 weights each" in text


def test_a_report_without_trials(suite: Suite) -> None:
    text = report(result_of(suite, []))
    assert "| srn" in text
    assert "Importance" not in text
    assert "Pruned" not in text


def test_numbers_and_values_as_text() -> None:
    assert [format_metric(v) for v in (104.8712, 28.5551, 1.43214)] == ["104.87", "28.56", "1.432"]
    assert [format_value(v) for v in (0.0031234, 3, "a", None, True)] == [
        "0.003123",
        "3",
        "a",
        "none",
        "true",
    ]


def test_figures_without_content_are_left_out(suite: Suite, tmp_path: Path) -> None:
    paths = draw_sweep(result_of(suite), tmp_path)
    assert [path.name for path in paths] == [
        "mine-best-so-far.png",
        "mine-importance.png",
        "mine-slices.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert draw_sweep(result_of(suite, []), tmp_path) == []
    few = [trial(0, value=5.0), trial(1, "diverged")]
    assert [p.name for p in draw_sweep(result_of(suite, few), tmp_path)] == [
        "mine-best-so-far.png",
        "mine-slices.png",
    ]


def test_a_line_goes_through_the_points_of_its_curve(suite: Suite) -> None:
    from bench.sweep.report import plot_best_so_far

    result = result_of(suite)
    panel = plot_best_so_far(result).axes[1]
    drawn = {line.get_label(): line for line in panel.lines if not line.get_label().startswith("_")}
    assert set(drawn) == {"srn", "scrn"}
    curve = result.curves["scrn"]
    assert list(drawn["scrn"].get_ydata()) == [point.value for point in curve]
    assert list(drawn["scrn"].get_xdata()) == [point.seconds / 60 for point in curve]


def test_without_matplotlib(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BenchError, match=r"pip install 'sequence-bench\[plot\]'"):
        draw_sweep(result_of(suite), suite.folder)
