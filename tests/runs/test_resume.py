"""A run killed at any moment and started again ends with the same bytes as one left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

WORDS = ["the", "a", "dog", "cat", "house", "bird", "sees", "likes", "and", "of", "big", "small"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three short files of words in a fixed disorder."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for split, num_lines in (("train", 40), ("valid", 12), ("test", 12)):
        lines = [
            " ".join(WORDS[(7 * line + 5 * place * place) % len(WORDS)] for place in range(6))
            for line in range(num_lines)
        ]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def killed_and_resumed(
    tmp_path: Path,
    corpus: Path | Literal["tiny-frames", "tiny-speech", "tiny-translation"],
    model: str,
    every: int,
    **more: dict[str, Any],
) -> dict[str, Any]:
    program = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), str(corpus), model, str(every)],
        capture_output=True,
        text=True,
        timeout=600,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "BENCH_CACHE": str(tmp_path / "cache"),
            "MORE_OVERRIDES": json.dumps(more),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.mark.parametrize(("model", "every"), [("scrn", 3), ("lstm", 11)])
def test_same_bytes_wherever_the_run_was_killed(
    tmp_path: Path, corpus: Path, model: str, every: int
) -> None:
    check_same_bytes(killed_and_resumed(tmp_path, corpus, model, every))


def test_same_bytes_of_speech_with_noise_on_the_weights(tmp_path: Path) -> None:
    check_same_bytes(killed_and_resumed(tmp_path, "tiny-speech", "lstm", 13))


def test_same_bytes_of_parts_in_half_precision(tmp_path: Path, corpus: Path) -> None:
    trainer = {"accumulate": 2, "precision": "16-mixed", "recompute_steps": 2}
    check_same_bytes(killed_and_resumed(tmp_path, corpus, "lstm", 17, trainer=trainer))


def test_same_bytes_of_parts_with_noise_on_the_weights(tmp_path: Path) -> None:
    check_same_bytes(
        killed_and_resumed(tmp_path, "tiny-speech", "gru", 37, trainer={"accumulate": 2})
    )


def test_same_bytes_of_translation_with_scheduled_sampling(tmp_path: Path) -> None:
    check_same_bytes(killed_and_resumed(tmp_path, "tiny-translation", "gru", 17))


def test_same_bytes_of_frames_with_dropout_between_layers(tmp_path: Path) -> None:
    check_same_bytes(killed_and_resumed(tmp_path, "tiny-frames", "conv-lstm", 13))


def check_same_bytes(results: dict[str, Any]) -> None:
    calm = results["calm"]
    kinds = set(calm["moments"])
    assert {"training", "validation", "half a checkpoint", "before naming"} <= kinds
    assert "after replacing" in kinds
    wanted = {key: calm[key] for key in ("weights", "metrics", "curve")}
    assert len(wanted["curve"]) == 3
    for moment, (was_killed, resumed) in results["killed"].items():
        where = f"killed at moment {moment}, {calm['moments'][int(moment)]}"
        assert was_killed, where
        assert {key: resumed[key] for key in wanted} == wanted, where
    assert {key: results["often"][key] for key in wanted} == wanted


def test_a_resumed_run_does_not_begin_anew(tmp_path: Path, corpus: Path) -> None:
    results = killed_and_resumed(tmp_path, corpus, "srn", 10**6)
    assert len(results["often"]["moments"]) < len(results["calm"]["moments"])
