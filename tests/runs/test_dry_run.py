"""`bench run --dry-run`: what it says, and that it leaves nothing behind."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import tiny_speech
import torch
from command_line import CommandLine
from tiny_task import RUN, make_suite

from bench.core.ranks import Rank


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return make_suite(tmp_path / "mine")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_dry_run_says_what_the_run_would_need_and_writes_nothing(
    bench: CommandLine, suite: Path
) -> None:
    before = files(suite)
    said = bench(*RUN, "--suite", suite, "--dry-run")
    assert (said.status, said.err) == (0, "")
    assert files(suite) == before
    lines = [re.split(r"\s{2,}", line) for line in said.out.splitlines()]
    run_id = lines[0][1]
    place = f"{suite}/results/tiny/runs/{run_id}.json"
    assert lines[:3] == [
        ["run", run_id],
        ["record", place, "not there yet"],
        ["checkpoint", f"{suite}/artifacts/tiny/{run_id}/last.ckpt", "not there yet"],
    ]
    assert lines[5:8] == [
        ["devices", "1 x cpu"],
        ["batch", "batch size 10; the largest: 10 rows, 200 tokens"],
        ["steps", "10 an epoch; max epochs 2"],
    ]
    names = [line[0] for line in lines[9:]]
    assert names == ["memory", "weights", "gradients", "optimiser", "best weights",
                     "training step", "evaluation", "checkpoint", "base",
                     "estimated peak"]  # fmt: skip
    assert all(re.fullmatch(r"[\d,]+\.\d MB", line[1]) for line in lines[10:])
    assert bench(*RUN, "--suite", suite).status == 0
    assert Path(place).is_file()  # the name was the run's


def test_what_is_there_already_is_said(bench: CommandLine, suite: Path) -> None:
    bench(*RUN, "--suite", suite)
    lines = bench(*RUN, "--suite", suite, "--dry-run").out.splitlines()
    assert lines[1].endswith(".json    there; without --again nothing is done")
    assert lines[2].endswith("last.ckpt  there; without --again it goes on")


def test_of_several_devices_one_is_told_of_and_none_is_started(
    bench: CommandLine, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    said = bench(*RUN, "--suite", suite, "--trainer.devices", 2, "--dry-run").out
    assert "devices  2 x cpu" in said
    assert "batch size 10; the largest: 5 rows, 100 tokens" in said
    assert re.search(r"^exchange +[\d.]+ MB  gradients that the processes add up$", said, re.M)


def test_of_several_processes_the_first_speaks(
    bench: CommandLine, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in Rank(number=1, size=2, local=1).as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    said = bench(*RUN, "--suite", suite, "--trainer.devices", 2, "--dry-run")
    assert (said.status, said.out) == (0, "")


def test_an_optimiser_that_keeps_nothing_has_no_row(bench: CommandLine, suite: Path) -> None:
    said = bench(*RUN, "--suite", suite, "--optim.name", "sgd", "--dry-run").out
    assert "\noptimiser" not in said
    assert "\ngradients" in said


def test_a_baseline_is_said_to_be_counted(bench: CommandLine, suite: Path) -> None:
    before = files(suite)
    said = bench("run", "--task", "tiny", "--model", "ngram", "--suite", suite, "--dry-run")
    assert said.status == 0
    assert "ngram is counted, not trained" in said.out
    assert re.search(r"corpus take [\d,.]+ MB; what it counts comes on top", said.out)
    assert files(suite) == before


def test_a_device_that_is_missing_is_refused(
    bench: CommandLine, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = bench(*RUN, "--suite", suite, "--trainer.accelerator", "gpu", "--dry-run")
    assert "torch sees none" in said.only_line


def test_the_stage_before_need_not_be_there(
    bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    folder = tiny_speech.make_suite(tmp_path / "speech")
    call = ("run", "--task", "tiny-speech", "--recipe", "noisy", "--suite", folder, "--dry-run")
    said = bench(*call)
    assert said.status == 0, said
    assert "estimated peak" in said.out
    assert os.listdir(folder) == ["tasks"]
