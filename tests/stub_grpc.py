"""A loopback gRPC server that speaks enough of Qdrant's API for a real client, and keeps what it was sent.

with StubGrpc(size=4) as stub:
    client = QdrantClient(url=stub.url, grpc_port=stub.port, prefer_grpc=True, check_compatibility=False)
    …
    assert stub.searches[0].read_consistency.factor == 2
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc
from qdrant_client import grpc as q

__all__ = ["StubGrpc"]


class StubGrpc:
    """The server, of one collection of any name; a context manager that listens while it is entered.

    Args:
        size: how many numbers the collection's vector has.
        points: how many points it says there are.
        version: the server's version.
    """

    def __init__(self, size: int = 4, points: int = 3, version: str = "1.20.0") -> None:
        self.size, self.points, self.version = size, points, version
        self.received: list[tuple[str, Any]] = []
        self.held = threading.Event()
        """Set, the server answers; cleared, every call waits."""
        self.held.set()
        self.away: str | None = None
        """What the server says in the place of the collection, as a node of its cluster is away."""
        self._server = grpc.server(ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers(
            (
                self._service("Qdrant", HealthCheck=(q.HealthCheckRequest, self._version)),
                self._service("Collections", Get=(q.GetCollectionInfoRequest, self._collection)),
                self._service(
                    "Points",
                    Query=(q.QueryPoints, lambda _: q.QueryResponse(result=[_point(1)])),
                    QueryBatch=(
                        q.QueryBatchPoints,
                        lambda asked: q.QueryBatchResponse(
                            result=[q.BatchResult(result=[_point(1)]) for _ in asked.query_points]
                        ),
                    ),
                    QueryGroups=(q.QueryPointGroups, lambda _: q.QueryGroupsResponse(result=q.GroupsResult(groups=[]))),
                ),
            )
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def searches(self) -> list[Any]:
        """The requests of all searches so far."""
        return [request for name, request in self.received if name.startswith("Query")]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.held.set()
        self._server.stop(0).wait()

    def _service(self, service: str, **methods: Any) -> Any:
        return grpc.method_handlers_generic_handler(
            f"qdrant.{service}", {name: self._handler(name, *method) for name, method in methods.items()}
        )

    def _handler(self, name: str, request: Any, answer: Any) -> Any:
        def handle(asked: Any, context: Any) -> Any:
            self.received.append((name, asked))
            self.held.wait(30)
            if name == "Get" and self.away is not None:
                context.abort(grpc.StatusCode.INTERNAL, self.away)
            return answer(asked)

        return grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=request.FromString, response_serializer=lambda reply: reply.SerializeToString()
        )

    def _version(self, asked: Any) -> Any:
        return q.HealthCheckReply(title="qdrant", version=self.version)

    def _collection(self, asked: Any) -> Any:
        vector = q.VectorParams(size=self.size, distance=q.Distance.Cosine)
        params = q.CollectionParams(vectors_config=q.VectorsConfig(params=vector), shard_number=1)
        hnsw = q.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=1)
        optimizers = q.OptimizersConfigDiff(
            deleted_threshold=0.2, vacuum_min_vector_number=1, default_segment_number=0, flush_interval_sec=5
        )
        wal = q.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0)
        config = q.CollectionConfig(params=params, hnsw_config=hnsw, optimizer_config=optimizers, wal_config=wal)
        info = q.CollectionInfo(status=q.CollectionStatus.Green, segments_count=1, config=config, points_count=self.points)
        info.optimizer_status.CopyFrom(q.OptimizerStatus(ok=True))
        return q.GetCollectionInfoResponse(result=info)


def _point(number: int) -> Any:
    return q.ScoredPoint(id=q.PointId(num=number), score=0.5, version=0)
