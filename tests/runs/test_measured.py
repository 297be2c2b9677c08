"""What a dry run estimates beside what the run then takes, for each kind of task."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured import CASES, carry_out

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", CASES)
def test_a_run_takes_what_was_estimated(name: str, tmp_path: Path) -> None:
    found = carry_out(CASES[name], tmp_path)
    assert found.estimated == pytest.approx(found.measured, rel=0.2)
    # Most of it is libraries, whatever the network: so what comes on top is compared, too.
    beyond = found.measured - found.base
    assert beyond > 100
    assert found.estimated - found.base == pytest.approx(beyond, rel=0.2)
