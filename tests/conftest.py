"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


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
