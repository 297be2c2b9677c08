"""Server of the report on 127.0.0.1, rebuilt whenever a record, a sweep or an artifact changes."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.report.page import build_report

HOST = "127.0.0.1"
_FOLDERS = ("tasks", "results", "artifacts")
_IGNORED = (".pt", ".ckpt", ".tmp", ".lock", ".png")
"""Suffixes of files that no report shows."""


def serve(
    suite: Suite, tasks: Sequence[str], *, port: int, ready: Callable[[str], None] | None = None
) -> None:
    """Serve until Ctrl-C; calls `ready` with the address once the first report is built.

    Raises BenchError if the port is taken or the report cannot be built.
    """
    with make_server(suite, tasks, port=port) as server:
        if ready is not None:
            ready(f"http://{HOST}:{server.server_port}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


def make_server(suite: Suite, tasks: Sequence[str], *, port: int) -> ThreadingHTTPServer:
    """Create a server with a report that is not serving yet; port 0 is any free one."""
    reports = _Reports(suite, tasks)
    reports.page()

    class Handler(_Handler):
        source = reports

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise BenchError(f"--port {port}: {error.strerror}; name another, or 0 for any") from None


class _Reports:
    """Latest report, rebuilt on request if its files have changed."""

    def __init__(self, suite: Suite, tasks: Sequence[str]) -> None:
        self._suite, self._tasks = suite, tasks
        self._lock = threading.Lock()
        self._state, self._page = "", b""

    def page(self) -> bytes:
        with self._lock:
            if (state := self.state()) != self._state:
                try:
                    page = build_report(self._suite, self._tasks, live="served")
                except BenchError as error:
                    if not self._page:
                        raise
                    print(f"the report stays as it was: {error}", file=sys.stderr)
                else:
                    self._page = page.encode()
                self._state = state
            return self._page

    def state(self) -> str:
        """Digest of the files that a report reads."""
        lines = sorted(_states(self._suite.folders))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    source: _Reports

    def do_GET(self) -> None:
        """Answer with the page, or with the state of its files."""
        host = self.headers.get("Host", "").partition(":")[0]
        if host not in (HOST, "localhost"):  # DNS rebinding by another site
            self.send_error(403)
        elif self.path == "/":
            self._answer(self.source.page(), "text/html; charset=utf-8")
        elif self.path == "/state":
            self._answer(self.source.state().encode(), "text/plain")
        else:
            self.send_error(404)

    def _answer(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: an open page polls every few seconds."""


def _states(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        for part in _FOLDERS:
            for directory, _, names in os.walk(folder / part):
                for name in names:
                    if name.endswith(_IGNORED) or name.startswith("."):
                        continue
                    path = os.path.join(directory, name)
                    try:
                        state = os.stat(path)
                    except OSError:  # removed since it was listed
                        continue
                    yield f"{path} {state.st_size} {state.st_mtime_ns}"
