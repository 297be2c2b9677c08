"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: tests share the cores

import pytest

from bench.core.record import Record
from bench.core.suite import Suite

HERE = Path(__file__).parent
pytest.register_assert_rewrite("batch_contract")
LONG = (
    "training/test_equality",
    "runs",
    "training/test_shared_resume",
    "sweep",
    "training/test_start",
    "training",
    "launch",
    "reproduce",
    "tracking",
)
"""Files that take long come first, so that no worker is left with one at the end; those that start
several processes are apart, so that they do not wait for one another."""

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as of a shell's background jobs
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(HERE).as_posix()
        return next((n for n, start in enumerate(LONG) if path.startswith(start)), len(LONG))

    items.sort(key=place)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """What takes a GPU is not collected where torch sees none, so nothing of it is skipped.

    Nor are the tests of kernels where Triton is not installed, which is made for Linux.
    """
    if collection_path == HERE / "models" / "test_triton_kernels.py":
        return True if find_spec("triton") is None else None
    if HERE / "gpu" in (collection_path, *collection_path.parents):
        import torch

        return None if torch.cuda.is_available() else True
    return None


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The folder of real corpora, `$BENCH_DATA`; a test that needs it is skipped without one.

    Under CI a missing folder is a failure, so that no real-data test is ever lost in silence.
    """
    folder = os.environ.get("BENCH_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder).resolve()
    if os.environ.get("CI"):
        pytest.fail(
            "BENCH_DATA is not set to a folder; real-data tests may not be skipped under CI"
        )
    pytest.skip("BENCH_DATA is not set: this test reads the real corpora")


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """A working folder for the runs of a session; test files that need their own hide it."""
    return Suite(folder=tmp_path_factory.mktemp("suite"))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text of the shared runs."""
    from finished_runs import write_corpus

    return write_corpus(tmp_path_factory.mktemp("text") / "corpus")


@pytest.fixture(scope="session")
def runs(suite: Suite, corpus: Path) -> dict[str, Record]:
    """Small finished runs that tests may read and not change."""
    from finished_runs import make_runs

    return make_runs(suite, corpus)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """A suite of compared runs that nothing has trained; tests may read it and not change it."""
    from compared_runs import fill, make_suite

    made = make_suite(tmp_path_factory.mktemp("compared") / "suite")
    fill(made)
    return made
