"""A process that answers Qdrant's REST search requests on loopback, with qdrant-edge doing the work: for times with real trips.

    with serving(folder, trip=0.002) as url:
        client = QdrantClient(url=url)

It only searches and describes; collections are made beforehand, in process. Connections are kept open, and JSON is written by
pydantic's Rust core. It isn't Qdrant's server, which would answer sooner: of what is measured through it, both sides pay alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydantic_core import to_json
from qdrant_client import models

sys.path.insert(0, str(Path(__file__).parents[1]))
from qdrant_rerank.edge import EdgeClient

__all__ = ["serving"]

_TITLE = {"title": "qdrant - vector search engine", "version": "1.20.0", "commit": "loopback"}


@contextmanager
def serving(folder: str, trip: float = 0.0) -> Iterator[str]:
    """The address of a process that serves the collections of a folder, which nobody else may have open.

    Args:
        folder: of the collections.
        trip: seconds by which each answer comes later, as if the server were that far away.
    """
    with subprocess.Popen([sys.executable, __file__, folder, str(trip)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the kernel waits 40 ms with small answers
    wbufsize = -1
    client: EdgeClient
    trip: float

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case [""]:
                self.write(_TITLE)
            case ["collections", name]:
                self.write(_result(self.client.get_collection(name)))
            case ["collections", name, "exists"]:
                self.write(_result({"exists": self.client.collection_exists(name)}))
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        match self.path.partition("?")[0].strip("/").split("/"):
            case ["collections", name, "points", "query"]:
                [found] = self.client.query_batch_points(name, [models.QueryRequest.model_validate(body)])
                self.write(_result(found))
            case ["collections", name, "points", "query", "batch"]:
                searches = models.QueryRequestBatch.model_validate(body).searches
                self.write(_result(self.client.query_batch_points(name, searches)))
            case ["collections", name, "points", "scroll"]:
                asked = models.ScrollRequest.model_validate(body)
                points, after = self.client.scroll(name, limit=asked.limit or 10, with_payload=True)
                self.write(_result({"points": points, "next_page_offset": after}))
            case _:
                self.send_error(404)

    def write(self, value: Any) -> None:
        """Answer with JSON."""
        data = to_json(value)
        time.sleep(self.trip)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


def _result(value: Any) -> dict[str, Any]:
    return {"result": value, "status": "ok", "time": 0.0}


def main() -> None:
    Handler.client, Handler.trip = EdgeClient(sys.argv[1]), float(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
