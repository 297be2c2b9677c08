"""Mixtures of finished runs: weights from validation, one record, rows that a table can match."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.cli import app
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.core.published import PublishedRow, load_published
from bench.core.record import Record
from bench.core.suite import Suite, shipped_folder
from bench.data.corpora import load_corpus
from bench.domains import all_baselines
from bench.models import MODELS
from bench.runs.finished import find_run
from bench.table import build_table
from bench.text.baselines.cache import cache_experts
from bench.text.data.prepared import as_text
from bench.text.mixture import CACHE, check_components, mix_runs
from bench.text.outputs import token_log_probs


def ids(runs: dict[str, Record], *names: str) -> list[str]:
    return [runs[name].id for name in names]


def test_it_is_the_best_interpolation_for_validation(suite: Suite, runs: dict[str, Record]) -> None:
    record, parts = mix_runs(suite, "text", ids(runs, "srn", "ngram"))
    valid = [token_log_probs(suite, runs[name], "valid") for name in ("ngram", "srn")]
    grid = np.linspace(0.001, 0.999, 999)
    scores = [np.log(x * np.exp(valid[0]) + (1 - x) * np.exp(valid[1])).mean() for x in grid]
    assert record.metrics["valid"] == pytest.approx(math.exp(-max(scores)), rel=1e-6)
    weights = {part.name: part.weight for part in parts}
    assert min(weights.values()) > 0.02, "the corpus makes both components useful"
    assert weights[runs["ngram"].id] == pytest.approx(grid[np.argmax(scores)], abs=2e-3)
    test = [token_log_probs(suite, runs[name], "test") for name in ("ngram", "srn")]
    w = weights[runs["ngram"].id]
    by_hand = -np.log(w * np.exp(test[0]) + (1 - w) * np.exp(test[1])).mean()
    assert record.metrics["test"] == pytest.approx(math.exp(by_hand), rel=1e-6)
    assert math.exp(-token_log_probs(suite, record, "test").mean()) == pytest.approx(
        record.metrics["test"], rel=1e-6
    )


def test_the_order_of_components_does_not_matter(suite: Suite, runs: dict[str, Record]) -> None:
    first, _ = mix_runs(suite, "text", ids(runs, "srn", "ngram"))
    second, _ = mix_runs(suite, "text", ids(runs, "ngram", "srn"))
    assert first == second
    assert first.config["model"]["components"] == "ngram+srn"
    assert first.config["model"]["srn.hidden_size"] == 8


def test_the_configuration_can_be_matched_and_seeds_are_one_row(
    suite: Suite, runs: dict[str, Record]
) -> None:
    records = [mix_runs(suite, "text", ids(runs, "ngram", n))[0] for n in ("srn", "srn-2")]
    assert [record.seed for record in records] == [1, 2]
    published = _published({"model.name": "mix", "model.components": "ngram+srn"})
    table = build_table(suite.card("text"), [published], records)
    assert len(table.rows) == 1
    assert table.rows[0].measured is not None
    assert table.rows[0].measured.n == 2
    ensemble, _ = mix_runs(suite, "text", ids(runs, "srn", "srn-2"))
    assert ensemble.config["model"]["components"] == "srn+srn"
    assert ensemble.config["model"]["runs"] == "+".join(sorted(ids(runs, "srn", "srn-2")))
    rows = build_table(suite.card("text"), [published], [*records, ensemble]).rows
    assert len(rows) == 2
    assert rows[1].label.startswith("mix, components=srn+srn")


def _published(match: dict[str, Any]) -> PublishedRow:
    return PublishedRow(
        label="RNN + KN",
        cite=None,
        where="table",
        metrics={"test": 10.0},
        protocol="same",
        verified="secondary",
        match=match,
    )


def test_a_cache_is_a_component(suite: Suite, runs: dict[str, Record]) -> None:
    record, parts = mix_runs(suite, "text", ids(runs, "srn"), cache=(0.9,))
    assert record.config["model"]["components"] == "srn+unigram-cache"
    own = token_log_probs(suite, runs["srn"], "test")
    data = record.config["data"]
    card = suite.card("text")
    corpus = as_text(load_corpus(card, DataConfig(path=data["path"])), task="text")
    experts = np.exp(cache_experts(corpus.splits["test"], own, (0.9,)))
    mixed = np.array([part.weight for part in parts]) @ experts
    assert record.metrics["test"] == pytest.approx(math.exp(-np.log(mixed).mean()), rel=1e-6)
    auto, _ = mix_runs(suite, "text", ids(runs, "srn"), cache=("auto",))
    assert auto.metrics["valid"] <= mix_runs(suite, "text", ids(runs, "srn"), cache=(0.99,))[
        0
    ].metrics["valid"] * (1 + 1e-3)
    assert 0 < auto.extra["decay unigram-cache"] < 1


@pytest.mark.parametrize(
    ("names", "cache", "message"),
    [
        (["srn"], (), "two components"),
        (["srn", "srn"], (), "named twice"),
        (["srn"], (1.5,), "--cache 1.5"),
    ],
)
def test_what_is_no_mixture(
    suite: Suite,
    runs: dict[str, Record],
    names: list[str],
    cache: tuple[float, ...],
    message: str,
) -> None:
    with pytest.raises(BenchError, match=message):
        mix_runs(suite, "text", ids(runs, *names), cache=cache)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signature": "perplexity|unit:char"}, "only runs of one signature"),
        ({"data": {"train.txt": "0"}}, "different files"),
    ],
)
def test_components_must_measure_the_same(
    suite: Suite, runs: dict[str, Record], change: dict[str, Any], message: str
) -> None:
    first, second = (find_run(suite, run_id) for run_id in ids(runs, "srn", "ngram"))
    other = type(second)(
        record=msgspec.structs.replace(second.record, **change),
        resolved=second.resolved,
        folder=second.folder,
    )
    with pytest.raises(BenchError, match=message):
        check_components([first, other], ())


def test_the_command_prints_weights_and_every_perplexity(
    suite: Suite, runs: dict[str, Record], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [runs[name].id.rpartition("-s")[0] for name in ("lstm", "ngram")]
    command = ["mix", "text", *names, "--cache", "0.9", "0.99", "--track", "none"]
    app([*command, "--suite", str(suite.folder)], result_action="return_value")
    printed = capsys.readouterr().out
    for name in ("lstm", "ngram"):
        assert f"{runs[name].metrics['test']:.2f}" in printed
    assert "unigram-cache 2" in printed
    assert "mix · seed 1" in printed


def test_published_mixtures_are_named_as_they_are_recorded() -> None:
    shipped = Suite(folder=shipped_folder())
    rows = [row.match for row in load_published(shipped, "ptb") if row.match is not None]
    named = [m["model.components"].split("+") for m in rows if m["model.name"] == "mix"]
    assert len(named) == 8
    for components in named:
        kinds = [name for name in components if name != CACHE]
        assert components == sorted(kinds) + [CACHE] * (len(components) - len(kinds))
        assert set(kinds) <= {*MODELS, *all_baselines()}
