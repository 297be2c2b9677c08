"""Diagnoses: gradients, Jacobians and cut histories against plain computations."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from finished_runs import SETTINGS, carry_out

from bench.cli import app
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.models import MODELS, build_recurrence
from bench.runs.finished import find_run, load_objective
from bench.runs.run import corpus_of
from bench.text.diagnosis import (
    Effort,
    diagnose,
    gradient_norms,
    jacobians,
    positions,
    recurrent_matrices,
    spaced,
    text_of,
    truncated_losses,
)
from bench.text.objective import LanguageModel

NETWORKS = ["srn", "lstm", "scrn"]
LITTLE = Effort(max_distance=8, num_gradients=6, num_jacobians=3, num_positions=30)


def model_of(suite: Suite, record: Record) -> LanguageModel:
    finished = find_run(suite, record.id)
    model = load_objective(finished, corpus_of(finished.resolved))
    assert isinstance(model, LanguageModel)
    return model.double()


def plain_norms(model: LanguageModel, place: int, distance: int) -> tuple[list[float], list[float]]:
    """Of one position, by reading the whole text with every state and input kept."""
    input_N, target_N = text_of(model, "valid")
    state = model.recurrence.initial_state(1, model.embedding.weight)
    states, inputs = [], []
    for t in range(place + 1):
        x_1E = model.embedding(input_N[t : t + 1])
        y_1H, after = model.recurrence.step(x_1E, state)
        state = tuple(part.clone() for part in after)
        states.append(state)
        inputs.append(x_1E)
    loss = -model.output.log_distribution(y_1H)[0, target_N[place]]
    steps = [(y_1H,), *(states[place - k] for k in range(1, distance + 1))]
    hidden = [torch.autograd.grad(loss, step, retain_graph=True) for step in steps]
    by_input = [
        torch.autograd.grad(loss, [inputs[place - k]], retain_graph=True)
        for k in range(distance + 1)
    ]

    def norm(parts: tuple[torch.Tensor, ...]) -> float:
        return math.sqrt(sum(float(part.square().sum()) for part in parts))

    return [norm(parts) for parts in hidden], [norm(parts) for parts in by_input]


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_back_in_time_are_those_of_the_plain_network(
    suite: Suite, runs: dict[str, Record], name: str
) -> None:
    model = model_of(suite, runs[name])
    got = gradient_norms(model, "valid", max_distance=6, num_positions=3)
    places = spaced(6, len(text_of(model, "valid")[0]) - 1, 3).tolist()
    plain = [plain_norms(model, place, 6) for place in places]
    for which, norms in enumerate((got.hidden, got.input)):
        expected = [sum(p[which][k] for p in plain) / len(plain) for k in range(7)]
        assert norms == pytest.approx(expected, rel=1e-9)
    squares = [sum(part[0] for part in got.parts), got.hidden[1]]
    assert squares[0] >= squares[1] * (1 - 1e-9), "norms of the parts are no less than the whole's"


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_architecture_has_jacobians(name: str) -> None:
    torch.manual_seed(0)
    recurrence = build_recurrence(name, 3, {"hidden_size": 4, "num_layers": 2}).double()
    x_PD = torch.randn(2, 3, dtype=torch.float64)
    shapes = recurrence.state_shapes()
    states = tuple(torch.randn(2, *shape, dtype=torch.float64) for shape in shapes)
    found = jacobians(recurrence, x_PD, states)
    assert found is not None
    step = 1e-6
    column = 0
    for number, part in enumerate(states):
        for unit in range(part[0].numel()):
            ends = []
            for sign in (1, -1):
                moved = [s.clone() for s in states]
                moved[number].flatten(1)[:, unit] += sign * step
                _, after = recurrence.step(x_PD, tuple(moved))
                ends.append(torch.cat([a.flatten(1) for a in after], dim=1))
            slope = (ends[0] - ends[1]) / (2 * step)
            assert torch.allclose(found[:, :, column], slope, atol=1e-7), (number, unit)
            column += 1
    for radius in recurrent_matrices(recurrence).values():
        assert radius > 0


def test_spectral_radius_of_a_known_matrix() -> None:
    recurrence = build_recurrence("srn", 2, {"hidden_size": 2})
    with torch.no_grad():
        dict(recurrence.named_parameters())["R_HH"].copy_(torch.tensor([[0.0, 2.0], [-2.0, 0.0]]))
    assert recurrent_matrices(recurrence) == {"R_HH": pytest.approx(2.0)}
    assert recurrent_matrices(build_recurrence("tdnn", 2, {"hidden_size": 2})) == {}
    gates = recurrent_matrices(build_recurrence("lstm", 2, {"hidden_size": 3, "num_layers": 2}))
    assert len(gates) == 8


@pytest.mark.parametrize("name", NETWORKS)
def test_cut_histories_are_read_from_the_beginning_of_a_text(
    suite: Suite, runs: dict[str, Record], name: str
) -> None:
    model = model_of(suite, runs[name])
    input_N, target_N = text_of(model, "valid")
    places = spaced(9, len(target_N) - 1, 5)
    got = truncated_losses(model, "valid", places, [1, 4, 10])
    for length, loss in got.items():
        total = 0.0
        for place in places.tolist():
            window = input_N[None, place - length + 1 : place + 1]
            y_1TH, _ = model.recurrence.forward_reference(model.embedding(window))
            log_p_V = model.output.log_distribution(y_1TH[:, -1].detach())[0]
            total -= float(log_p_V[target_N[place]].detach())
        assert loss == pytest.approx(total / len(places), rel=1e-9)


def test_a_feed_forward_network_uses_its_window_and_no_more(suite: Suite, corpus: Path) -> None:
    settings = {**SETTINGS, "model": {"name": "tdnn", "hidden_size": 6, "window_length": 3}}
    record = carry_out(suite, corpus, **settings)
    found = diagnose(suite, record.id, LITTLE)
    assert found.context[3] == pytest.approx(found.whole_context, rel=1e-5)
    assert found.used_context is not None
    assert found.used_context <= 3
    assert found.input_gradient[2] > 0
    assert found.input_gradient[3:] == [0.0] * 6


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_found_is_kept(suite: Suite, runs: dict[str, Record], name: str) -> None:
    found = diagnose(suite, runs[name].id, LITTLE)
    path = suite.artifacts("text", runs[name].id) / "diagnosis.json"
    kept: dict[str, Any] = json.loads(path.read_text())
    assert kept["hidden_gradient"] == found.hidden_gradient
    assert len(found.hidden_gradient) == len(found.input_gradient) == 9
    assert found.clipped_share == runs[name].extra["clipped_share"]
    assert found.context[max(found.context)] == pytest.approx(found.whole_context, rel=0.05)


def test_positions_have_their_longest_history() -> None:
    assert int(positions(1000, 50).min()) >= 99
    assert int(positions(7, 50).min()) >= 2


def command(suite: Suite, *words: str) -> None:
    app(["diagnose", *words, "--suite", str(suite.folder)], result_action="return_value")


def test_runs_stand_side_by_side_with_a_picture(
    suite: Suite, runs: dict[str, Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    names = [runs[name].id for name in NETWORKS]
    picture = tmp_path / "all.png"
    few = ["--max-distance", "5", "--num-positions", "20"]
    command(suite, *names, *few, "--picture", str(picture))
    printed = capsys.readouterr().out
    header = printed.splitlines()[0]
    assert all(name in header for name in names)
    assert "words of history that do within 1 %" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_table_is_printed_and_the_error_names_the_extra(
    suite: Suite,
    runs: dict[str, Record],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BenchError, match=r"sequence-bench\[plot\]"):
        command(suite, runs["srn"].id, "--num-positions", "20")
    assert "spectral radius" in capsys.readouterr().out
    command(suite, runs["srn"].id, "--num-positions", "20", "--picture", "none")


def test_a_run_that_is_not_there_is_trained_first(
    suite: Suite, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--task", "text", "--model", "jordan", "--model.hidden-size", "5"]
    words += ["--data.path", str(corpus), "--trainer.max-epochs", "1", "--trainer.threads", "1"]
    command(suite, *words, "--num-positions", "20", "--picture", "none")
    assert "jordan-" in capsys.readouterr().out


def test_a_baseline_has_nothing_to_look_into(suite: Suite, runs: dict[str, Record]) -> None:
    with pytest.raises(BenchError, match="name a trained run"):
        diagnose(suite, runs["ngram"].id)
