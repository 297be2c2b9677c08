"""`bench speed` of captions: the programs compared compute the same loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import CommandLine
from tiny_captioning import TASK, make_objective, make_suite

from bench.captioning.contestants import PlainCaptioner
from bench.captioning.data.batches import CaptionBatches


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def test_steps_and_searches_are_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("bench.speed.contest.NUM_ALONE", 3)
    bench, suite = CommandLine(monkeypatch, capsys), make_suite(tmp_path)
    said = bench(*f"speed --task {TASK} --model gru --rounds 1 --suite {suite.folder}".split())
    assert said.status == 0, said
    heading, steps, searches = said.out.strip().split("\n\n")
    assert heading.startswith(f"{TASK} · gru · image first · ")
    header, shipped, *plain = steps.splitlines()
    assert header.split()[-4:] == ["ms", "tokens/s", "x", "shipped"]
    assert shipped.split()[0] == "shipped"
    assert [line.split("  ")[0] for line in plain] == [
        "plain nn.GRU, the same batches",
        "plain nn.GRU, batches at random",
        "plain nn.LSTM, the same batches",
        "plain nn.LSTM, batches at random",
    ]
    title, batches, alone = searches.splitlines()
    assert title.startswith("beam 2")
    assert batches.startswith("in batches (6)")
    assert alone.startswith("one by one (3)")


def copy_weights(network: Any, plain: PlainCaptioner) -> None:
    """The shipped LSTM network's weights into the plain program."""
    cell = network.decoder.recurrence
    pairs = {
        "word.weight": network.embedding.weight,
        "output.weight": network.output.weight,
        "output.bias": network.output.bias,
        "recurrence.weight_ih_l0": cell.W_GD,
        "recurrence.weight_hh_l0": cell.U_GH,
        "recurrence.bias_ih_l0": cell.b_G,
        "recurrence.bias_hh_l0": 0 * cell.b_G,
    }
    if network.image is not None:
        pairs |= {"image.weight": network.image.weight, "image.bias": network.image.bias}
    if network.image_layer is not None:
        layer = network.image_layer
        pairs |= {"image_layer.weight": layer.weight, "image_layer.bias": layer.bias}
    if network.bridge is not None:
        affine, attention = network.bridge.affine, network.decoder.attention
        pairs |= {"bridge.weight": affine.weight, "bridge.bias": affine.bias}
        pairs["key.weight"] = attention.of_annotation.weight
        if hasattr(attention, "v_K"):
            pairs |= {"query.weight": attention.of_query.weight, "v.weight": attention.v_K[None]}
    if network.decoder.readout.affine is not None:
        pairs["readout.weight"] = network.decoder.readout.affine.weight
    weights = {name: torch.as_tensor(value) for name, value in pairs.items()}
    plain.load_state_dict(weights, strict=False)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"readout": "tanh", "image_hidden": 7},
        {"image": "every-word"},
        {"image": "every-word", "enters": "step"},
        {"image": "attention"},
        {"image": "attention", "enters": "readout", "attention": "general"},
    ],
    ids=str,
)
def test_the_plain_program_has_the_shipped_loss(tmp_path: Path, options: dict[str, str]) -> None:
    data = {"features": "grid"} if options.get("image") == "attention" else {}
    suite = make_suite(tmp_path)
    objective = make_objective(suite, {"objective": options, "data": data}, model="lstm").double()
    plain = PlainCaptioner("lstm", objective).double()
    copy_weights(objective.network, plain)
    train, store = objective.corpus.splits["train"], objective.corpus.features
    (batch,) = CaptionBatches(train, store, batch_tokens=10**6)
    batch = batch._replace(features=batch.features.double())
    wanted = objective.update_loss(*objective.batch_loss(batch), batch)
    torch.testing.assert_close(plain(batch), wanted)
