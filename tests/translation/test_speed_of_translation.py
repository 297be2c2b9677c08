"""`bench speed` of translation: the programs compared compute the same loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import CommandLine
from tiny_translation import make_corpus, make_objective, make_suite

from bench.core.errors import BenchError
from bench.speed.contest import random_batches
from bench.translation.contestants import PlainTranslation
from bench.translation.data.batches import TranslationBatches
from bench.translation.objective import TranslationObjective

BEFORE = {"attention": "additive", "attend": "before"}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_steps_and_searches_are_compared(
    bench: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.speed.contest.NUM_ALONE", 4)
    suite = make_suite(tmp_path)
    words = f"speed --task tiny-translation --model gru --rounds 1 --suite {suite.folder}"
    said = bench(*words.split())
    assert said.status == 0, said
    heading, steps, searches = said.out.strip().split("\n\n")
    assert heading.startswith("tiny-translation · gru · ")
    header, shipped, *plain = steps.splitlines()
    assert header.split()[-5:] == ["ms", "target", "tokens/s", "x", "shipped"]
    assert shipped.split()[0] == "shipped"
    assert shipped.split()[-1] == "1.00"
    assert [line.split("  ")[0] for line in plain] == [
        "plain nn.GRU, the same batches",
        "plain nn.GRU, batches at random",
        "plain nn.LSTM, the same batches",
        "plain nn.LSTM, batches at random",
    ]
    title, batches, alone = searches.splitlines()
    assert title.startswith("beam 3")
    assert batches.startswith("in batches (12)")
    assert alone.startswith("one by one (4)")


def copy_weights(network: Any, plain: PlainTranslation) -> None:
    """The shipped LSTM network's weights into the plain program."""
    pairs = {
        "source.weight": network.encoder.embedding.weight,
        "target.weight": network.embedding.weight,
        "output.weight": network.output.weight,
        "output.bias": network.output.bias,
    }
    both = network.encoder.recurrence
    cells = {"decoder": network.decoder.recurrence, "encoder": getattr(both, "ahead", both)}
    for side, cell in cells.items():
        pairs |= {f"{side}.weight_ih_l0": cell.W_GD, f"{side}.weight_hh_l0": cell.U_GH}
        pairs |= {f"{side}.bias_ih_l0": cell.b_G, f"{side}.bias_hh_l0": 0 * cell.b_G}
    if hasattr(both, "back"):
        back = both.back
        pairs |= {"encoder.weight_ih_l0_reverse": back.W_GD, "encoder.bias_ih_l0_reverse": back.b_G}
        pairs |= {"encoder.weight_hh_l0_reverse": back.U_GH}
        pairs |= {"encoder.bias_hh_l0_reverse": 0 * back.b_G}
        # Shipped: h and c of one direction, then of the other; the library: h of both, then c.
        pairs |= {"bridge.bias": network.bridge.affine.bias}
        h_a, c_a, h_b, c_b = network.bridge.affine.weight.chunk(4, dim=1)
        pairs |= {"bridge.weight": torch.cat([h_a, c_a, h_b, c_b], dim=1)}
    if network.decoder.readout.affine is not None:
        pairs["readout.weight"] = network.decoder.readout.affine.weight
        if network.decoder.readout.affine.bias is not None:
            pairs["readout.bias"] = network.decoder.readout.affine.bias
    attention = dict(network.decoder.attention.named_parameters())
    names = {"of_query.weight": "query.weight", "of_annotation.weight": "key.weight"}
    pairs |= {names[name]: value for name, value in attention.items() if name in names}
    if "v_K" in attention:
        pairs["v.weight"] = attention["v_K"][None]
    plain.load_state_dict(
        {name: torch.as_tensor(value) for name, value in pairs.items()}, strict=False
    )


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize(
    "options",
    [{}, {"feeding": "readout"}, BEFORE, {**BEFORE, "readout": "maxout"}, {"readout": "linear"}],
    ids=str,
)
def test_the_plain_program_has_the_shipped_loss(
    tmp_path: Path, direction: str, options: dict[str, str]
) -> None:
    suite = make_suite(tmp_path)
    corpus = make_corpus(suite)
    settings = {"model": {"direction": direction}, "objective": options}
    objective: TranslationObjective = make_objective(suite, corpus, settings, model="lstm")
    objective.double()
    plain = PlainTranslation("lstm", objective).double()
    copy_weights(objective.network, plain)
    (batch,) = TranslationBatches(corpus.splits["train"], batch_tokens=10**6)
    wanted = objective.update_loss(*objective.batch_loss(batch), batch)
    torch.testing.assert_close(plain(batch), wanted)


def test_words_alone_have_no_plain_program(tmp_path: Path) -> None:
    suite = make_suite(tmp_path)
    settings = {"objective": {"encoder": "words", "handover": "mean"}}
    objective = make_objective(suite, make_corpus(suite), settings)
    with pytest.raises(BenchError, match="no plain program"):
        PlainTranslation("gru", objective)


def test_random_batches_hold_sentences_of_any_length(tmp_path: Path) -> None:
    split = make_corpus(make_suite(tmp_path)).splits["train"]
    make = TranslationBatches(split, batch_tokens=1).batch
    batches = random_batches(make, len(split), num_batches=4, size=20, seed=1)
    assert [len(batch.target) for batch in batches] == [20] * 4
    places = [batch.places.tolist() for batch in batches]
    assert sorted(place for row in places[:3] for place in row) == list(range(60))
    assert places[3] == places[0]
