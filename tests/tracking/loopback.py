"""A W&B server on this machine: the part of its protocol that runs, `wandb.Api` and reports use.

GraphQL goes to /graphql, history and summary as a stream of lines to
/files/ENTITY/PROJECT/RUN/file_stream, files to the address that the server gave for them. Lines are
kept by their place in the file, as W&B does: the same lines again change nothing.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

KEY = "k" * 40
ENTITY = "measurers"
Trouble = Literal["none", "silent", "forgetful"]
"""silent: never answers; forgetful: accepts everything and keeps nothing of the stream."""


@dataclass
class HostedRun:
    """A run as far as it has arrived."""

    name: str
    project: str
    fields: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    state: str = "running"
    num_starts: int = 0

    def take(self, message: dict[str, Any]) -> None:
        """A message of the file stream."""
        for name, chunk in message.get("files", {}).items():
            kept = self.lines.setdefault(name, {})
            kept.update(enumerate(chunk["content"], start=chunk["offset"]))
            if name == "wandb-summary.json":
                self.summary.update(json.loads(chunk["content"][-1]))
        if message.get("complete"):
            self.state = "failed" if message.get("exitcode") else "finished"

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows, in order."""
        return [json.loads(line) for line in self.kept("wandb-history.jsonl")]

    def kept(self, name: str) -> list[str]:
        """The lines of a file, in order."""
        lines = self.lines.get(name, {})
        return [lines[place] for place in sorted(lines)]


