"""The stub of a Qdrant server, extended by what filling a collection asks of it."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any

from qdrant_client import QdrantClient

from tests.stub_qdrant import Received, StubQdrant

__all__ = ["FillableStub", "client_of"]


class FillableStub(StubQdrant):
    """Takes new collections, indexes and points; stores only their ids. The answers in `refusals` come first, to writes."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.stored: list[Any] = []
        self.refusals: list[tuple[int, Any]] = []

    @property
    def written(self) -> list[tuple[str, Any]]:
        """The path and body of every PUT."""
        return [(request.path, request.body) for request in self.received if request.method == "PUT"]

    def answer(self, request: Received) -> tuple[int, Any]:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["collections", name, "exists"]:
                return _result({"exists": name in self.collections})
            case "POST", ["collections", _, "points"]:
                return _result([{"id": id} for id in request.body["ids"] if id in self.stored])
            case "PUT", _ if self.refusals:
                return self.refusals.pop(0)
            case "PUT", ["collections", name]:
                self.collections[name] = {}
                return _result(True)
            case "PUT", ["collections", _, "points"]:
                self.stored.extend(point["id"] for point in request.body["points"])
                return _result({"operation_id": 1, "status": "completed"})
            case "PUT", ["collections", _, "index"]:
                return _result({"operation_id": 1, "status": "completed"})
            case _:
                return super().answer(request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        plain: Any = super()._handler()

        class Handler(plain):  # type: ignore[misc]  # a class made by a function
            def do_PUT(self) -> None:
                self._answer()

        return Handler


def client_of(stub: StubQdrant) -> QdrantClient:
    """A real client of the stub."""
    return QdrantClient(url=stub.url, check_compatibility=False)


def _result(value: Any) -> tuple[int, Any]:
    return 200, {"result": value, "status": "ok", "time": 0.0}
