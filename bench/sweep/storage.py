"""Storage of a sweep's studies: an SQLite file, or a PostgreSQL shared by machines."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
    SQLAlchemyError,
)

from bench.core.errors import BenchError
from bench.core.suite import Suite

HEARTBEAT_SEC = 30.0
MAX_MISSED_HEARTBEATS = 4
"""Number of late heartbeats after which a worker counts as lost."""
TIMEOUT_SEC = 600.0
"""Time for which an unreachable storage is waited for."""
MAX_PAUSE_SEC = 5.0
_AWAY = (SQLAlchemyError, ConnectionError)
_WRONG = (
    ArgumentError,
    DataError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
)
"""Errors of requests, which another attempt would not mend."""
_CREDENTIALS = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)?.*@", re.S)
EXAMPLES = "sqlite:///sweep.db or postgresql+psycopg://user@host/database"

T = TypeVar("T")


def default_url(suite: Suite, sweep_name: str) -> str:
    """URL of the SQLite file of a sweep, used when no other storage is given."""
    path = suite.folder.resolve() / "artifacts" / "sweeps" / f"{sweep_name}.db"
    return sqlalchemy.URL.create("sqlite", database=str(path)).render_as_string()


def away_line(error: BaseException, timeout_sec: float) -> str:
    """Line about a database that is away."""
    return f"the storage is out of reach ({cause(error)}), waiting up to {timeout_sec:g} s"


def retry(
    action: Callable[[], T],
    *,
    timeout_sec: float = TIMEOUT_SEC,
    say: Callable[[str], None] = lambda _: None,
    reset: Callable[[], None] = lambda: None,
) -> T:
    """Call `action`, again and again with longer pauses, while the database is away."""
    began, pause_sec, is_said = time.monotonic(), 0.2, False
    while True:
        try:
            found = action()
        except Exception as error:
            if not is_unreachable(error):
                raise
            waited_sec = time.monotonic() - began
            if waited_sec > timeout_sec:
                raise BenchError(
                    f"the storage has been out of reach for {waited_sec:.0f} s ({cause(error)}): "
                    "start the same command again when it is back, nothing is lost; "
                    "--storage-timeout waits longer"
                ) from error
            if not is_said and waited_sec > 1:
                is_said = True
                say(away_line(error, timeout_sec))
            reset()
            time.sleep(pause_sec)
            pause_sec = min(2 * pause_sec, MAX_PAUSE_SEC)
        else:
            if is_said:
                say(f"the storage is back after {time.monotonic() - began:.0f} s")
            return found


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Optuna's storage with its URL and a lock."""

    url: sqlalchemy.URL
    backend: RDBStorage
    heartbeat_sec: float
    timeout_sec: float = TIMEOUT_SEC
    """Time for which an unreachable database is waited for."""
    say: Callable[[str], None] = field(default=lambda _: None)
    """Called with a line when the database is away, and when it is back."""

    def lock(self) -> AbstractContextManager[None]:
        """Exclusive right to ask for and tell trials."""
        return _lock(self.url)

    def retry(self, action: Callable[[], T]) -> T:
        """Call `action`, again and again while the database is away.

        An action that was carried out although its answer was lost is called once more. Raises
        BenchError after `timeout_sec`.
        """
        return retry(action, timeout_sec=self.timeout_sec, say=self.say, reset=self.reset)

    def reset(self) -> None:
        """Give up a broken session, so that the next request opens another."""
        with contextlib.suppress(Exception):
            self.backend.remove_session()


def open_storage(
    address: str,
    *,
    heartbeat_sec: float = HEARTBEAT_SEC,
    missing: Literal["create", "refuse"] = "create",
    timeout_sec: float = TIMEOUT_SEC,
    say: Callable[[str], None] = lambda _: None,
    away: Literal["wait", "refuse"] = "refuse",
) -> Storage:
    """Connect to the database at `address`, creating its tables if it has none.

    `away`: a worker waits for a database that its supervisor has reached before. Raises BenchError
    for an invalid address, a missing driver, and a database that cannot be reached or holds
    something else.
    """
    url = _parse_url(address)
    if url.get_backend_name() == "sqlite":
        _prepare_file(Path(str(url.database)), missing)

    def connect() -> RDBStorage:
        with _lock(url):
            return _connect(url, heartbeat_sec)

    try:
        wait_sec = 0.0 if away == "refuse" else timeout_sec
        backend = retry(connect, timeout_sec=wait_sec, say=say) if wait_sec else connect()
    except (ImportError, NoSuchModuleError) as error:
        raise BenchError(
            f"--storage {redacted(url)}: the driver is missing ({_first_line(error)}): "
            "pip install 'sequence-bench[postgresql]'"
        ) from None
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        raise BenchError(f"--storage {redacted(url)}: {cause(error)}") from None
    return Storage(
        url=url,
        backend=backend,
        heartbeat_sec=heartbeat_sec,
        timeout_sec=timeout_sec,
        say=say,
    )


def redacted(url: sqlalchemy.URL | str) -> str:
    """Printable address: all that stands before its last `@` may be a password, and is masked."""
    text = url if isinstance(url, str) else url.render_as_string(hide_password=True)
    return _CREDENTIALS.sub(r"\1***@", text.replace("%40", "@"))


def is_unreachable(error: BaseException) -> bool:
    """Test whether an error says that the database is away, not that a request was wrong."""
    if isinstance(error, StorageInternalError):
        return error.__cause__ is None or is_unreachable(error.__cause__)
    return isinstance(error, _AWAY) and not isinstance(error, _WRONG)


def _parse_url(address: str) -> sqlalchemy.URL:
    try:
        url = sqlalchemy.make_url(address)
    except (ArgumentError, ValueError):
        raise BenchError(
            f"--storage {redacted(address)}: not a database address, as {EXAMPLES}"
        ) from None
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise BenchError(f"--storage {redacted(url)}: {kind!r} is not supported, use {EXAMPLES}")
    if kind == "sqlite" and url.database in (None, "", ":memory:"):
        raise BenchError(
            f"--storage {redacted(address)}: workers cannot share memory, name a file: {EXAMPLES}"
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


def cause(error: BaseException) -> str:
    """Message of the database itself, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _first_line(getattr(error, "orig", None) or error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
