"""Dynamic evaluation and the neural cache: equal to plain loops, chosen on validation alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from bench.cli import app
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.runs.finished import find_run, load_objective
from bench.runs.run import corpus_of
from bench.text.evaluation import (
    choose,
    dynamic_log_probs,
    evaluate_run,
    make_grid,
    neural_cache_log_probs,
)
from bench.text.objective import LanguageModel
from bench.text.outputs import Floats, token_log_probs

NETWORKS = ["srn", "lstm", "scrn"]


def model_of(suite: Suite, record: Record) -> LanguageModel:
    """The trained network in float64."""
    finished = find_run(suite, record.id)
    model = load_objective(finished, corpus_of(finished.resolved))
    assert isinstance(model, LanguageModel)
    return model.double()


def read(model: LanguageModel, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    target_N = torch.from_numpy(model.corpus.splits[split])
    return torch.cat([torch.tensor([model.corpus.first_input]), target_N[:-1]]), target_N


def plain_dynamic(model: LanguageModel, split: str, lr: float, length: int) -> list[float]:
    """Segment by segment through the plain recurrence, with the library's log-softmax."""
    input_N, target_N = read(model, split)
    scores, state = [], None
    for begin in range(0, len(target_N), length):
        x_1TE = model.embedding(input_N[None, begin : begin + length])
        y_1TH, state = model.recurrence.forward_reference(x_1TE, state)
        target_T = target_N[begin : begin + length]
        log_p_T = model.output.log_distribution(y_1TH[0])[torch.arange(len(target_T)), target_T]
        scores += log_p_T.tolist()
        model.zero_grad()
        (-log_p_T.sum()).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.sub_(lr * parameter.grad)
        state = tuple(part.detach() for part in state)
    return scores


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("length", [1, 7, 1000])
def test_dynamic_evaluation_equals_the_plain_loop(
    suite: Suite, runs: dict[str, Record], name: str, length: int
) -> None:
    model = model_of(suite, runs[name])
    before = [parameter.clone() for parameter in model.parameters()]
    got = dynamic_log_probs(model, "valid", lr=0.05, segment_length=length)
    assert all(map(torch.equal, before, model.parameters())), "the trained weights are back"
    assert got == pytest.approx(plain_dynamic(model, "valid", 0.05, length), abs=1e-9)
    static = token_log_probs(suite, runs[name], "valid")
    assert got[:length] == pytest.approx(static[:length], abs=1e-4), "no segment sees itself"
    assert length >= len(got) or got[length:] != pytest.approx(static[length:], abs=1e-4)


