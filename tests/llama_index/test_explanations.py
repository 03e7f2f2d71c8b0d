"""Explanations and notes in nodes' metadata: what they say, what they cost, and who doesn't see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.schema import MetadataMode, NodeWithScore
from llama_index.core.vector_stores.utils import node_to_metadata_dict

from llama_index_qdrant_rerank import ParamsQueryBundle, QdrantRerankRetriever
from llama_index_qdrant_rerank._internals import NodeReader
from qdrant_rerank import (
    Formula,
    Fusion,
    Mmr,
    Nearest,
    PlanWarning,
    QueryError,
    RankedPoint,
    SearchOptions,
    Strategy,
    StrategyError,
    field,
    param,
    score,
)
from tests.engines import open_client
from tests.llama_index.stores import TinyEmbedding, node, ranking, store
from tests.llama_index.test_retriever import retriever
from tests.support import QUERY, CountingClient, fill_toy

KEY = "_explanation"
CANDIDATES = Nearest("dense", limit=20), Nearest("bm25", limit=20)
LEARNED = Formula(score("dense") + 0.1 * score("bm25") - field("popularity", default=0) / 50).over(*CANDIDATES)
STRATEGIES: dict[str, Strategy] = {"learned": LEARNED, "fused": Fusion.rrf().over(*CANDIDATES), "plain": Nearest("dense")}
QUERIES = [QUERY, "lazy dog"]


@pytest.fixture
def counting() -> Iterator[CountingClient]:
    client = CountingClient()
    fill_toy(client)
    yield client
    client.close()


def told(found: list[NodeWithScore]) -> list[dict[str, Any]]:
    return [each.metadata[KEY] for each in found]


def assert_explained(found: list[NodeWithScore], expected: list[NodeWithScore]) -> None:
    """The same nodes with the same scores, each with terms that add up to its score."""
    assert ranking(found) == ranking(expected)
    metadata = {each.node_id: each.metadata for each in expected}
    for rank, (each, reason) in enumerate(zip(found, told(found), strict=True), 1):
        shown = {key: value for key, value in each.metadata.items() if key != KEY}
        assert shown == metadata.get(each.node_id, shown)  # what ties with the last may have taken its place
        assert (reason["rank"], reason["score"]) == (rank, each.score)
        assert sum(reason["terms"].values()) == pytest.approx(each.score, abs=1e-5)


@pytest.mark.parametrize("name", STRATEGIES)
async def test_each_way_to_retrieve_explains_the_same_nodes_in_one_round_trip(counting: CountingClient, name: str) -> None:
    plain = retriever(counting, strategy=STRATEGIES[name], similarity_top_k=4)
    explaining = plain.with_options(explanations=True)
    first, second = (plain.retrieve(query) for query in QUERIES)
    await plain.aretrieve(QUERY)  # the async executor reads about the collection, too
    counting.calls.clear()
    assert_explained(explaining.retrieve(QUERY), first)
    assert len(counting.calls) == 1
    counting.calls.clear()
    assert_explained(await explaining.aretrieve(QUERY), first)
    batch = explaining.retrieve_batch(QUERIES)
    again = await plain.aretrieve_batch(QUERIES, explanations=True)
    assert len(counting.calls) == 3
    for one, other in (batch, again):
        assert_explained(one, first)
        assert_explained(other, second)


def test_models_are_not_shown_explanations_and_no_node_of_another_is_changed() -> None:
    client = open_client()
    by_number = Formula(score() + 0.1 * field("popularity", default=0)).over(Nearest(limit=10))
    made = QdrantRerankRetriever.from_vector_store(store(client), embed_model=TinyEmbedding(), strategy=by_number)
    plain, found = made.retrieve(QUERY), made.with_options(explanations=True).retrieve(QUERY)
    assert KEY in found[0].metadata
    assert KEY not in plain[0].metadata
    for each, expected in zip(found, plain, strict=True):
        for mode in (MetadataMode.LLM, MetadataMode.EMBED):
            assert each.get_content(mode) == expected.get_content(mode)
    stored = client.retrieve("nodes", [found[0].node.node_id])[0].payload
    assert KEY not in str(stored)


def plain_types(value: Any) -> set[type]:
    if isinstance(value, dict):
        return {kind for key, item in value.items() for kind in {type(key)} | plain_types(item)}
    return {type(value)}


def test_explanations_are_plain_values_that_json_holds(counting: CountingClient) -> None:
    found = retriever(counting, strategy=LEARNED, similarity_top_k=24, explanations=True).retrieve(QUERY)
    assert {kind for reason in told(found) for kind in plain_types(reason)} <= {str, int, float, type(None)}
    assert json.loads(found[0].to_json())["node"]["metadata"][KEY] == told(found)[0]


def test_request_time_values_reach_what_is_explained(counting: CountingClient) -> None:
    strategy = Formula(score() + param("bonus")).over(Nearest("dense", limit=20))
    asked = retriever(counting, strategy=strategy, explanations=True)
    [reason, *_] = told(asked.retrieve(ParamsQueryBundle(QUERY, params={"bonus": 2.0})))
    assert reason["terms"]["param('bonus')"] == 2.0


def test_the_key_is_the_users_choice(counting: CountingClient) -> None:
    asked = retriever(counting, strategy=LEARNED, explanations=True, explanation_key="why", similarity_top_k=1)
    [found] = asked.retrieve(QUERY)
    assert found.metadata["why"]["rank"] == 1
    assert KEY not in found.metadata
    assert "why" in found.node.excluded_embed_metadata_keys


def test_what_can_t_be_is_refused_with_the_reason(counting: CountingClient) -> None:
    with pytest.raises(QueryError, match="explanations must be True or False, got 'yes'"):
        retriever(counting, explanations="yes")
    with pytest.raises(StrategyError, match="explanation_key must be a metadata key, got ''"):
        retriever(counting, explanation_key="")
    with pytest.raises(StrategyError, match="results of a group query can't be explained: leave out group_by"):
        retriever(counting, strategy=LEARNED, explanations=True, options=SearchOptions(group_by="doc")).retrieve(QUERY)
    [reason, *_] = told(retriever(counting, strategy=Mmr("dense", diversity=0.5), explanations=True).retrieve(QUERY))
    assert reason["terms"] == {}


def ranked(number: int, payload: dict[str, Any], **notes: Any) -> RankedPoint:
    return RankedPoint(id=number, version=0, score=0.5, payload=payload, notes=notes)


def read(*points: RankedPoint, **reader: Any) -> list[NodeWithScore]:
    return NodeReader(**reader).read(list(points), "text", "docs")


@pytest.mark.parametrize("payload", ["llama_index", "flat"])
def test_what_reranking_notes_is_in_the_metadata_and_models_don_t_see_it(payload: str) -> None:
    content = node_to_metadata_dict(node(1)) if payload == "llama_index" else {"text": "by hand"}
    first, second = read(
        ranked(1, content, retrieval_score=0.3, relevance_score=0.9),
        ranked(2, content, not_reranked="no text"),
        payload=payload,
    )
    assert first.metadata.items() >= {"retrieval_score": 0.3, "relevance_score": 0.9}.items()
    assert second.metadata["not_reranked"] == "no text"
    assert "retrieval_score" not in second.metadata
    for mode in (MetadataMode.LLM, MetadataMode.EMBED):
        assert "relevance_score" not in first.get_content(mode)
        assert "not_reranked" not in second.get_content(mode)


def test_nothing_that_is_added_hides_what_a_node_has_or_each_other() -> None:
    with pytest.warns(PlanWarning) as caught:
        own, other = read(
            ranked(1, {"text": "t", "rank": 7, "score": 8}, rank=1, score=0.1),
            ranked(2, {"text": "t"}, rank=2),
            payload="flat",
            score_key="score",
        )
    said = sorted(str(each.message) for each in caught)
    assert [message.partition("under")[2] for message in said] == [
        " 'rank': it is kept, and the note is under '_rank'",
        " 'score': it is kept, and the note is under '__score'",
        " 'score': it is kept, and the score is under '_score'",
    ]
    assert own.metadata == {"rank": 7, "score": 8, "_rank": 1, "_score": 0.5, "__score": 0.1}
    assert other.metadata == {"_rank": 2, "_score": 0.5}
