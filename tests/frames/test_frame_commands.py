"""`bench data`, `run`, `errors`, `compare` and `speed` of frames."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from command_line import CommandLine
from tiny_frames import TASK, make_objective, make_suite

from bench.core.record import Record
from bench.core.suite import Suite
from bench.frames.contestants import PlainConvolutional, PlainDense, PlainLoop
from bench.frames.data.batches import FrameBatch
from bench.frames.objective import FramePrediction
from bench.frames.outputs import PredictedFrames


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("frames"))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def ran(bench: CommandLine, suite: Suite, model: str) -> Record:
    settings = f"run --task {TASK} --model {model} --track none --suite {suite.folder}"
    assert bench(*settings.split()).status == 0
    return next(record for record in suite.records(TASK) if record.model == model)


def test_data_says_what_moves_and_how_much_can_be_said(bench: CommandLine, suite: Suite) -> None:
    said = bench("data", TASK, "--suite", suite.folder)
    assert said.status == 0
    lines = said.out.splitlines()
    assert lines[0] == f"{TASK} is generated and needs no file"
    assert lines[1] == ("frames of 12 x 12 pixels, 2 of 6 things in each; 4 are given, 3 predicted")
    assert "no predictor has a cross-entropy below" in lines[2]
    assert lines[3] == f"{TASK}: generated; sequences: train 20, valid 10, test 12"


def test_missing_digits_are_asked_for(
    bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    said = bench("run", "--task", "moving-mnist", "--model", "persistence", "--suite", tmp_path)
    for word in ("train-images-idx3-ubyte.gz", str(tmp_path / "mnist"), "synthetic-frames"):
        assert word in said.only_line


def test_errors_are_shown_by_how_far_ahead(bench: CommandLine, suite: Suite) -> None:
    network, copy = ran(bench, suite, "conv-lstm"), ran(bench, suite, "persistence")
    said = bench("errors", network.id, "--suite", suite.folder)
    assert said.status == 0
    head, table, *pictures = said.out.strip().split("\n\n")
    assert head.splitlines()[0] == f"{network.id} on test, 12 sequences of 3 predicted frames"
    assert head.splitlines()[1] == network.signature
    assert f"cross-entropy {network.metrics['test']:.2f}, mse " in head
    assert [line.split()[0] for line in table.splitlines()] == ["frame", "1", "2", "3"]
    folder = suite.artifacts(TASK, network.id)
    assert f"strips {folder / 'frames-test.png'}" in "".join(pictures)
    assert (folder / "losses-test.png").is_file()
    both = suite.folder / "both.svg"
    said = bench("errors", network.id, copy.id, "--picture", both, "--suite", suite.folder)
    assert said.status == 0
    assert both.read_text().count(copy.id) >= 1


def test_lost_predictions_are_regenerated(bench: CommandLine, suite: Suite) -> None:
    for model in ("conv-lstm", "persistence"):
        record = ran(bench, suite, model)
        path = PredictedFrames.path(suite.artifacts(TASK, record.id), "test")
        before = path.read_bytes()
        path.unlink()
        assert bench("errors", record.id, "--picture", "none", "--suite", suite.folder).status == 0
        assert path.read_bytes() == before


def test_runs_are_told_apart_by_their_sequences(bench: CommandLine, suite: Suite) -> None:
    first, second = ran(bench, suite, "conv-lstm"), ran(bench, suite, "persistence")
    call = ("compare", first.id, second.id, "--task", first.task)  # ids are common to tasks
    said = bench(*call, "--suite", suite.folder)
    assert said.status == 0, said
    assert "12 sequences of 3 predicted frames" in said.out


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ("--model conv-lstm", ["plain loop, the same weights", "plain nn.Conv2d cell"]),
        ("--model lstm", ["plain loop, the same weights", "plain nn.LSTM"]),
        ("--model gru --objective.reads patch", ["plain loop, the same weights"]),
        ("--model srn --model.num-layers 2 --objective.readout all", ["plain nn.LSTM"]),
    ],
)
def test_training_steps_are_compared(
    bench: CommandLine, suite: Suite, settings: str, names: list[str]
) -> None:
    said = bench(*f"speed --task {TASK} {settings} --rounds 1 --suite {suite.folder}".split())
    assert said.status == 0, said
    heading, table = said.out.strip().split("\n\n")
    assert heading.startswith(f"{TASK} · ")
    header, shipped, *plain = table.splitlines()
    assert header.split()[-4:] == ["ms", "frames/s", "x", "shipped"]
    assert shipped.startswith("shipped ")
    assert [line.split("  ")[0] for line in plain] == names


def batch_of(objective: FramePrediction) -> FrameBatch:
    return next(iter(objective.evaluation_loader("test")))


@pytest.mark.parametrize("model", ["conv-lstm", "lstm"])
def test_the_plain_loop_has_the_same_loss(suite: Suite, model: str) -> None:
    objective = make_objective(suite, model=model)
    batch = batch_of(objective)
    loss, count = objective.batch_loss(batch)
    assert float(PlainLoop(objective)(batch)) == pytest.approx(float(loss / count), rel=1e-6)


@pytest.mark.parametrize(
    ("model", "plain"), [("conv-lstm", PlainConvolutional), ("lstm", PlainDense)]
)
def test_plain_programs_learn_the_same_task(
    suite: Suite, model: str, plain: type[PlainConvolutional] | type[PlainDense]
) -> None:
    """Before training, every pixel has half a chance: as many frames and pixels are counted."""
    objective = make_objective(suite, model=model)
    program = plain(objective)
    for parameter in program.parameters():
        parameter.data.zero_()
    assert float(program(batch_of(objective))) == pytest.approx(144 * math.log(2), rel=1e-5)
