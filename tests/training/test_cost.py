"""What a run took: arithmetic by formula and counted, seconds of each validation, the limit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tiny_task
import torch

from bench.core.record import read_record, write_record
from bench.core.suite import Suite
from bench.models import MODELS
from bench.runs.resolve import resolve
from bench.runs.run import RunOptions, corpus_of, run
from bench.training.arithmetic import counted_flops_per_unit, product_rate
from bench.training.callbacks import Clock
from bench.training.objective import Objective


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(folder=tiny_task.make_suite(tmp_path_factory.mktemp("tiny")))


def made(suite: Suite, name: str, **groups: dict[str, Any]) -> Objective:
    resolved = resolve(suite, "tiny", model=name, overrides=tiny_task.settings(**groups))
    return resolved.objective_class()(resolved.config, corpus_of(resolved))


@pytest.mark.parametrize("model", MODELS)
def test_what_is_counted_is_what_the_formula_says(tiny: Suite, model: str) -> None:
    objective = made(tiny, model)
    counted = counted_flops_per_unit(objective, num_batches=2)
    # Beyond the formula: the gradient of the output's bias, and sums that are written as products.
    assert counted == pytest.approx(3 * objective.flops_per_unit(), rel=0.06)


def test_an_output_layer_of_classes_is_counted_by_what_it_leaves_out(tiny: Suite) -> None:
    full = counted_flops_per_unit(made(tiny, "srn"), num_batches=2)
    objective = made(tiny, "srn", objective={"output": "classes"})
    counted = counted_flops_per_unit(objective, num_batches=2)
    assert counted < full / 3
    assert counted == pytest.approx(3 * objective.flops_per_unit(), rel=0.1)


def test_counting_leaves_everything_as_it_was(tiny: Suite) -> None:
    objective = made(tiny, "lstm", model={"dropout": 0.5, "num_layers": 2})
    objective.eval()
    before = {name: tensor.clone() for name, tensor in objective.state_dict().items()}
    random = torch.get_rng_state()
    counted_flops_per_unit(objective, num_batches=2)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], t) for name, t in objective.state_dict().items())
    assert all(parameter.grad is None for parameter in objective.parameters())
    assert objective.carried is None
    assert not objective.training


def test_a_run_counts_where_it_is_asked_to_and_no_number_changes(
    tiny: Suite, tmp_path: Path
) -> None:
    resolved = resolve(tiny, "tiny", model="srn", overrides=tiny_task.settings())
    plain = run(resolved, tiny)
    other = Suite(folder=tiny_task.make_suite(tmp_path))
    counted = run(resolved, other, RunOptions(flops="counted"))
    assert plain.id == counted.id
    assert plain.metrics == counted.metrics
    assert plain.curve == counted.curve
    assert plain.cost.counted_flops_per_token is None
    assert counted.cost.counted_flops_per_token == pytest.approx(
        counted.cost.flops_per_token, rel=0.06
    )


def test_a_record_says_when_its_validations_were_and_what_the_machine_could_do(
    tiny: Suite,
) -> None:
    record = run(resolve(tiny, "tiny", model="gru", overrides=tiny_task.settings()), tiny)
    cost = record.cost
    assert len(cost.seconds_by_point) == len(record.curve) == 2
    assert cost.seconds_by_point == sorted(cost.seconds_by_point)
    assert cost.seconds_by_point[-1] <= cost.seconds + 0.1
    assert record.seconds_to(record.curve[-1].valid, "min") == cost.seconds_by_point[-1]
    assert cost.flops_per_token is not None
    assert cost.tokens_per_sec is not None
    assert cost.limit_flops_per_sec is not None
    wanted = cost.flops_per_token * cost.tokens_per_sec / cost.limit_flops_per_sec
    assert cost.share_of_limit == pytest.approx(wanted, abs=1e-4)
    assert cost.peak_memory_bytes is not None


def test_the_limit_is_measured_once_and_draws_nothing() -> None:
    random = torch.get_rng_state()
    rate = product_rate("float32", torch.device("cpu"))
    assert rate > 0
    assert product_rate("float32", torch.device("cpu")) == rate
    assert torch.equal(torch.get_rng_state(), random)


def test_seconds_of_validations_go_on_after_a_kill() -> None:
    first = Clock()
    first.on_train_start()
    first.on_train_epoch_end()
    second = Clock()
    second.load_state_dict(first.state_dict())
    second.on_train_start()
    second.on_train_epoch_end()
    assert second.seconds_by_point[0] == first.seconds_by_point[0]
    assert len(second.seconds_by_point) == 2
    older = {key: value for key, value in first.state_dict().items() if key.endswith("_sec")}
    second.load_state_dict(older)
    assert second.seconds_by_point == []


def test_a_record_of_before_these_figures_is_read(tiny: Suite, tmp_path: Path) -> None:
    record = run(resolve(tiny, "tiny", model="srn", overrides=tiny_task.settings()), tiny)
    path = write_record(record, tmp_path)
    tree = msgspec.json.decode(path.read_bytes())
    for name in ("seconds_by_point", "share_of_limit", "limit_flops_per_sec", "energy_joules",
                 "energy_source", "counted_flops_per_token"):  # fmt: skip
        del tree["cost"][name]
    path.write_bytes(msgspec.json.encode(tree))
    old = read_record(path)
    assert old.metrics == record.metrics
    assert (old.cost.energy_joules, old.cost.seconds_by_point) == (None, [])


def test_the_peak_is_the_processs_own_and_not_of_the_one_that_started_it() -> None:
    large = b"x" * (1 << 30)  # more than the libraries; Linux counts it for what is started now
    program = "from bench.runs.provenance import peak_memory_bytes as peak; print(peak())"
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    assert 0 < int(done.stdout) < len(large) / 2
