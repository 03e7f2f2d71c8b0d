"""Collections are made and filled in the embedded engine by the same calls as on a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Executor,
    Formula,
    Fusion,
    Nearest,
    PlanError,
    Query,
    SearchOptions,
    datetime_field,
    field,
    now,
    score,
)
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.ingest import Document, ensure_collection, ensure_indexes, ingest
from qdrant_rerank.models import Encoders
from tests.support import QUERY, bm25, colbert, dense, toy_points

HYBRID = Fusion.rrf(limit=20).over(Nearest("dense", limit=20), Nearest("bm25", limit=20))
STRATEGY = Formula(score("colbert") + 0.1 * field("popularity", default=0) + 1e-9 * (now() - datetime_field("published"))).over(
    Nearest("colbert", limit=20).over(HYBRID)
)


class Sparse:
    kind = "sparse"
    idf = True

    def encode_query(self, text: str) -> models.SparseVector:
        return bm25(text)

    def encode_documents(self, texts: Any) -> list[Any]:
        return [bm25(text) for text in texts]


ENCODERS: dict[str, Any] = {"dense": dense, "colbert": colbert, "bm25": Sparse()}


def documents() -> list[Document]:
    return [
        Document(
            f"doc {point.id}", (point.payload or {})["text"], {k: v for k, v in (point.payload or {}).items() if k != "text"}
        )
        for point in toy_points()
    ]


def test_a_collection_is_made_filled_and_searched(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        done = ensure_collection(client, "docs", ENCODERS, strategy=STRATEGY)
        assert any("made the float index on 'popularity'" in sentence for sentence in done)
        kinds = {key: index.data_type.value for key, index in client.get_collection("docs").payload_schema.items()}
        assert kinds == {"popularity": "float", "published": "datetime"}
        report = ingest(client, "docs", documents(), ENCODERS, batch_size=7)
        assert (report.written, report.skipped) == (24, 0)
        executor = Executor(client, "docs", encoders=Encoders.of(ENCODERS))
        points = executor.retrieve(STRATEGY, Query(QUERY), SearchOptions(limit=5))
        assert len(points) == 5
        assert all((point.payload or {})["_id"].startswith("doc ") for point in points)
        assert not [warning for warning in executor.plan(STRATEGY).warnings if "index" in str(warning)]


def test_a_second_run_stores_nothing_twice(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        ensure_collection(client, "docs", ENCODERS)
        ingest(client, "docs", documents()[:10], ENCODERS)
    with EdgeClient(tmp_path) as client:
        done = ensure_collection(client, "docs", ENCODERS)
        assert any("is there, with" in sentence for sentence in done)
        report = ingest(client, "docs", documents(), ENCODERS)
        assert (report.written, report.skipped) == (14, 10)
        assert client.count("docs").count == 24


def test_a_multivector_gets_no_graph(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        ensure_collection(client, "docs", ENCODERS)
        vectors: Any = client.get_collection("docs").config.params.vectors
        assert vectors["colbert"].hnsw_config.m == 0
        assert vectors["dense"].hnsw_config is None


def test_another_collection_s_vectors_are_a_plan_error(tmp_path: Path) -> None:
    with EdgeClient(tmp_path) as client:
        client.create_collection("docs", {"dense": models.VectorParams(size=3, distance=models.Distance.DOT)})
        with pytest.raises(PlanError, match=r"the vector 'dense' of 'docs' is dense 3-d.*, but its encoder makes dense, 4"):
            ensure_collection(client, "docs", {"dense": dense})
        with pytest.raises(PlanError, match="there is no collection 'absent'"):
            ensure_indexes(client, "absent", STRATEGY)
