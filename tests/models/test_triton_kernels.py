"""The fused kernels against the plain loops, by Triton's interpreter, and whether they compile.

Where Triton is not installed this file is not collected.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.models.fast import fusion

HERE = Path(__file__).parent


def printed(script: str, cache: Path) -> Any:
    """The JSON that a script prints in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if "TRITON" not in key}
    environment["TRITON_CACHE_DIR"] = str(cache)
    command = [sys.executable, str(HERE / script)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return printed("interpret_kernels.py", tmp_path_factory.mktemp("cache"))


def test_fused_kernels_ran(interpreted: Any) -> None:
    names = ["lstm_triton", "lstm_triton", "gru_triton"]
    assert interpreted["paths"] == [f"bench.models.fast.{name}" for name in names]


def test_values_and_gradients_are_the_plain_loop_s(interpreted: Any) -> None:
    found = interpreted["differences"]
    assert len(found) == (8 + 2) * 2 * 2 + 2
    limits = {case: 1e-4 if "float32" in case else 1e-11 for case in found}
    assert {case: worst for case, worst in found.items() if not worst < limits[case]} == {}


@pytest.mark.slow
def test_every_kernel_compiles_for_a_gpu(tmp_path: Path) -> None:
    found = printed("compile_kernels.py", tmp_path)
    assert len(found) == 13 + 2 * 9
    assert min(found.values()) > 1000


def test_kernels_are_for_cuda_and_only_where_they_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.ones(3)
    assert not fusion.fuses(x)
    monkeypatch.setattr(fusion, "FUSED_ON", {"cpu"})
    monkeypatch.setattr(fusion, "compiles", lambda kind: kind == "cpu")
    assert fusion.fuses(x)
    assert not fusion.fuses(torch.ones(3, dtype=torch.int64))


def test_triton_is_not_used_where_it_cannot_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    fusion.compiles.cache_clear()
    with pytest.warns(UserWarning, match="runs no kernel here"):
        assert not fusion.compiles("cpu")  # not interpreted, and there is no compiler for CPUs
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    fusion.compiles.cache_clear()
    assert not fusion.compiles("cpu")
    fusion.compiles.cache_clear()
