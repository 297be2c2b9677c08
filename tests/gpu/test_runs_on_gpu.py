"""Whole runs on a GPU: every kind of task finds all that it needs there."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_captioning
import tiny_frames
import tiny_speech
import tiny_task
import tiny_translation
from command_line import CommandLine

from bench.suite import Suite

KINDS = {
    "text": (tiny_task, "tiny", "lstm --model.peephole diagonal"),
    "classes": (tiny_task, "tiny", "gru --objective.output classes"),
    "ctc": (tiny_speech, "tiny-speech", "lstm --model.direction bidirectional"),
    "transducer": (tiny_speech, "tiny-speech", "gru --objective transducer"),
    "next-label": (tiny_speech, "tiny-speech", "srn --objective next-label"),
    "translation": (tiny_translation, "tiny-translation", "gru"),
    "captions": (tiny_captioning, tiny_captioning.TASK, "lstm --model.gates coupled"),
    "ranking": (tiny_captioning, tiny_captioning.TASK, "gru --objective ranking"),
    "frames": (tiny_frames, tiny_frames.TASK, "conv-lstm"),
}


@pytest.fixture
def bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> CommandLine:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return CommandLine(monkeypatch, capsys)


@pytest.fixture(params=KINDS)
def words(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Task, model and suite of a kind."""
    module, task, model = KINDS[request.param]
    made = module.make_suite(tmp_path / "suite")
    folder = made.folder if isinstance(made, Suite) else made
    return f"--task {task} --model {model} --suite {folder}"


def test_a_run_ends_with_a_record(bench: CommandLine, words: str) -> None:
    options = "--trainer.accelerator gpu --trainer.max-epochs 2 --track none"
    said = bench(*f"run {words} {options}".split())
    assert said.status == 0, said


def test_speed_is_measured(bench: CommandLine, words: str) -> None:
    if "next-label" in words or "caption-ranking" in words:
        return  # no speed is measured of them anywhere
    said = bench(*f"speed {words} --device cuda --rounds 1".split())
    assert said.status == 0, said
