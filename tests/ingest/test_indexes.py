from __future__ import annotations

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import (
    Formula,
    Nearest,
    PlanError,
    field,
    score,
)
from qdrant_rerank.ingest import ensure_collection, ensure_indexes
from tests.ingest.stub import FillableStub, client_of
from tests.ingest.tiny import Letters
from tests.ingest.wants import EVERYTHING, match


def test_local_mode_gets_no_payload_indexes_but_a_word_about_them(empty: QdrantClient) -> None:
    strategy = Formula(score() + field("rating", default=0) + match("category", "news")).over(Nearest())

    done = ensure_collection(empty, "docs", {"dense": Letters()}, strategy=strategy)

    assert done[1] == "local mode has no payload indexes; on a server there would be: 'rating' (float), 'category' (keyword)"


def test_a_server_gets_the_index_of_the_right_type_for_each_key(stub: FillableStub) -> None:
    done = ensure_collection(client_of(stub), "docs", {"dense": Letters()}, strategy=EVERYTHING)

    types = {body["field_name"]: body["field_schema"] for path, body in stub.written if path == "/collections/docs/index"}
    assert types == {
        "rating": "float",
        "published": "datetime",
        "place": "geo",
        "category": "keyword",
        "open": "bool",
        "year": "integer",
        "summary": "text",
    }
    assert done[1:] == [f"made the {kind} index on {key!r}" for key, kind in types.items()]


def test_indexes_are_added_where_they_are_missing_and_others_are_left_and_named(stub: FillableStub) -> None:
    stub.collections["docs"]["payload_schema"] = {  # type: ignore[index]  # a dictionary, though the stub only reads it
        "rating": {"data_type": "integer", "points": 3},
        "category": {"data_type": "keyword", "points": 3},
    }
    strategy = Formula(score() + field("rating", default=0) + match("category", "news") + match("open", True)).over(Nearest())

    done = ensure_indexes(client_of(stub), "docs", strategy)

    assert [body for _, body in stub.written] == [{"field_name": "open", "field_schema": "bool"}]
    assert done == [
        "left the integer index on 'rating' as it is; the strategy is best served by a float index",
        "made the bool index on 'open'",
    ]


def test_a_strategy_without_payload_needs_no_index(stub: FillableStub) -> None:
    assert ensure_indexes(client_of(stub), "docs", Nearest()) == []
    assert stub.written == []


def test_indexes_for_a_collection_that_is_not_there_are_refused(empty: QdrantClient) -> None:
    with pytest.raises(PlanError, match="there is no collection 'docs'"):
        ensure_indexes(empty, "docs", Nearest())