class Quiet(ThreadingHTTPServer):
    """Server that ignores clients that hang up."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


class Loopback:
    """The server; `with Loopback() as server`."""

    def __init__(self) -> None:
        self.runs: dict[str, HostedRun] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.used: list[tuple[str, str]] = []
        self.views: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.operations: list[str] = []
        self.paths: list[str] = []
        self.trouble: Trouble = "none"
        self._server = Quiet(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Loopback:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """Forget everything, at the same address."""
        for kept in (self.runs, self.artifacts, self.used, self.views, self.files):
            kept.clear()
        self.operations.clear()
        self.paths.clear()
        self.trouble = "none"

    def answer(self, operation: str, query: str, given: dict[str, Any]) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        self.operations.append(operation)
        method = getattr(self, f"_{operation.lower()}", None)
        if method is not None:
            found: dict[str, Any] = method(given)
            return found
        raise LookupError(f"{operation}: {query}")

    # Runs -------------------------------------------------------------------------------

    def _viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        me = {"id": "u", "entity": ENTITY, "username": "me", "email": "me@here", "flags": "{}"}
        return {"viewer": {**me, "admin": False, "teams": {"edges": []}}}

    def _getdefaultentity(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._viewer(given)

    def _serverfeaturesquery(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _organizationcoreweaveorganizationid(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"organization": None}}

    def _runresumestatus(self, given: dict[str, Any]) -> dict[str, Any]:
        model = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": ENTITY}}
        run = self.runs.get(given["name"])
        return {"model": {**model, "bucket": None if run is None else self._resumed(run)}}

    def _resumed(self, run: HostedRun) -> dict[str, Any]:
        history, events = run.kept("wandb-history.jsonl"), run.kept("wandb-events.jsonl")
        return {
            "id": run.name,
            "name": run.name,
            "displayName": run.fields.get("displayName"),
            "summaryMetrics": json.dumps(run.summary),
            "logLineCount": 0,
            "historyLineCount": len(history),
            "eventsLineCount": len(events),
            "historyTail": json.dumps(history[-1:]),
            "eventsTail": json.dumps(events[-1:]),
            "config": json.dumps(run.config),
            "tags": run.fields.get("tags"),
            "notes": run.fields.get("notes"),
            "wandbConfig": json.dumps({"t": 1}),
        }

    def _upsertbucket(self, given: dict[str, Any]) -> dict[str, Any]:
        inserted = given["name"] not in self.runs
        run = self.runs.setdefault(
            given["name"], HostedRun(name=given["name"], project=given["project"])
        )
        said = {key: value for key, value in given.items() if value is not None}
        if "displayName" in said:
            run.num_starts += 1
            run.state = "running"
        run.fields.update(said)
        run.config.update(json.loads(said.get("config", "{}")))
        run.summary.update(json.loads(said.get("summaryMetrics", "{}")))
        place = {"id": "p", "name": run.project, "entity": {"id": "e", "name": ENTITY}}
        bucket: dict[str, Any] = {"id": run.name, "name": run.name, "project": place}
        bucket |= {"sweepName": None}
        bucket |= {"displayName": run.fields.get("displayName"), "description": None}
        bucket |= {"config": json.dumps(run.config), "historyLineCount": len(run.history)}
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _createrunfiles(self, given: dict[str, Any]) -> dict[str, Any]:
        files = [self._upload(f"{given['run']}/{name}", name) for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _upload(self, path: str, name: str) -> dict[str, Any]:
        return {"name": name, "uploadUrl": f"{self.url}/upload/{path}"}

    # Queries about runs --------------------------------------------------------------------

    def _run(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(given["name"])
        if run is None or run.project != given["project"]:
            return {"project": {"internalId": "1", "run": None}}
        found = {"id": run.name, "name": run.name, "state": run.state, "projectId": 1}
        found |= {"displayName": run.fields.get("displayName"), "tags": run.fields.get("tags", [])}
        found |= {"summaryMetrics": json.dumps(run.summary), "config": json.dumps(run.config)}
        found |= {"historyLineCount": len(run.history), "historyKeys": None, "systemMetrics": "{}"}
        found |= dict.fromkeys(("sweepName", "group", "jobType", "commit", "description", "notes"))
        found |= {"readOnly": False, "createdAt": "2020-01-01T00:00:00", "heartbeatAt": None}
        found |= {"user": {"name": "me", "username": "me"}}
        return {"project": {"internalId": "1", "run": found}}

    # Artifacts -----------------------------------------------------------------------------------

    def _createartifact(self, given: dict[str, Any]) -> dict[str, Any]:
        said = given["input"]
        self.artifacts.append(said)
        number = f"A{len(self.artifacts)}"
        artifact = {"id": number, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def _createartifactmanifest(self, given: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "f", "name": given["name"], "displayName": given["name"]}
        file |= {"uploadUrl": f"{self.url}/upload/manifest/{given['artifactID']}"}
        manifest = {"id": "m", "file": {**file, "uploadHeaders": []}}
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    def _updateartifactmanifest(self, given: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "f", "name": "n", "displayName": "n", "uploadHeaders": []}
        file |= {"uploadUrl": f"{self.url}/upload/manifest/{given['artifactManifestID']}"}
        return {"updateArtifactManifest": {"artifactManifest": {"id": "m", "file": file}}}

    def _createartifactfiles(self, given: dict[str, Any]) -> dict[str, Any]:
        nodes = []
        for each in given["input"]["artifactFiles"]:
            path = f"artifact/{each['artifactID']}/{each['name']}"
            node = {"id": "f", "name": each["name"], "displayName": each["name"]}
            node |= {"storagePath": path, "uploadUrl": f"{self.url}/upload/{path}"}
            node |= {"uploadHeaders": [], "uploadMultipartUrls": None}
            nodes.append({"node": {**node, "artifact": {"id": each["artifactID"]}}})
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def _commitartifact(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}

    def _artifacttype(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}  # there is none of this name yet

    def _artifactbyid(self, given: dict[str, Any]) -> dict[str, Any]:
        said = self.artifacts[int(given["id"].removeprefix("A")) - 1]
        project = {"id": "p", "internalId": "1", "name": "p", "entity": {"name": ENTITY}}
        sequence = {"__typename": "ArtifactSequence", "name": said["artifactCollectionName"]}
        artifact = {"__typename": "Artifact", "id": given["id"], "digest": said["digest"]}
        artifact |= {"artifactSequence": {**sequence, "project": project}, "versionIndex": 0}
        artifact |= {"artifactType": {"name": said["artifactTypeName"]}, "state": "COMMITTED"}
        artifact |= dict.fromkeys(("description", "metadata", "historyStep", "commitHash"))
        artifact |= {"ttlDurationSeconds": -2, "ttlIsInherited": True, "tags": [], "aliases": []}
        artifact |= {"size": 1, "fileCount": 1, "createdAt": "2020-01-01", "updatedAt": None}
        return {"artifact": artifact}

    def _useartifact(self, given: dict[str, Any]) -> dict[str, Any]:
        said = given["input"]
        self.used.append((str(said["runName"]), str(said["artifactID"])))
        return {"useArtifact": {"artifact": {"id": said["artifactID"]}}}

    # Reports -------------------------------------------------------------------------------------

    def _projectinternalid(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"id": "p", "internalId": "1"}}

    def _getprojects(self, given: dict[str, Any]) -> dict[str, Any]:
        node = {
            "id": "p",
            "name": "sequence-bench",
            "entityName": ENTITY,
            "isBenchmark": False,
            "user": None,
        }
        edge = {"node": {**node, "createdAt": "2020-01-01T00:00:00"}, "cursor": "c"}
        page = {"endCursor": None, "hasNextPage": False}
        return {"models": {"edges": [edge], "pageInfo": page}}

    def _upsertview(self, given: dict[str, Any]) -> dict[str, Any]:
        self.views.append(given)
        project = {"id": "p", "name": given["projectName"], "entityName": given["entityName"]}
        view = {"id": "VmlldzoxMjM=", "type": given["type"], "name": given["name"]}
        view |= {"displayName": given["displayName"], "description": given["description"]}
        view |= {"project": project, "spec": given["spec"], "updatedAt": "2020-01-01T00:00:00"}
        return {"upsertView": {"view": view, "inserted": True}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self._body()
                server.paths.append(self.path)
                if self.path == "/graphql":
                    self._graphql(json.loads(body))
                elif found := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
                    if server.trouble != "forgetful":
                        server.runs[found[1]].take(json.loads(body))
                    self._say(200, {})
                else:
                    self._say(404, {})

            def do_PUT(self) -> None:
                server.files[self.path.removeprefix("/upload/")] = self._body()
                self._say(200, {})

            def _graphql(self, request: dict[str, Any]) -> None:
                if server.trouble == "silent":
                    self.close_connection = True
                    return
                if self.headers.get("Authorization") != f"Basic {_basic(KEY)}":
                    self._say(401, {"errors": [{"message": "user is not logged in"}]})
                    return
                query = request["query"]
                named = request.get("operationName") or _operation(query)
                try:
                    data = server.answer(named, query, request.get("variables") or {})
                except LookupError as error:
                    self._say(400, {"errors": [{"message": str(error)}]})
                    return
                self._say(200, {"data": data})

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def _say(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


def _basic(key: str) -> str:
    return base64.b64encode(f"api:{key}".encode()).decode()


def _operation(query: str) -> str:
    found = re.search(r"(?:query|mutation)\s+(\w+)", query)
    assert found is not None, query
    return found[1]
