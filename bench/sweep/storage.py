"""Storage of a sweep's studies: an SQLite file, or a PostgreSQL shared by machines."""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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
MAX_MISSED_HEARTBEATS = 4
"""Number of late heartbeats after which a worker counts as lost."""
RETRY_SEC = 300.0
"""Time for which an unreachable storage is tried again."""
MAX_PAUSE_SEC = 10.0
EXAMPLES = "sqlite:///sweep.db or postgresql+psycopg://user@host/database"

T = TypeVar("T")


def default_url(suite: Suite, sweep_name: str) -> str:
    """URL of the SQLite file of a sweep, used when no other storage is given."""
    path = suite.folder.resolve() / "artifacts" / "sweeps" / f"{sweep_name}.db"
    return sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Optuna's storage with its URL and a lock."""

    url: sqlalchemy.URL
    backend: RDBStorage
    heartbeat_sec: float

    def lock(self) -> AbstractContextManager[None]:
        """Exclusive right to ask for and tell trials."""
        return _lock(self.url)


def open_storage(
    address: str,
    *,
    heartbeat_sec: float = HEARTBEAT_SEC,
    missing: Literal["create", "refuse"] = "create",
) -> Storage:
    """Connect to the database at `address`, creating its tables if it has none.

    Raises BenchError for an invalid address, a missing driver, and a database that cannot be
    reached or holds something else.
    """
    url = _parse_url(address)
    if url.get_backend_name() == "sqlite":
        _prepare_file(Path(str(url.database)), missing)
    try:
        with _lock(url):
            backend = _connect(url, heartbeat_sec)
    except (ImportError, NoSuchModuleError) as error:
        raise BenchError(
            f"--storage {redacted(url)}: the driver is missing ({_first_line(error)}): "
            "pip install 'sequence-bench[postgresql]'"
        ) from None
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise BenchError(f"--storage {redacted(url)}: {_cause(error)}") from None
    return Storage(url=url, backend=backend, heartbeat_sec=heartbeat_sec)


def redacted(url: sqlalchemy.URL) -> str:
    """Printable URL, without the password."""
    return url.render_as_string(hide_password=True)


def retry(action: Callable[[], T], *, retry_sec: float = RETRY_SEC) -> T:
    """Call `action`, again and again while the storage cannot be reached."""
    until, pause_sec = time.monotonic() + retry_sec, 0.2
    while True:
        try:
            return action()
        except (StorageInternalError, sqlalchemy.exc.DBAPIError) as error:
            if time.monotonic() > until:
                raise BenchError(f"the storage is out of reach: {_cause(error)}") from error
            time.sleep(pause_sec)
            pause_sec = min(2 * pause_sec, MAX_PAUSE_SEC)


def _parse_url(address: str) -> sqlalchemy.URL:
    try:
        url = sqlalchemy.make_url(address)
    except ArgumentError:
        raise BenchError(f"--storage {address}: not a database address, as {EXAMPLES}") from None
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise BenchError(f"--storage {redacted(url)}: {kind!r} is not supported, use {EXAMPLES}")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise BenchError(
            f"--storage {address}: workers cannot share memory, name a file: {EXAMPLES}"
        )
    return url


def _prepare_file(path: Path, missing: Literal["create", "refuse"]) -> None:
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
            # Optuna treats the URL as a template.
            url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
            engine_kwargs=_engine_options(url),
            heartbeat_interval=math.ceil(heartbeat_sec),
            grace_period=math.ceil(MAX_MISSED_HEARTBEATS * heartbeat_sec),
        )


def _engine_options(url: sqlalchemy.URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": 60.0}}  # seconds to wait for another writer
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_driver_name().startswith("psycopg"):
        options["connect_args"] = {"connect_timeout": 10}
    return options


@contextmanager
def _lock(url: sqlalchemy.URL) -> Iterator[None]:
    """Lock between processes that is released when its holder dies."""
    if url.get_backend_name() == "sqlite":
        with FileLock(f"{url.database}.lock"):
            yield
        return
    key = int.from_bytes(hashlib.sha256(b"bench sweep").digest()[:8], signed=True)
    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.pool.NullPool, **_engine_options(url)
    )
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        yield


def _cause(error: BaseException) -> str:
    """Message of the database itself, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _first_line(getattr(error, "orig", None) or error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
