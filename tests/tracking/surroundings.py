"""Environment of tracked runs: no settings of the user, and a W&B server on this machine.

Test files load it by `pytest_plugins = ["surroundings"]`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import wandb
from loopback import KEY, Loopback

NAMES = ("MODE", "PROJECT", "ENTITY", "RUN_GROUP", "DIR", "API_KEY", "BASE_URL", "NOTES", "TAGS")
SETTINGS = ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR")


@pytest.fixture(scope="module")
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Environment without the settings, keys and addresses of whoever runs the tests."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in NAMES:
            monkeypatch.delenv(f"WANDB_{name}", raising=False)
        for name in SETTINGS:
            monkeypatch.setenv(name, str(folder))
        monkeypatch.setenv("NETRC", str(folder / "netrc"))
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_ERROR_REPORTING"):
            monkeypatch.delenv(name, raising=False)
        yield monkeypatch


@pytest.fixture(scope="module")
def hosted(own_surroundings: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """Server that this process and its children use as W&B's, with the right key."""
    wandb.teardown()  # what was set before is kept by its service
    with Loopback() as server:
        own_surroundings.setenv("WANDB_BASE_URL", server.url)
        own_surroundings.setenv("WANDB_API_KEY", KEY)
        yield server
        wandb.teardown()


@pytest.fixture
def server(hosted: Loopback) -> Loopback:
    """The server, emptied."""
    hosted.forget()
    return hosted
