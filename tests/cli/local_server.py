"""A loopback server that answers like Qdrant over HTTP, with qdrant-client's local mode doing the work behind it."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

from tests.stub_qdrant import Received, StubQdrant

__all__ = ["LocalServer"]


class LocalServer(StubQdrant):
    """Collections that can be made, filled, searched and removed, over HTTP. `key` is the API key it demands."""

    def __init__(self, key: str | None = None, has_metadata: bool = True) -> None:
        super().__init__(collections={})
        self.qdrant = QdrantClient(":memory:")
        self.key, self.has_metadata = key, has_metadata

    def answer(self, request: Received) -> tuple[int, Any]:
        if self.key is not None and request.headers.get("api-key") != self.key:
            return 401, {"status": {"error": "Invalid API key or JWT"}, "time": 0.0}
        parts = request.path.strip("/").split("/")
        if parts == [""]:
            return super().answer(request)
        try:
            return 200, {"result": _plain(self._done(request.method, parts, request.body)), "status": "ok", "time": 0.0}
        except Exception as error:  # whatever local mode raises, a client sees as an answer
            status = 404 if "not found" in str(error) else 400
            return status, {"status": {"error": str(error)}, "time": 0.0}

    def _done(self, method: str, parts: list[str], body: Any) -> Any:
        client = self.qdrant
        match method, parts:
            case "GET", ["collections"]:
                return client.get_collections()
            case "GET", ["aliases"]:
                return client.get_aliases()
            case "GET", ["collections", name, "exists"]:
                return {"exists": client.collection_exists(name)}
            case "GET", ["collections", name]:
                return client.get_collection(name)
            case "PUT", ["collections", name]:
                made = models.CreateCollection.model_validate(body)
                return client.create_collection(name, vectors_config=made.vectors, sparse_vectors_config=made.sparse_vectors)
            case "PATCH", ["collections", name]:
                return client.update_collection(name, metadata=body["metadata"]) if self.has_metadata else True
            case "DELETE", ["collections", name]:
                return client.delete_collection(name)
            case "PUT", ["collections", _, "index"]:
                return {"operation_id": 1, "status": "completed"}
            case "PUT", ["collections", name, "points"]:
                return client.upsert(name, models.PointsList.model_validate(body).points)
            case "PUT", ["collections", name, "vectors", vector]:
                return client.create_vector_name(name, vector, TypeAdapter(models.VectorNameConfig).validate_python(body))
            case "PUT", ["collections", name, "points", "vectors"]:
                return client.update_vectors(name, models.UpdateVectors.model_validate(body).points)
            case "POST", ["collections", name, "points", "scroll"]:
                asked = models.ScrollRequest.model_validate(body)
                points, following = client.scroll(name, asked.filter, asked.limit or 10, offset=asked.offset)
                return {"points": _plain(points), "next_page_offset": following}
            case "POST", ["collections", name, "points"]:
                return client.retrieve(name, body["ids"], with_payload=False)
            case "POST", ["collections", name, "points", "count"]:
                return client.count(name)
            case "POST", ["collections", name, "points", "query"]:
                return client.query_batch_points(name, [models.QueryRequest.model_validate(body)])[0]
            case "POST", ["collections", name, "points", "query", "batch"]:
                return client.query_batch_points(name, models.QueryRequestBatch.model_validate(body).searches)
            case _:
                raise ValueError(f"the server has no answer to {method} {'/'.join(parts)}")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        plain: Any = super()._handler()

        class Handler(plain):  # type: ignore[misc]  # a class made by a function
            def do_PUT(self) -> None:
                self._answer()

            def do_PATCH(self) -> None:
                self._answer()

            def do_DELETE(self) -> None:
                self._answer()

        return Handler


def _plain(value: Any) -> Any:
    """A result as JSON, as the server writes it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(item) for item in value] if isinstance(value, list) else value
