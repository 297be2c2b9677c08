"""`bench errors`: what a recogniser gets wrong, from what its run kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from tiny_speech import make_suite

from bench.runs.error_curves import interval
from bench.speech.metrics import Folding, label_errors
from bench.speech.outputs import NUM_RESAMPLES

RUN = ("run", "--task", "tiny-speech", "--model", "lstm", "--track", "none", "--quiet")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A working folder with two finished runs."""
    folder = make_suite(tmp_path_factory.mktemp("suite"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield folder


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def run_id(bench: CommandLine, suite: Path, *options: str) -> str:
    said = bench(*RUN, *options, "--suite", str(suite))
    assert said.status == 0, said
    records = (suite / "results" / "tiny-speech" / "runs").glob("*.json")
    return max(records, key=lambda path: path.stat().st_mtime_ns).stem


def test_edits_speakers_and_confusions_add_up(bench: CommandLine, suite: Path) -> None:
    name = run_id(bench, suite, "--objective", "transducer", "--trainer.max-epochs", "4")
    said = bench("errors", name, "--suite", str(suite), "--num-confusions", "3")
    assert said.status == 0, said
    heading, by_speaker, confused, picture = said.out.strip().split("\n\n")
    _, signature, interval = heading.splitlines()
    assert signature.endswith("decoder:beam(5)")
    rate, low, high = (float(number) for number in re.findall(r"\d+\.\d+", interval))
    assert low <= rate <= high
    header, whole, *speakers = (line.split() for line in by_speaker.splitlines())
    assert header[:2] == ["speaker", "utterances"]
    assert len(speakers) == 2
    for place in range(1, 6):
        assert sum(int(line[place]) for line in speakers) == int(whole[place])
    labels, *edits = (int(number) for number in whole[2:6])
    assert float(whole[6]) == rate
    assert rate == pytest.approx(100 * sum(edits) / labels, abs=0.01)
    assert len(confused.splitlines()) <= 2 + 3
    assert Path(picture.removeprefix("picture ")).stat().st_size > 1000


def test_the_interval_is_that_of_resampled_utterances() -> None:
    """Half of 400 utterances are all wrong: the rate has a standard error of 2.5."""
    spoken, heard = ["a"] * 10, ["b"] * 10
    errors = label_errors(
        [spoken] * 400,
        [spoken, heard] * 200,
        speakers=["s"] * 400,
        folding=Folding(name="none", target={"a": "a", "b": "b"}),
    )
    found = interval(errors.sums, errors.metric, num_resamples=NUM_RESAMPLES)
    assert found == pytest.approx((50 - 1.96 * 2.5, 50 + 1.96 * 2.5), abs=0.5)


def test_runs_of_speech_are_compared_over_utterances(bench: CommandLine, suite: Path) -> None:
    names = [run_id(bench, suite, "--seed", seed) for seed in ("1", "2")]
    said = bench("compare", *names, "--suite", str(suite), "--format", "text")
    assert said.status == 0, said
    words = " ".join(said.out.split())
    assert "6 utterances of" in words
    assert "edits and reference labels are added over utterances" in words
