"""`bench speed` of speech: the programs compared compute the same loss."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import CommandLine
from tiny_speech import make_suite, random_speech

from bench.core.suite import Suite
from bench.domains import objective_class
from bench.runs.resolve import resolve
from bench.speech.contestants import (
    batch_of,
    library_program,
    loop_program,
    plain_transducer_loss,
)
from bench.speech.data.batches import SpeechBatches
from bench.speech.transducer_loss import transducer_loss
from bench.speed.contest import random_batches


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_steps_and_losses_are_compared(
    bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("bench.speech.contestants.LATTICE", (2, 5, 3, 7))
    options = "--model lstm --model.direction bidirectional --rounds 1 --trainer.threads 1"
    words = f"speed --task tiny-speech {options} --suite {make_suite(tmp_path)}"
    said = bench(*words.split())
    assert said.status == 0, said
    heading, steps, losses = said.out.strip().split("\n\n")
    assert heading.startswith("tiny-speech · lstm · ")
    header, shipped, *plain = steps.splitlines()
    assert header.split()[-4:] == ["ms", "frames/s", "x", "shipped"]
    assert shipped.startswith("shipped (ctc)")
    assert shipped.split()[-1] == "1.00"
    assert [line.split(", ctc")[1].split("  ")[0] for line in plain] == [
        ", the same batches",
        ", batches at random",
        "",
    ]
    assert "2 utterances, 5 frames, 3 labels, 7 outputs" in losses
    assert "plain double loop" in losses


@pytest.mark.parametrize("stack_frames", [1, 2])
def test_the_plain_programs_have_the_shipped_loss(tmp_path: Path, stack_frames: int) -> None:
    suite = Suite(folder=make_suite(tmp_path))
    settings = {
        "model": {"name": "lstm", "direction": "bidirectional", "num_layers": 2},
        "objective": {"stack_frames": stack_frames},
    }
    resolved = resolve(suite, "tiny-speech", overrides=settings)
    data = random_speech(("a", "b", "c"))
    network: Any = objective_class("speech", "ctc")(resolved.config, data)
    (batch,) = SpeechBatches(data.splits["train"], batch_frames=10**6)
    library, loop = library_program(network), loop_program(network)
    loop.output.load_state_dict(network.output.state_dict())
    wanted = network.update_loss(*network.batch_loss(batch), batch)
    torch.testing.assert_close(loop(batch), wanted)
    assert library(batch).shape == wanted.shape
    sizes = [sum(p.numel() for p in m.parameters()) for m in (library, network)]
    assert sizes[0] - sizes[1] == 4 * 4 * 6, "the library's cells have their biases twice"


def test_random_batches_hold_utterances_of_any_length() -> None:
    split = random_speech(("a", "b", "c")).splits["train"]
    make = partial(batch_of, split)
    batches = random_batches(make, len(split), num_batches=3, size=2, seed=1)
    assert [len(batch.num_frames) for batch in batches] == [2, 2, 2]
    first, second, again = (batch.utterances.tolist() for batch in batches)
    assert sorted(first + second) == [0, 1, 2, 3]
    assert again == first
    for batch in batches:
        assert batch.num_frames.tolist() == split.num_frames[batch.utterances].tolist()


def test_the_double_loop_is_the_transducer_s_loss() -> None:
    torch.manual_seed(1)
    z_BTSV = torch.randn(3, 5, 4, 6, dtype=torch.float64, requires_grad=True)
    target_BU = torch.randint(1, 6, (3, 3))
    frames_B, labels_B = torch.full((3,), 5), torch.full((3,), 3)
    plain_B = plain_transducer_loss(z_BTSV, target_BU)
    shipped_B = transducer_loss(z_BTSV, target_BU, frames_B, labels_B)
    torch.testing.assert_close(plain_B, shipped_B)
    gradients = [torch.autograd.grad(loss_B.sum(), z_BTSV)[0] for loss_B in (plain_B, shipped_B)]
    torch.testing.assert_close(*gradients)
