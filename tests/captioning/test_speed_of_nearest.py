"""`bench speed` of nearest-neighbour captions: the plain loop beside the shipped path."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import CommandLine
from tiny_captioning import TASK, make_suite

SPEED = ("speed", "--task", TASK, "--rounds", "1", "--model")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.mark.parametrize("similarity", ["cider", "bleu", "overlap"])
def test_stages_are_compared(bench: CommandLine, tmp_path: Path, similarity: str) -> None:
    suite = make_suite(tmp_path)
    options = ("--model.k", "5", "--model.similarity", similarity, "--suite", str(suite.folder))
    said = bench(*SPEED, "nearest", *options)
    assert said.status == 0, said
    heading, table = said.out.strip().split("\n\n")
    assert heading.startswith(f"{TASK} · nearest · 30 training images")
    assert f"k 5, m 125, {similarity}, cosine" in heading
    header, *rows = table.splitlines()
    assert header.startswith("6 images")
    assert "plain s, by 4 images" in header
    stages = [row.split("  ")[0] for row in rows]
    assert stages[:4] == ["search", "consensus", "both", "scores"]
    assert stages[4].startswith("both, for ")
    assert [len(row.split()) for row in rows[:3]] == [4, 4, 4]


def test_a_plain_loop_that_chooses_other_captions_is_an_error(
    bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "bench.captioning.nearest_contestants.plain_consensus", lambda pool, *_: len(pool) - 1
    )
    suite = make_suite(tmp_path)
    said = bench(*SPEED, "nearest", "--model.k", "5", "--suite", str(suite.folder))
    assert said.status != 0
    assert "the plain loop chose other captions" in said.err


def test_other_baselines_are_refused(bench: CommandLine, tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    said = bench(*SPEED, "human", "--suite", str(suite.folder))
    assert said.status != 0
    assert "speed is measured of architectures, not of 'human'" in said.err
