"""A checkpoint that the disk has damaged is refused by name, and --again begins anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_task import make_suite, settings

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.runs.resolve import resolve
from bench.runs.run import RunOptions, run


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half of one"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    suite = Suite(folder=make_suite(tmp_path))
    resolved = resolve(suite, "tiny", model="srn", overrides=settings())
    path = suite.artifacts("tiny", resolved.run_id) / "last.ckpt"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(BenchError, match=r"last\.ckpt: this checkpoint is damaged .*--again"):
        run(resolved, suite)
    assert path.read_bytes() == content
    assert run(resolved, suite, RunOptions(again=True)).status == "finished"
