"""Where a sweep's studies are kept: an SQLite file, or a PostgreSQL that machines share."""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from bench.core.errors import BenchError
from bench.core.suite import Suite

HEARTBEAT_SEC = 30.0
MISSED_BEATS = 4
"""So many heartbeats may be late before a worker counts as lost."""
PATIENCE_SEC = 300.0
"""How long a storage may be out of reach before a worker gives up."""
EXAMPLES = "sqlite:///sweep.db or postgresql+psycopg://user@host/database"

T = TypeVar("T")


def default_url(suite: Suite, sweep_name: str) -> str:
    """The SQLite file of a sweep when no other storage is named."""
    path = suite.folder.resolve() / "artifacts" / "sweeps" / f"{sweep_name}.db"
    return sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Studies, and the right to change them alone."""

    url: sqlalchemy.URL
    studies: RDBStorage
    heartbeat_sec: float

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the storage's lock: nobody else asks for a trial or tells one meanwhile."""
        with _alone(self.url):
            yield

    def stale_trials(self, study: optuna.Study) -> set[int]:
        """Ids of the running trials whose worker has been silent for too long, by its clock."""
        return set(self.studies._get_stale_trial_ids(study._study_id))


def open_storage(
    address: str,
    *,
    heartbeat_sec: float = HEARTBEAT_SEC,
    missing: Literal["make", "refuse"] = "make",
) -> Storage:
    """Connect to the database at `address`, making its tables where it has none.

    Raises BenchError for an address that is none, a missing driver, and a database that is out of
    reach or holds something else.
    """
    url = _checked_url(address)
    if url.get_backend_name() == "sqlite":
        _prepare_file(Path(str(url.database)), missing)
    try:
        with _alone(url):
            return Storage(
                url=url, studies=_connect(url, heartbeat_sec), heartbeat_sec=heartbeat_sec
            )
    except (ImportError, NoSuchModuleError) as error:
        raise BenchError(
            f"--storage {shown(url)}: the driver is missing ({_first_line(error)}): "
            "pip install 'sequence-bench[postgresql]'"
        ) from None
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise BenchError(f"--storage {shown(url)}: {_cause(error)}") from None


def shown(url: sqlalchemy.URL) -> str:
    """An address as it may be printed, without its password."""
    return url.render_as_string(hide_password=True)


def patiently(action: Callable[[], T], *, patience_sec: float = PATIENCE_SEC) -> T:
    """Do something with a storage, again and again while it is out of reach."""
    until, pause_sec = time.monotonic() + patience_sec, 0.2
    while True:
        try:
            return action()
        except (StorageInternalError, sqlalchemy.exc.DBAPIError) as error:
            if time.monotonic() > until:
                raise BenchError(f"the storage is out of reach: {_cause(error)}") from error
            time.sleep(pause_sec)
            pause_sec = min(2 * pause_sec, 10.0)


def _checked_url(address: str) -> sqlalchemy.URL:
    try:
        url = sqlalchemy.make_url(address)
    except ArgumentError:
        raise BenchError(f"--storage {address}: not a database address, as {EXAMPLES}") from None
    kind = url.drivername.partition("+")[0]
    if kind not in ("sqlite", "postgresql"):
        raise BenchError(f"--storage {shown(url)}: {kind!r} is not supported, use {EXAMPLES}")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise BenchError(
            f"--storage {address}: workers cannot share memory, name a file: {EXAMPLES}"
        )
    return url


def _prepare_file(path: Path, missing: Literal["make", "refuse"]) -> None:
    if missing == "refuse" and not path.is_file():
        raise BenchError(f"{path}: no sweep has begun there")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
    except OSError as error:
        raise BenchError(f"--storage {path}: cannot write there ({error.strerror})") from None


def _connect(url: sqlalchemy.URL, heartbeat_sec: float) -> RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats
        return RDBStorage(
            # Optuna fills in a template.
            url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
            engine_kwargs=_engine_settings(url),
            heartbeat_interval=math.ceil(heartbeat_sec),
            grace_period=math.ceil(MISSED_BEATS * heartbeat_sec),
        )


def _engine_settings(url: sqlalchemy.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 60.0}}  # seconds for which another writer is waited
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_driver_name().startswith("psycopg"):
        settings["connect_args"] = {"connect_timeout": 10}
    return settings


@contextmanager
def _alone(url: sqlalchemy.URL) -> Iterator[None]:
    """A lock that ends with its holder, however that dies."""
    if url.get_backend_name() == "sqlite":
        with FileLock(f"{url.database}.lock"):
            yield
        return
    key = int.from_bytes(hashlib.sha256(b"bench sweep").digest()[:8], signed=True)
    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.pool.NullPool, **_engine_settings(url)
    )
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        yield


def _cause(error: BaseException) -> str:
    """What the database itself said, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _first_line(getattr(error, "orig", None) or error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
