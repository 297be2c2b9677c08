"""One golden file of what `bench` says to calls that it refuses: one line each, status 2."""

from __future__ import annotations

import io
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import objective_cases
import pytest
from command_line import CommandLine
from tiny_sweep import write_sweep

from bench.domains import load_domain
from bench.models import MODELS

GOLDEN = Path(__file__).with_name("messages.txt")
TRAINED = {"TRANSLATION": "translation", "CAPTIONING": "captioning"}
"""Words of the file that stand for a finished run of an objective."""
LISTS = {"MODELS": ", ".join(sorted(MODELS)), "BASELINES": ", ".join(load_domain("text").baselines)}
"""Words of the file that stand for what grows."""


def read_golden() -> tuple[str, dict[str, str]]:
    """What the file begins with, and its messages by call."""
    head, *blocks = GOLDEN.read_text().strip().split("\n\n")
    return head, dict(block.split("\n", 1) for block in blocks)


@pytest.fixture
def words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, str]:
    """What words of the file stand for, in the working folder of all calls."""
    suite = objective_cases.make_suite(tmp_path)
    write_sweep(tmp_path)
    (tmp_path / "source.txt").write_text("a\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    found = {"SUITE": str(tmp_path), **LISTS}
    for word, objective in TRAINED.items():
        case = objective_cases.OBJECTIVE_CASES[objective]
        call = ("run", "--task", case.task, "--model", case.model, "--track", "none", "--quiet")
        assert CommandLine(monkeypatch, capsys)(*call).status == 0
        (record,) = suite.records(case.task)
        found[word] = record.id
    return found


def test_refusals_are_those_of_the_file(
    words: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = CommandLine(monkeypatch, capsys)
    head, wanted = read_golden()
    found = {}
    for call in wanted:
        asked = call.removeprefix("$ bench ")
        for word, meaning in words.items():
            asked = asked.replace(word, meaning)
        given: Any = io.TextIOWrapper(io.BytesIO(b"not a list\n"))
        monkeypatch.setattr(sys, "stdin", given)
        message = bench(*shlex.split(asked)).only_line
        for word, meaning in words.items():
            message = message.replace(meaning, word)
        found[call] = message.removeprefix("bench: ").rstrip("\n")
    if "UPDATE_MESSAGES" in os.environ:
        blocks = [head, *(f"{call}\n{message}" for call, message in found.items())]
        GOLDEN.write_text("\n\n".join(blocks) + "\n")
    else:
        assert {call: said for call, said in found.items() if said != wanted[call]} == {}
