"""A server on this machine that speaks Cohere's v2 API, with the faults that real servers have, in the order of a script.

    with StubCohere() as server:
        server.script += [Refuse(429, retry_after="1"), Alter(nan)]
        CohereReranker(api_key="k", base_url=server.url).score("query", ["text"])
        assert server.requests[0].body["model"] == "rerank-v3.5"

Each request takes the next fault of the script; when there is none left, it is answered as Cohere would. A text's score is the
share of the query's words that it has; a text's vector counts its letters.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from tests.waiting import PATIENCE

__all__ = ["Alter", "Drip", "Drop", "Fault", "Hang", "Meet", "Refuse", "Request", "StubCohere", "letters", "overlap"]

SIZE = 26


@dataclass(frozen=True)
class Refuse:
    """An error status, with Cohere's body."""

    status: int
    message: str = "something went wrong"
    retry_after: str | None = None


@dataclass(frozen=True)
class Hang:
    """Says nothing for some seconds, and answers then."""

    seconds: float


@dataclass(frozen=True)
class Meet:
    """Answers when as many requests have come as the barrier is for; 400 if some don't come."""

    others: threading.Barrier


@dataclass(frozen=True)
class Drip:
    """Answers at once, but a byte at a time, with a tenth of a second between them."""


@dataclass(frozen=True)
class Drop:
    """Closes the connection without an answer."""


@dataclass(frozen=True)
class Alter:
    """Answers with what a function makes of the right answer; text is sent as it is."""

    change: Callable[[dict[str, Any]], Any]


Fault: TypeAlias = Refuse | Hang | Meet | Drip | Drop | Alter


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float


@dataclass
class StubCohere:
    """The server, while it is entered.

    Attributes:
        script: the faults to come.
        requests: those that came.
        refused: texts that are refused with 400 wherever they are sent, as Cohere does with empty ones.
    """

    script: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    refused: tuple[str, ...] = ("",)

    def __enter__(self) -> StubCohere:
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def next_fault(self, request: Request) -> Fault | None:
        with self._lock:
            self.requests.append(request)
            return self.script.pop(0) if self.script else None

    def wait(self, seconds: float) -> None:
        self._closing.wait(seconds)


class _Server(ThreadingHTTPServer):
    stub: StubCohere
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hung up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        stub = self.server.stub
        match stub.next_fault(Request(self.path, headers, body, time.monotonic())):
            case Refuse(status, message, retry_after):
                return self._send(status, {"id": "1", "message": message}, retry_after)
            case Drop():
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return None
            case Drip():
                return self._drip(json.dumps(_reranked(body)).encode())
            case Hang(seconds):
                stub.wait(seconds)
                return self._answer(body, lambda right: right)
            case Meet(others):
                try:
                    others.wait(PATIENCE)
                except threading.BrokenBarrierError:
                    return self._send(400, {"id": "1", "message": "the other requests didn't come"})
                return self._answer(body, lambda right: right)
            case Alter(change):
                return self._answer(body, change)
            case _:
                return self._answer(body, lambda right: right)

    def _answer(self, body: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> None:
        refused = set(body.get("documents", body.get("texts", ()))) & set(self.server.stub.refused)
        if refused:
            return self._send(400, {"id": "1", "message": "invalid request: texts must not be empty"})
        match self.path:
            case "/v2/rerank":
                return self._send(200, change(_reranked(body)))
            case "/v2/embed":
                return self._send(200, change(_embedded(body)))
            case _:
                return self._send(404, {"message": f"no {self.path}"})

    def _send(self, status: int, body: Any, retry_after: str | None = None) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        if retry_after is not None:
            self.send_header("retry-after", retry_after)
        self.end_headers()
        self.wfile.write(content)

    def _drip(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(OSError):
            for place in range(len(content)):
                self.wfile.write(content[place : place + 1])
                self.server.stub.wait(0.1)

    def log_message(self, format: str, *args: Any) -> None: ...


def overlap(query: str, text: str) -> float:
    """The share of the query's words that the text has."""
    words = set(query.lower().split())
    return len(words & set(text.lower().split())) / len(words)


def letters(text: str) -> list[float]:
    """How often each letter is in the text."""
    return [float(text.lower().count(chr(97 + number))) for number in range(SIZE)]


def _reranked(body: dict[str, Any]) -> dict[str, Any]:
    scores = [(overlap(body["query"], text), index) for index, text in enumerate(body["documents"])]
    ranked = sorted(scores, key=lambda pair: -pair[0])
    results = [{"index": index, "relevance_score": score} for score, index in ranked]
    return {
        "id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf",
        "results": results[: body.get("top_n")],
        "meta": {"api_version": {"version": "2", "is_experimental": False}, "billed_units": {"search_units": 1}},
    }


def _embedded(body: dict[str, Any]) -> dict[str, Any]:
    size = body.get("output_dimension", SIZE)
    return {
        "id": "da6e531f-54c5-4a73-bf92-f60566d8d753",
        "response_type": "embeddings_by_type",
        "embeddings": {"float": [(letters(text) + [0.0] * size)[:size] for text in body["texts"]]},
        "texts": body["texts"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3}},
    }
