"""Laws of what a run leaves of a split, for every objective and every baseline of every domain."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from objective_cases import OBJECTIVE_CASES, Case, make_suite

from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.domains import all_domains
from bench.runs.outputs import Outputs, find_outputs
from bench.runs.run import run

TASKS = {
    "text": "tiny",
    "speech": "tiny-speech",
    "translation": "tiny-translation",
    "captions": "tiny-captioning",
    "frames": "tiny-frames",
}
"""The small task of each domain."""
KEEPING = [name for domain in all_domains() for name in domain.outputs]
TRAINED = {name: OBJECTIVE_CASES[name] for name in KEEPING}
SIZES: dict[str, dict[str, int]] = {"nearest": {"k": 9, "m": 3}, "forest": {"num_trees": 3}}
COUNTED = {
    name: Case(task=TASKS[domain.kind], model=name).but(options=SIZES.get(name, {}))
    for domain in all_domains()
    for name in domain.baselines
}
EACH = pytest.mark.parametrize("name", TRAINED | COUNTED)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield make_suite(tmp_path_factory.mktemp("suite"))


@functools.cache
def record_of(suite: Suite, name: str) -> Record:
    case = (TRAINED | COUNTED)[name]
    trainer = {"trainer": {"threads": 1}} if name in TRAINED else {}
    return run(case.resolved(suite, **trainer), suite)


def kept(suite: Suite, record: Record, split: str = "test") -> tuple[Outputs, Path]:
    found = find_outputs(suite, record, split, missing="leave")
    return found, found.path(suite.artifacts(record.task, record.id), split)


def test_every_domain_has_a_small_task() -> None:
    assert set(TASKS) == {domain.kind for domain in all_domains()}


@EACH
def test_their_metric_is_the_record_s(suite: Suite, name: str) -> None:
    record = record_of(suite, name)
    for split in ("valid", "test"):
        outputs, path = kept(suite, record, split)
        assert outputs.value() == pytest.approx(record.metrics[split], rel=1e-6, abs=1e-6)
        other = msgspec.structs.replace(record, metrics={split: 1.1 * record.metrics[split] + 1})
        with pytest.raises(BenchError, match=record.id):
            outputs.check(other, split, path)


@EACH
def test_units_add_up_to_the_metric(suite: Suite, name: str) -> None:
    outputs, _ = kept(suite, record_of(suite, name))
    units = outputs.units()
    assert units.sums.ndim == 2
    assert len(units.sums) > 1
    whole = units.metric(units.sums.sum(0))
    assert float(whole) == pytest.approx(outputs.value(), rel=1e-6)
    np.testing.assert_allclose(units.metric(np.stack([units.sums.sum(0)] * 3)), [whole] * 3)
    assert str(len(units.sums)) in units.noun.replace(",", "")


@EACH
def test_each_sample_has_its_cells(suite: Suite, name: str) -> None:
    outputs, _ = kept(suite, record_of(suite, name))
    table = outputs.samples()
    if table is not None:
        assert table.rows
        assert {len(row.cells) for row in table.rows} == {len(table.columns)}
        assert not table.paired or len({row.name for row in table.rows}) == len(table.rows)


@EACH
def test_what_is_gone_is_regenerated_with_the_same_bytes(suite: Suite, name: str) -> None:
    record = record_of(suite, name)
    _, path = kept(suite, record)
    before = path.read_bytes()
    path.unlink()
    with pytest.raises(BenchError, match="--missing"):
        kept(suite, record)
    said: list[str] = []
    find_outputs(suite, record, "test", say=said.append)
    assert len(said) == 1
    assert path.read_bytes() == before


@EACH
def test_damage_is_named(suite: Suite, name: str) -> None:
    record = record_of(suite, name)
    _, path = kept(suite, record, "valid")
    before = path.read_bytes()
    for content in (b"", before[: len(before) // 2], b"something else"):
        path.write_bytes(content)
        with pytest.raises(BenchError, match=path.name):
            kept(suite, record, "valid")
    path.write_bytes(before)


@pytest.mark.parametrize("name", COUNTED)
def test_a_baseline_predicts_at_once(suite: Suite, name: str) -> None:
    record = record_of(suite, name)
    assert record.status == "finished"
    assert record.curve == []
    assert record.cost.num_parameters >= 0
    assert not (suite.artifacts(record.task, record.id) / "weights.pt").exists()
