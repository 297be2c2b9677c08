"""Devices of `bench speed`, and the bytes that a step must move."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import tiny_captioning
import torch
from command_line import CommandLine
from torch import nn

from bench.core.config import OptimConfig
from bench.frames.data.batches import FrameBatch
from bench.layers.products import Products
from bench.models import build_recurrence
from bench.models.fast.cuda_graphs import RECORD_AT_CALL
from bench.speed.lines import Line, cell_bytes, num_moments, step_bytes, table
from bench.speed.machine import bandwidth_call, product_calls, take_turns, to_device
from bench.text.contestants import PlainLanguageModel

SMALL = "speed --task synthetic-text --model srn --model.hidden-size 16 --rounds 1"
META = torch.device("meta")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU, as far as torch reports."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)


@pytest.mark.parametrize("part", ["step", "cell", "output"])
def test_a_missing_gpu_is_refused(
    bench: CommandLine, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = bench(*f"{SMALL} --part {part} --device cuda".split())
    assert "--device cuda, but torch sees no GPU: leave it out" in said.only_line


def test_other_devices_are_refused(bench: CommandLine) -> None:
    assert bench(*f"{SMALL} --device gpu".split()).status != 0


def test_the_device_is_set_by_one_option(bench: CommandLine) -> None:
    said = bench(*f"{SMALL} --trainer.accelerator gpu".split())
    assert "by --device cpu or --device cuda" in said.only_line


@pytest.mark.usefixtures("fake_gpu")
def test_nearest_neighbours_stay_on_the_cpu(bench: CommandLine, tmp_path: Path) -> None:
    suite = tiny_captioning.make_suite(tmp_path)
    words = f"speed --task {tiny_captioning.TASK} --model nearest --suite {suite.folder}"
    assert "leave out --device cuda" in bench(*words.split(), "--device", "cuda").only_line


def test_calls_on_a_gpu_are_synchronized(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: happened.append(device.type))
    calls = {name: lambda name=name: happened.append(name) for name in ("a", "b")}
    take_turns(calls, num_rounds=1, warm_up=1, device=torch.device("cuda"))
    around = ["cuda", "a", "cuda", "cuda", "b", "cuda"]
    assert happened == around * (1 + RECORD_AT_CALL + 1), "graphs are recorded before it counts"
    happened.clear()
    take_turns(calls, num_rounds=2, warm_up=1)
    assert happened == ["a", "b"] * 3


@pytest.mark.parametrize("products", ["float32", "bfloat16"])
def test_limits_are_measured_on_the_device(
    products: Products, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.speed.machine.products_as", lambda *_: nullcontext())
    calls, flops = product_calls(3, 4, 5, products=products, device=META)
    found = [torch.as_tensor(call()) for call in calls.values()]
    assert [tuple(out.shape) for out in found] == [(3, 5), (3, 4), (5, 4)]
    copy, num_bytes = bandwidth_call(4096, device=META)
    assert {out.device.type for out in (*found, torch.as_tensor(copy()))} == {"meta"}
    assert (flops, num_bytes) == (2 * 3 * 4 * 5, 2 * 4096)


def test_batches_keep_their_type_and_dtypes_on_a_device() -> None:
    parts = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.arange(2), torch.tensor(2)
    (batch,) = to_device([FrameBatch(*parts)], META)
    assert isinstance(batch, FrameBatch)
    assert {part.device.type for part in batch} == {"meta"}


def test_bytes_of_a_step() -> None:
    E, H, V, N = 3, 5, 7, 11
    model = PlainLanguageModel(nn.LSTM(E, H), V)
    words, lstm, output = V * E, 4 * H * (E + H + 2), V * (H + 1)
    total = words + lstm + output
    # Weights but words read twice; gradients written and read; weights and two moments both.
    weights = 2 * (lstm + output) + 2 * total + 2 * total + 2 * 2 * total
    outside = 2 * 2 * N * (E + H)
    assert step_bytes(model, num_tokens=N, sizes=(E, H), num_moments=2) == 4 * (weights + outside)
    less = step_bytes(model, num_tokens=N, sizes=(E, H), num_moments=0)
    assert less == 4 * (weights - 4 * total + outside)


def test_tied_word_vectors_are_read_as_weights() -> None:
    model = PlainLanguageModel(nn.LSTM(4, 4), 6)
    before = step_bytes(model, num_tokens=1, sizes=(4, 4), num_moments=0)
    model.output.weight = model.embedding.weight
    # One matrix less that is written, read and so on; what is left is read forward and backward.
    after = step_bytes(model, num_tokens=1, sizes=(4, 4), num_moments=0)
    assert before - after == 4 * (4 + 0) * 6 * 4


def test_bytes_of_a_cell() -> None:
    cell = build_recurrence("gru", 3, {"hidden_size": 5})
    weights = 3 * 5 * (3 + 5 + 1)
    assert cell_bytes(cell, num_tokens=7, sizes=(3, 5)) == 4 * (3 * weights + 2 * 7 * (3 + 5))
    assert cell_bytes(nn.Identity(), num_tokens=7, sizes=(3, 5)) == 4 * 2 * 7 * 8


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (OptimConfig(), 2),
        (OptimConfig(name="adam"), 2),
        (OptimConfig(name="sgd"), 0),
        (OptimConfig(name="sgd", momentum=0.9), 1),
    ],
)
def test_moments_of_optimisers(config: OptimConfig, expected: int) -> None:
    assert num_moments(config) == expected


def test_a_line_has_ratios_and_shares_of_the_limits() -> None:
    limits = {"flops_per_token": 10**6, "rate": 1e9, "num_bytes": 10**6, "bandwidth": 1e9}
    lines = [
        Line(name="shipped", step_sec=0.01, num_tokens=5, **limits),  # type: ignore[arg-type]
        Line(name="plain loop", step_sec=0.04, num_tokens=5),
        Line(name="nn.LSTM", step_sec=0.02, num_tokens=5),
    ]
    header, shipped, plain, library = table(lines).splitlines()
    assert header.split("  ")[-1].strip() == "of memory rate"
    assert shipped.split("  ")[0] == "shipped"
    assert shipped.split()[1:] == ["10.00", "500", "4.00", "2.00", "1.00", "50", "%", "10", "%"]
    assert plain.split() == ["plain", "loop", "40.00", "125", "1.00", "0.50"]
    assert library.split() == ["nn.LSTM", "20.00", "250", "2.00", "1.00"]


@pytest.mark.parametrize(("part", "last"), [("step", "same hidden size"), ("cell", "nn.LSTM(16)")])
def test_steps_and_cells_are_compared_with_an_lstm_of_their_size(
    bench: CommandLine, part: str, last: str
) -> None:
    sizes = "--objective.batch-size 2 --objective.bptt-length 6 --trainer.threads 1"
    said = bench(*f"{SMALL} --part {part} {sizes}".split())
    assert said.status == 0, said
    assert "memory: " in said.out
    header, *lines = said.out.split("\n\n")[1].splitlines()
    assert "x nn.LSTM" in header
    assert "of memory rate" in header
    assert "nn.LSTM(16)" in lines[-1]
    assert last in lines[-1]
    assert all(line.endswith(" %") for line in lines)
    assert " 1.00 " in lines[-1]
