from __future__ import annotations

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    Formula,
    Nearest,
    PlanError,
    field,
    score,
    when,
)
from qdrant_rerank.ingest import ensure_collection, ensure_indexes
from tests.ingest.stub import FillableStub, client_of
from tests.ingest.tiny import Letters
from tests.ingest.wants import EVERYTHING, match


@pytest.mark.engines("local", reason="about local mode's own words, answers or warnings")
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
    said = {
        "year": ": 3.0 now matches 3, and numbers with decimals match nothing",
        "summary": ": it compares whole words, capitals or not; without it servers before 1.20 look for the text as it stands",
    }
    assert done[1:] == [f"made the {kind} index on {key!r}{said.get(key, '')}" for key, kind in types.items()]


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


PHRASE = Formula(score() + when(models.FieldCondition(key="k", match=models.MatchPhrase(phrase="brown fox")))).over(Nearest())
EXCEPT = Nearest(filter=models.Filter(must=[models.FieldCondition(key="k", match=models.MatchExcept(**{"except": ["a"]}))]))


def test_a_phrase_gets_an_index_that_knows_phrases(stub: FillableStub) -> None:
    [done] = ensure_indexes(client_of(stub), "docs", PHRASE)

    assert [body for _, body in stub.written] == [
        {"field_name": "k", "field_schema": {"type": "text", "phrase_matching": True}}
    ]
    assert done.startswith("made the text index on 'k' (with phrase_matching): it compares whole words")


def test_a_text_index_that_knows_no_phrases_is_named(stub: FillableStub) -> None:
    index: dict[str, object] = {"data_type": "text", "points": 3}
    stub.collections["docs"]["payload_schema"] = {"k": index}  # type: ignore[index]
    [done] = ensure_indexes(client_of(stub), "docs", PHRASE)
    assert done == (
        "left the text index on 'k' as it is, which knows no phrases, so that they match nothing: "
        "make it anew with phrase_matching=True"
    )
    index["params"] = {"type": "text", "phrase_matching": True}
    assert ensure_indexes(client_of(stub), "docs", PHRASE) == []
    assert stub.written == []


def test_no_index_is_made_that_hides_values_from_a_condition(stub: FillableStub) -> None:
    done = ensure_indexes(client_of(stub), "docs", EXCEPT)
    assert done == ["made no index on 'k': an index would hide values of other types from `except`"]
    stub.collections["docs"]["payload_schema"] = {"k": {"data_type": "keyword", "points": 3}}  # type: ignore[index]
    assert ensure_indexes(client_of(stub), "docs", EXCEPT) == []
    assert stub.written == []


def test_it_is_made_all_the_same_where_strict_mode_demands_one(stub: FillableStub) -> None:
    strict = {"enabled": True, "unindexed_filtering_retrieve": False}
    stub.collections["docs"]["config"]["strict_mode_config"] = strict
    assert ensure_indexes(client_of(stub), "docs", EXCEPT) == ["made the keyword index on 'k'"]


def test_a_strategy_without_payload_needs_no_index(stub: FillableStub) -> None:
    assert ensure_indexes(client_of(stub), "docs", Nearest()) == []
    assert stub.written == []


def test_indexes_for_a_collection_that_is_not_there_are_refused(empty: QdrantClient) -> None:
    with pytest.raises(PlanError, match="there is no collection 'docs'"):
        ensure_indexes(empty, "docs", Nearest())
