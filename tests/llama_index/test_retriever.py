"""The retriever on a collection written by hand: options, query bundles, batches; sync and async alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, QueryBundle, QueryType
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters
from qdrant_client import QdrantClient, models

from llama_index_qdrant_rerank import ParamsQueryBundle, QdrantRerankRetriever
from qdrant_rerank import Formula, Fusion, Mmr, Nearest, SearchOptions, Strategy, datetime_field, field, now, param, score
from tests.engines import open_client
from tests.llama_index.stores import NOON, TinyEmbedding, ranking, round_trips, sparse
from tests.support import COLLECTION, QUERY, CountingClient, bm25, colbert, dense, fill_toy, searches_of

STRATEGIES: dict[str, Strategy] = {
    "plain": Nearest(),
    "hybrid": Fusion.rrf().over(Nearest("dense"), Nearest("bm25")),
    "late interaction": Nearest("colbert").over(Nearest("dense")),
    "formula": Formula(score() + 0.1 * field("rating", default=1)).over(Nearest("dense")),
    "mmr": Mmr("dense", diversity=0.5),
}


def retriever(client: QdrantClient | None, **arguments: Any) -> QdrantRerankRetriever:
    settings: dict[str, Any] = {
        "client": client,
        "collection_name": COLLECTION,
        "embed_model": TinyEmbedding(),
        "sparse_encoder": sparse,
        "encoders": {"colbert": colbert},
        "payload": "flat",
        **arguments,
    }
    return QdrantRerankRetriever(**settings)


def ids(found: list[NodeWithScore]) -> list[int]:
    return [int(each.node.node_id) for each in found]


@pytest.fixture
def counting() -> Iterator[CountingClient]:
    client = CountingClient()
    fill_toy(client)
    yield client
    client.close()


@pytest.mark.parametrize("name", STRATEGIES)
async def test_sync_and_async_give_the_same_nodes_in_one_round_trip(counting: CountingClient, name: str) -> None:
    asked = retriever(counting, strategy=STRATEGIES[name], similarity_top_k=5)
    found = asked.retrieve(QUERY)
    assert round_trips(counting) == (2, searches_of(STRATEGIES[name]))
    again = await asked.aretrieve(QUERY)
    assert ranking(again) == ranking(found)
    assert len(found) == 5
    round_trips(counting)
    asked.retrieve(QUERY)
    await asked.aretrieve(QUERY)
    assert round_trips(counting) == (0, 2 * searches_of(STRATEGIES[name]))


def test_two_nodes_come_back_unless_said_otherwise(toy: QdrantClient) -> None:
    asked = retriever(toy)
    assert asked.similarity_top_k == len(asked.retrieve(QUERY)) == 2
    asked.similarity_top_k = 3
    assert len(asked.retrieve(QUERY)) == 3


async def test_async_queries_run_side_by_side_and_in_several_event_loops(toy: QdrantClient) -> None:
    asked = retriever(toy)
    expected = ranking(asked.retrieve(QUERY))
    found = await asyncio.gather(*(asked.aretrieve(QUERY) for _ in range(5)))
    assert [ranking(each) for each in found] == [expected] * 5
    assert ranking(await asyncio.to_thread(lambda: asyncio.run(asked.aretrieve(QUERY)))) == expected


class TestQueryBundles:
    def test_a_bundles_embedding_is_used_and_nothing_embedded(self, toy: QdrantClient) -> None:
        model = TinyEmbedding()
        bundle = QueryBundle("something else", embedding=dense(QUERY))
        found = retriever(toy, embed_model=model).retrieve(bundle)
        assert ranking(found) == ranking(retriever(toy).retrieve(QUERY))
        assert model.asked == []

    def test_a_bundles_embedding_is_for_the_only_dense_vector_even_if_that_has_an_encoder(self, toy: QdrantClient) -> None:
        bundle = QueryBundle("something else", embedding=dense(QUERY))
        found = retriever(toy, encoders={"dense": dense}).retrieve(bundle)
        assert ranking(found) == ranking(retriever(toy).retrieve(QUERY))

    async def test_custom_embedding_strings_are_embedded_as_queries_and_averaged(self, toy: QdrantClient) -> None:
        model = TinyEmbedding()
        bundle = QueryBundle("ignored", custom_embedding_strs=["lazy dog", "river stone"])
        asked = retriever(toy, embed_model=model, similarity_top_k=5)
        mean = model.get_agg_embedding_from_queries(["lazy dog", "river stone"])
        expected = ranking(asked.retrieve(QueryBundle("x", embedding=mean)))
        model.asked.clear()
        assert ranking(asked.retrieve(bundle)) == expected
        assert model.asked == ["query lazy dog", "query river stone"]
        assert ranking(await asked.aretrieve(bundle)) == expected
        assert sorted(model.asked[2:]) == ["async query lazy dog", "async query river stone"]

    def test_sparse_vectors_are_embedded_from_the_query_itself(self, toy: QdrantClient) -> None:
        asked = retriever(toy, strategy=Nearest("bm25"))
        bundle = QueryBundle(QUERY, custom_embedding_strs=["lazy dog"])
        assert ranking(asked.retrieve(bundle)) == ranking(asked.retrieve(QUERY))

    def test_a_bundle_isnt_changed(self, toy: QdrantClient) -> None:
        bundle = QueryBundle(QUERY)
        retriever(toy).retrieve(bundle)
        assert bundle == QueryBundle(QUERY)
        embedded = ParamsQueryBundle(QUERY, embedding=dense(QUERY))
        retriever(toy).retrieve(embedded)
        assert embedded == ParamsQueryBundle(QUERY, embedding=dense(QUERY))
        features = {"budget": 3.0}
        brought = ParamsQueryBundle(QUERY, params=features, vectors={"dense": dense(QUERY)})
        strategy = Formula(score() + param("budget") + param("more")).over(Nearest("dense"))
        retriever(toy, strategy=strategy, params={"more": 1.0}).retrieve(brought)
        assert brought == ParamsQueryBundle(QUERY, params={"budget": 3.0}, vectors={"dense": dense(QUERY)})

    def test_a_feature_query_bundle_brings_vectors_features_and_the_time(self, toy: QdrantClient) -> None:
        age = now() - datetime_field("published", default=NOON)
        strategy = Formula(param("weight") * score("colbert") - 1e-9 * age).over(Nearest("colbert"))
        asked = retriever(toy, strategy=strategy, params={"weight": 1.0}, encoders={})
        bundle = ParamsQueryBundle("", params={"weight": -1.0}, vectors={"colbert": colbert(QUERY)}, now=NOON)
        best, worst = asked.retrieve(bundle), asked.retrieve(ParamsQueryBundle("", vectors=bundle.vectors, now=NOON))
        assert ids(best)[0] != ids(worst)[0]
        later = ParamsQueryBundle("", params=bundle.params, vectors=bundle.vectors, now=NOON.replace(year=2030))
        assert asked.retrieve(later)[0].score != best[0].score


class TestOptions:
    def test_filters_of_both_kinds_and_of_every_level_are_anded(self, toy: QdrantClient) -> None:
        popular = MetadataFilters(filters=[MetadataFilter(key="popularity", value=10, operator=FilterOperator.GT)])
        news = models.Filter(must=[models.FieldCondition(key="category", match=models.MatchValue(value="news"))])
        asked = retriever(toy, similarity_top_k=24, filters=popular)
        narrowed = asked.with_options(filter=news)
        expected = {number for number in range(1, 25) if number * 1.5 > 10 and number % 3 == 0}
        assert set(ids(narrowed.retrieve(QUERY))) == expected
        assert len(ids(asked.retrieve(QUERY))) == 18  # the original is as it was
        even = narrowed.with_options(node_ids=[str(number) for number in range(0, 25, 2)])
        assert set(ids(even.retrieve(QUERY))) == {number for number in expected if number % 2 == 0}

    def test_filters_reach_the_candidates(self, toy: QdrantClient) -> None:
        only = MetadataFilters(filters=[MetadataFilter(key="category", value="paper")])
        for strategy in STRATEGIES.values():
            found = retriever(toy, strategy=strategy, similarity_top_k=24, filters=only).retrieve(QUERY)
            assert {each.node.metadata["category"] for each in found} == {"paper"}
            assert len(found) == 8

    def test_an_empty_list_of_ids_lets_nothing_through(self, toy: QdrantClient) -> None:
        assert retriever(toy, node_ids=[]).retrieve(QUERY) == []

    def test_keys_of_metadata_filters_are_below_metadata_in_langchains_payload(self) -> None:
        client = open_client()
        client.create_collection("lc", vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT))
        points = [
            models.PointStruct(
                id=number, vector=dense("x"), payload={"page_content": f"text {number}", "metadata": {"n": number}}
            )
            for number in (1, 2)
        ]
        client.upsert("lc", points)
        only = MetadataFilters(filters=[MetadataFilter(key="n", value=2)])
        asked = QdrantRerankRetriever(
            client=client, collection_name="lc", embed_model=TinyEmbedding(), payload="langchain", filters=only
        )
        [found] = asked.retrieve("x")
        assert (found.node.node_id, found.text, found.metadata) == ("2", "text 2", {"n": 2})

    def test_options_replace_what_they_name_and_features_are_added(self, toy: QdrantClient) -> None:
        strategy = Formula(param("a") + 10 * param("b") + 0 * score()).over(Nearest())
        asked = retriever(toy, strategy=strategy, params={"a": 1.0, "b": 1.0})
        changed = asked.with_options(params={"b": 2.0}, similarity_top_k=1)
        assert [each.score for each in changed.retrieve(QUERY)] == [21.0]
        assert [each.score for each in asked.retrieve(QUERY)] == [11.0, 11.0]
        assert ids(asked.with_options(strategy=Nearest()).retrieve(QUERY)) == ids(retriever(toy).retrieve(QUERY))

    def test_a_copy_shares_what_is_known_of_the_collection(self, counting: CountingClient) -> None:
        asked = retriever(counting)
        asked.retrieve(QUERY)
        asked.with_options(similarity_top_k=4).retrieve(QUERY)
        assert round_trips(counting) == (2, 2)
        asked.refresh()
        asked.retrieve(QUERY)
        assert round_trips(counting) == (2, 1)

    def test_a_score_threshold_and_search_parameters_are_passed_on(self, toy: QdrantClient) -> None:
        best = retriever(toy, similarity_top_k=2).retrieve(QUERY)
        asked = retriever(toy, score_threshold=best[0].get_score() - 1e-6, similarity_top_k=5)
        assert ids(asked.retrieve(QUERY)) == ids(best)[:1]
        asked = asked.with_options(options=SearchOptions(search_params=models.SearchParams(exact=True)))
        assert asked.describe().requests[0]["params"]["exact"] is True

    async def test_groups_bring_one_node_for_each_value(self, toy: QdrantClient) -> None:
        asked = retriever(toy, similarity_top_k=3, options=SearchOptions(group_by="category"))
        found = asked.retrieve(QUERY)
        assert sorted(each.node.metadata["category"] for each in found) == ["blog", "news", "paper"]
        assert ranking(await asked.aretrieve(QUERY)) == ranking(found)
        assert len(asked.with_options(options=SearchOptions(group_by="category", group_size=2)).retrieve(QUERY)) == 6


class TestBatches:
    async def test_a_batch_is_one_round_trip_and_answers_as_single_queries_do(self, counting: CountingClient) -> None:
        asked = retriever(counting, similarity_top_k=4)
        queries: list[QueryType] = [QUERY, QueryBundle("lazy dog"), QueryBundle("x", custom_embedding_strs=["night", "dog"])]
        single = [ranking(asked.retrieve(query)) for query in queries]
        round_trips(counting)
        assert [ranking(found) for found in asked.retrieve_batch(queries)] == single
        assert [ranking(found) for found in await asked.aretrieve_batch(queries)] == single
        assert round_trips(counting) == (2, 2)  # the async side reads the collection for itself

    async def test_a_batch_takes_options_for_itself(self, toy: QdrantClient) -> None:
        asked = retriever(toy)
        assert [len(found) for found in asked.retrieve_batch([QUERY, "dog"], similarity_top_k=3)] == [3, 3]
        found = await asked.aretrieve_batch([QUERY], strategy=Nearest("bm25"))
        assert ranking(found[0]) == ranking(retriever(toy, strategy=Nearest("bm25")).retrieve(QUERY))
        assert asked.similarity_top_k == 2

    async def test_no_queries_make_no_request(self, counting: CountingClient) -> None:
        assert retriever(counting).retrieve_batch([]) == []
        assert await retriever(counting).aretrieve_batch([]) == []
        assert counting.calls == []


def test_the_plan_can_be_read(toy: QdrantClient) -> None:
    text = str(retriever(toy, strategy=STRATEGIES["hybrid"]).describe(similarity_top_k=7))
    assert "1 round trip" in text
    assert '"limit": 7' in text
    assert '"using": "bm25"' in text


def test_the_repr_shows_the_strategy_and_no_secret() -> None:
    client = QdrantClient(url="https://localhost:1", api_key="sesame", check_compatibility=False)
    asked = retriever(client, strategy=STRATEGIES["hybrid"])
    expected = "QdrantRerankRetriever('toy', strategy=Fusion.rrf().over(Nearest('dense'), Nearest('bm25')), similarity_top_k=2)"
    assert repr(asked) == expected
    assert "sesame" not in repr(vars(asked))
    client.close()


def test_sparse_encoders_may_take_a_text(toy: QdrantClient) -> None:
    expected = ranking(retriever(toy, strategy=Nearest("bm25")).retrieve(QUERY))
    assert ranking(retriever(toy, strategy=Nearest("bm25"), sparse_encoder=bm25).retrieve(QUERY)) == expected
