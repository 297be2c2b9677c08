"""Server of the report: local only, and up to date with the runs."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from reported import TASK, add_run, make_suite

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.report import figures, page
from bench.report.serve import make_server


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.setattr(figures, "draw", lambda _: "<svg></svg>")
    monkeypatch.setattr(page, "library", lambda: "")
    return make_suite(tmp_path, num_runs=5)


@pytest.fixture
def server(suite: Suite) -> Iterator[ThreadingHTTPServer]:
    with make_server(suite, (TASK,), port=0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: ThreadingHTTPServer, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_new_record_changes_the_state(server: ThreadingHTTPServer, suite: Suite) -> None:
    before = get(server, "/state")
    assert before == get(server, "/state")
    assert "-s77" not in get(server, "/")[1]
    record = add_run(suite, seed=77)
    assert get(server, "/state") != before
    assert f'id="{TASK}/{record.id}"' in get(server, "/")[1]


def test_a_damaged_record_leaves_the_last_report(
    server: ThreadingHTTPServer, suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    before = get(server, "/")
    suite.record_path(TASK, "srn-broken-s1").write_text("{")
    assert get(server, "/") == before
    assert "not a record" in capsys.readouterr().err


def test_the_server_listens_on_localhost_only(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    page = get(server, "/")[1]
    assert "connect-src 'self'" in page
    assert 'data-live="served"' in page


def test_other_hosts_and_paths_are_rejected(server: ThreadingHTTPServer) -> None:
    assert get(server, "/", host="elsewhere.example")[0] == 403
    assert get(server, "/../pyproject.toml")[0] == 404


def test_a_taken_port_is_an_error(server: ThreadingHTTPServer, suite: Suite) -> None:
    with pytest.raises(BenchError, match="--port"):
        make_server(suite, (TASK,), port=server.server_port)