def plain_cache(model: LanguageModel, split: str, theta: float, window: int) -> Floats:
    """Equation (1) word by word."""
    input_N, target_N = read(model, split)
    with torch.no_grad():
        h_NH = model.recurrence.forward_reference(model.embedding(input_N[None]))[0][0]
        log_p_NV = model.output.log_distribution(h_NH)
    result = np.empty(len(target_N))
    for t, word in enumerate(target_N.tolist()):
        past = range(max(0, t - window), t)
        weight = {i: math.exp(theta * float(h_NH[t] @ h_NH[i])) for i in past}
        hit = sum(weight[i] for i in past if int(target_N[i]) == word)
        if not past:
            result[t] = float(log_p_NV[t, word])
        else:
            result[t] = math.log(hit / sum(weight.values())) if hit else -math.inf
    return result


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("window", [1, 13, 10_000])
def test_the_neural_cache_equals_the_plain_loop(
    suite: Suite,
    runs: dict[str, Record],
    name: str,
    window: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = model_of(suite, runs[name])
    expected = [plain_cache(model, "valid", theta, window) for theta in (0.3, 2.0)]
    loader = type(model.evaluation_loader("valid"))

    def short_blocks(self: LanguageModel, split: str) -> Any:
        tokens, first = self.corpus.splits[split], self.corpus.first_input
        return loader(tokens, batch_size=1, bptt_length=17, first_input=first)

    for blocks in ("one", "many"):
        if blocks == "many":
            monkeypatch.setattr(LanguageModel, "evaluation_loader", short_blocks)
        _, got = neural_cache_log_probs(model, "valid", window=window, thetas=(0.3, 2.0))
        assert np.array_equal(np.isneginf(got), np.isneginf(expected))
        finite = np.isfinite(got)
        assert got[finite] == pytest.approx(np.array(expected)[finite], abs=1e-9)


def test_the_cache_is_a_distribution_over_the_next_word(
    suite: Suite, runs: dict[str, Record]
) -> None:
    model = model_of(suite, runs["srn"])
    total = 0.0
    tokens = model.corpus.splits["valid"][:60].copy()
    splits = dict(model.corpus.splits)
    for word in range(len(model.corpus.vocabulary.symbols)):
        tokens[-1] = word
        object.__setattr__(model.corpus, "splits", {**splits, "valid": tokens})
        total += float(
            np.exp(neural_cache_log_probs(model, "valid", window=20, thetas=[1.0])[1][0, -1])
        )
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("mode", ["dynamic", "neural-cache"])
def test_options_are_chosen_on_validation_and_test_is_read_once(
    suite: Suite, runs: dict[str, Record], mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bench.text.evaluation as modes

    seen: list[str] = []
    for name in ("dynamic_log_probs", "neural_cache_log_probs"):
        function = getattr(modes, name)

        def watched(model: Any, split: str, *, _call: Any = function, **options: Any) -> Any:
            seen.append(split)
            return _call(model, split, **options)

        monkeypatch.setattr(modes, name, watched)
    record = evaluate_run(suite, runs["srn"].id, mode, {}, others="tuned")
    assert seen.count("test") == 1
    assert seen[-1] == "test"
    assert seen.count("valid") > 1
    assert f"|eval:{mode}|" in record.signature
    assert record.signature != runs["srn"].signature
    assert record.id != runs["srn"].id
    assert record.config["objective"]["evaluation"] == mode
    assert "tuned" in record.config["objective"].values()
    kept_N = token_log_probs(suite, record, "test")
    assert math.exp(-kept_N.mean()) == pytest.approx(record.metrics["test"], rel=1e-6)
    assert record.metrics["valid"] < runs["srn"].metrics["valid"] * 1.01


def test_seeds_evaluated_alike_are_one_group(suite: Suite, runs: dict[str, Record]) -> None:
    records = [evaluate_run(suite, runs[n].id, "dynamic", {"lr": 0.01}) for n in ("srn", "srn-2")]
    assert records[0].digest == records[1].digest
    assert records[0].config["objective"]["evaluation_lr"] == 0.01


def test_the_grids_best_point_wins(suite: Suite, runs: dict[str, Record]) -> None:
    model = model_of(suite, runs["lstm"])
    grid: dict[str, tuple[Any, ...]] = {"lr": (0.001, 0.01, 0.1), "segment_length": (5, 20)}
    chosen, valid_N = choose(model, "dynamic", grid)
    every = {
        (lr, length): dynamic_log_probs(model, "valid", lr=lr, segment_length=length).mean()
        for lr in grid["lr"]
        for length in grid["segment_length"]
    }
    assert (chosen["lr"], chosen["segment_length"]) == max(every, key=every.__getitem__)
    assert valid_N.mean() == pytest.approx(max(every.values()))


@pytest.mark.parametrize(
    ("mode", "settings", "message"),
    [
        ("dynamic", {"theta": 1.0}, "unknown key 'theta'"),
        ("dynamic", {"lr": -1.0}, "lr"),
        ("neural-cache", {"share": 1.5}, "share"),
    ],
)
def test_wrong_options_are_named(mode: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        make_grid(mode, settings, "default")


def test_what_has_no_weights_is_refused(suite: Suite, runs: dict[str, Record]) -> None:
    with pytest.raises(BenchError, match="name a trained run"):
        evaluate_run(suite, runs["ngram"].id, "dynamic", {})
    record = evaluate_run(suite, runs["scrn"].id, "neural-cache", {"window": 10})
    with pytest.raises(BenchError, match="name a trained run"):
        evaluate_run(suite, record.id, "dynamic", {})


def test_the_command_says_what_was_chosen(
    suite: Suite, runs: dict[str, Record], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", runs["lstm"].id, "--mode", "neural-cache", "--window", "30"]
    place = ["--track", "none", "--suite", str(suite.folder)]
    app([*command, *place], result_action="return_value")
    printed = capsys.readouterr().out
    assert "evaluation_share" in printed
    assert "lstm · seed 1" in printed
