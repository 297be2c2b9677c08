"""Whole runs on a GPU: every kind of task finds all that it needs there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_captioning
import tiny_frames
import tiny_speech
import tiny_task
import tiny_translation
from command_line import CommandLine

from bench.core.suite import Suite

KINDS: dict[str, tuple[Any, str, str]] = {
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


def words(kind: str, folder: Path) -> str:
    """Task, model and suite of a kind."""
    module, task, model = KINDS[kind]
    made = module.make_suite(folder)
    place = made.folder if isinstance(made, Suite) else made
    return f"--task {task} --model {model} --suite {place}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_ends_with_a_record(bench: CommandLine, kind: str, tmp_path: Path) -> None:
    options = "--trainer.accelerator gpu --trainer.max-epochs 2 --track none"
    said = bench(*f"run {words(kind, tmp_path / 'suite')} {options}".split())
    assert said.status == 0, said


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"next-label", "ranking"}))
def test_speed_is_measured(bench: CommandLine, kind: str, tmp_path: Path) -> None:
    said = bench(*f"speed {words(kind, tmp_path / 'suite')} --device cuda --rounds 1".split())
    assert said.status == 0, said
