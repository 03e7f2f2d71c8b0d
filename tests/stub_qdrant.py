"""A loopback HTTP server that speaks enough of Qdrant's REST API for a real client, and keeps what it was sent.

with StubQdrant(points=[…]) as stub:
    client = QdrantClient(url=stub.url)
    …
    assert stub.searches == [{"query": …, "limit": 5}]
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

__all__ = ["Received", "StubQdrant", "collection", "meaning"]


@dataclass(frozen=True)
class Received:
    """One request as the server saw it.

    Attributes:
        method: `"GET"`, `"POST"`.
        path: without the query string.
        parameters: the query string's.
        headers: by lower-case name.
        body: the JSON value, None if there was none.
        connection: the client's port, which tells connections apart.
    """

    method: str
    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    connection: int


def collection(
    dense: Mapping[str, int] | int = 4, sparse: Sequence[str] = (), points: int = 3, distance: str = "Cosine"
) -> dict[str, Any]:
    """What `GET /collections/…` answers.

    Args:
        dense: dimensions by vector name; a plain number for one unnamed vector.
        sparse: names of sparse vectors.
        points: how many points it says there are.
        distance: of every dense vector.
    """
    sizes = {name: {"size": size, "distance": distance} for name, size in dense.items()} if isinstance(dense, Mapping) else None
    return {
        "status": "green",
        "optimizer_status": "ok",
        "points_count": points,
        "segments_count": 1,
        "payload_schema": {},
        "config": {
            "params": {
                "vectors": {"size": dense, "distance": distance} if sizes is None else sizes,
                "sparse_vectors": {name: {} for name in sparse},
                "shard_number": 1,
            },
            "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000},
            "optimizer_config": {
                "deleted_threshold": 0.2,
                "vacuum_min_vector_number": 1000,
                "default_segment_number": 0,
                "flush_interval_sec": 5,
            },
        },
    }


def meaning(sent: Any) -> Any:
    """What a server reads: without what the client's methods say of vectors though it goes without saying, vectors as such."""
    if isinstance(sent, list):
        return [meaning(each) for each in sent]
    if not isinstance(sent, dict):
        return sent
    return meaning(sent["nearest"]) if list(sent) == ["nearest"] else {k: meaning(v) for k, v in sent.items() if v is not False}


class StubQdrant:
    """The server; a context manager that listens while it is entered.

    Args:
        points: what every search finds, best first: `{"id": …, "score": …, "payload": {…}}`; cut at the limit asked for.
        collections: by name, what `collection` makes; one named `"docs"` by default.
        version: the server's version.
    """

    def __init__(
        self,
        points: Sequence[Mapping[str, Any]] = (),
        collections: Mapping[str, Mapping[str, Any]] | None = None,
        version: str = "1.20.0",
    ) -> None:
        self.points = [{"version": 0, **point} for point in points]
        self.collections = {"docs": collection()} if collections is None else dict(collections)
        self.version = version
        self.received: list[Received] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def searches(self) -> list[Any]:
        """The bodies of all searches so far: single ones, each of a batch, and group searches."""
        found: list[Any] = []
        for request in self.received:
            if request.path.endswith("/points/query/batch"):
                found.extend(request.body["searches"])
            elif request.path.endswith(("/points/query", "/points/query/groups")):
                found.append(request.body)
        return found

    @property
    def paths(self) -> list[str]:
        """The method and path of each request so far: `"GET /collections/docs"`."""
        return [f"{request.method} {request.path}" for request in self.received]

    def answer(self, request: Received) -> tuple[int, Any]:
        """The HTTP status and JSON value that answer a request; override it for other answers."""
        match request.method, request.path.strip("/").split("/"):
            case "GET", [""]:
                return 200, {"title": "qdrant - vector search engine", "version": self.version, "commit": "stub"}
            case "GET", ["collections"]:
                return _result({"collections": [{"name": name} for name in self.collections]})
            case _, ["collections", name, *_] if name not in self.collections:
                return 404, {"status": {"error": f"Not found: Collection `{name}` doesn't exist!"}, "time": 0.0}
            case "GET", ["collections", name]:
                return _result(self.collections[name])
            case "POST", ["collections", _, "points", "query"]:
                return _result({"points": self._found(request.body)})
            case "POST", ["collections", _, "points", "query", "batch"]:
                return _result([{"points": self._found(search)} for search in request.body["searches"]])
            case "POST", ["collections", _, "points", "query", "groups"]:
                groups = [{"id": str(point["id"]), "hits": [point]} for point in self._found(request.body)]
                return _result({"groups": groups})
            case _:
                return 404, {"status": {"error": f"the stub has no answer to {request.method} {request.path}"}, "time": 0.0}

    def send(self, write: Callable[[bytes], object], content: bytes) -> None:
        """Send the body of an answer; override it for servers that are slow."""
        write(content)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _found(self, search: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self.points[: search.get("limit", 10)]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # keeps connections open, as Qdrant does
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                url = urlsplit(self.path)
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Received(
                    method=self.command,
                    path=url.path,
                    parameters={key: values[0] for key, values in parse_qs(url.query).items()},
                    headers={key.lower(): value for key, value in self.headers.items()},
                    body=json.loads(text) if text else None,
                    connection=self.client_address[1],
                )
                stub.received.append(request)
                status, value = stub.answer(request)
                content = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                stub.send(self.wfile.write, content)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Keep stderr quiet."""

        return Handler


def _result(value: Any) -> tuple[int, Any]:
    return 200, {"result": value, "status": "ok", "time": 0.0}
