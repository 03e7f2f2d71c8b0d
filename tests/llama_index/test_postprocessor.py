"""The postprocessor ranks nodes that other retrievers found, on the server, in one request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from qdrant_client import QdrantClient, models

from llama_index_qdrant_rerank import ParamsQueryBundle, QdrantRerankPostprocessor, QdrantRerankRetriever
from llama_index_qdrant_rerank._internals import to_ranked_nodes
from qdrant_rerank import Formula, Fusion, Mmr, Nearest, QueryError, SearchOptions, StrategyError, field, param, score
from qdrant_rerank.errors import ClientError
from qdrant_rerank.expressions import raw
from tests.engines import open_client
from tests.llama_index.stores import QUERY as STORE_QUERY
from tests.llama_index.stores import TinyEmbedding, async_store, node_id, numbers, ranking, round_trips, store
from tests.support import COLLECTION, QUERY, CountingClient, bm25, colbert, dense, fill_toy

POPULARITY = Formula(field("popularity", default=0.0))


def postprocessor(of: QdrantClient, strategy: Any, **arguments: Any) -> QdrantRerankPostprocessor:
    settings: dict[str, Any] = {
        "client": of,
        "collection_name": COLLECTION,
        "encoders": {"dense": dense, "colbert": colbert, "bm25": bm25},
        **arguments,
    }
    return QdrantRerankPostprocessor(strategy, **settings)


def nodes(*ids: Any, scores: Any = None) -> list[NodeWithScore]:
    given = scores or [0.5] * len(ids)
    return [
        NodeWithScore(node=TextNode(id_=str(each), text=f"node {each}", metadata={"a": 1}), score=score)
        for each, score in zip(ids, given, strict=True)
    ]


def ids(found: list[NodeWithScore]) -> list[str]:
    return [each.node.node_id for each in found]


@pytest.fixture
def counting() -> Iterator[CountingClient]:
    client = CountingClient()
    fill_toy(client)
    yield client
    client.close()


async def both(of: QdrantRerankPostprocessor, given: list[NodeWithScore], **query: Any) -> list[NodeWithScore]:
    """The answer, which must be the same sync and async."""
    found = of.postprocess_nodes(given, **query)
    assert ranking(await of.apostprocess_nodes(given, **query)) == ranking(found)
    return found


class TestWhatTheScoreIs:
    async def test_score_is_the_similarity_that_qdrant_computes_anew(self, toy: QdrantClient) -> None:
        retriever = QdrantRerankRetriever(
            client=toy, collection_name=COLLECTION, encoders={"dense": dense}, payload="flat", similarity_top_k=24
        )
        similarity = dict(ranking(retriever.retrieve(QUERY)))
        found = await both(postprocessor(toy, Formula(2 * score())), nodes(3, 7, 5, 11), query_str=QUERY)
        expected = sorted(["3", "7", "5", "11"], key=lambda each: -(similarity[each] or 0))
        assert ids(found) == expected
        assert [each.score for each in found] == pytest.approx([2 * (similarity[each] or 0) for each in expected], abs=1e-6)

    async def test_using_names_the_vector_behind_score(self, toy: QdrantClient) -> None:
        own = postprocessor(toy, Nearest("colbert"))
        formula = postprocessor(toy, Formula(score()), using="colbert")
        given = nodes(3, 7, 5, 11)
        assert ids(await both(formula, given, query_str=QUERY)) == ids(await both(own, given, query_str=QUERY))

    async def test_late_interaction_over_the_nodes_is_maxsim_over_their_points(self, counting: CountingClient) -> None:
        found = await both(postprocessor(counting, Nearest("colbert")), nodes(3, 7, 5, 11), query_str=QUERY)
        only = models.Filter(must=[models.HasIdCondition(has_id=[3, 7, 5, 11])])
        expected = counting.query_points(COLLECTION, query=colbert(QUERY), using="colbert", query_filter=only).points
        assert ranking(found) == [(str(point.id), point.score) for point in expected]

    async def test_with_the_nodes_own_scores_score_is_what_they_came_with(self, toy: QdrantClient) -> None:
        own = postprocessor(toy, Formula(score() + 0.1 * field("popularity", default=0)), score_source="nodes")
        found = await both(own, nodes(1, 2, 3, 4, scores=[0.1, 9.0, 0.1, None]))
        expected = [("2", 9.3), ("4", 0.6), ("3", 0.55), ("1", 0.25)]
        assert ids(found) == [each for each, _ in expected]
        assert [each.score for each in found] == pytest.approx([value for _, value in expected], abs=1e-6)

    async def test_a_formula_that_reads_no_score_needs_no_query(self, counting: CountingClient) -> None:
        found = await both(postprocessor(counting, POPULARITY, encoders={}), nodes(3, 7, 5))
        assert ranking(found) == [("7", 10.5), ("5", 7.5), ("3", 4.5)]

    async def test_a_raw_score_is_a_score(self, toy: QdrantClient) -> None:
        strategy = Formula(raw(models.MultExpression(mult=["$score", 2.0])))
        given = nodes(3, 7, 5)
        expected = await both(postprocessor(toy, Formula(2 * score())), given, query_str=QUERY)
        assert ids(await both(postprocessor(toy, strategy), given, query_str=QUERY)) == ids(expected)

    @pytest.mark.parametrize(
        "strategy",
        [
            Fusion.rrf().over(Nearest("dense"), Nearest("bm25")),
            Fusion.rrf().over(Formula(score() + field("popularity", default=0)), Nearest("bm25")),
            Formula(score("dense") + score("colbert")).over(Nearest("dense"), Nearest("colbert")),
            Nearest("colbert").over(Nearest("dense")),
            Mmr("dense", diversity=0.9),
        ],
        ids=repr,
    )
    async def test_any_stage_ranks_the_nodes_and_nothing_else(self, toy: QdrantClient, strategy: Any) -> None:
        found = await both(postprocessor(toy, strategy), nodes(3, 7, 5, 11), query_str="fox night n3")
        assert sorted(map(int, ids(found))) == [3, 5, 7, 11]


class TestQueries:
    def test_features_come_from_the_postprocessor_and_before_them_from_the_bundle(self, toy: QdrantClient) -> None:
        strategy = Formula(param("weight") * field("popularity", default=0))
        own = postprocessor(toy, strategy, params={"weight": 2.0})
        assert own.postprocess_nodes(nodes(4))[0].score == 12.0
        bundle = ParamsQueryBundle("x", params={"weight": 3.0})
        assert own.postprocess_nodes(nodes(4), query_bundle=bundle)[0].score == 18.0

    def test_a_bundles_embedding_is_used(self, toy: QdrantClient) -> None:
        own = postprocessor(toy, Formula(score()), encoders={})
        expected = postprocessor(toy, Formula(score())).postprocess_nodes(nodes(3, 7, 5), query_str=QUERY)
        bundle = QueryBundle("x", embedding=dense(QUERY))
        assert ranking(own.postprocess_nodes(nodes(3, 7, 5), query_bundle=bundle)) == ranking(expected)

    async def test_without_a_query_a_strategy_that_compares_vectors_says_what_to_pass(self, toy: QdrantClient) -> None:
        own = postprocessor(toy, Nearest("colbert"))
        message = r"Nearest\('colbert'\) compares the query by 'colbert', and there is none: pass query_bundle or query_str"
        with pytest.raises(QueryError, match=message):
            own.postprocess_nodes(nodes(3))
        with pytest.raises(QueryError, match=message):
            await own.apostprocess_nodes(nodes(3))

    async def test_the_request_is_one_round_trip(self, counting: CountingClient) -> None:
        own = postprocessor(counting, Formula(score() + field("popularity", default=0)))
        own.postprocess_nodes(nodes(3, 7), query_str=QUERY)
        await own.apostprocess_nodes(nodes(3, 7), query_str=QUERY)
        round_trips(counting)
        own.postprocess_nodes(nodes(3, 7, 9), query_str=QUERY)
        await own.apostprocess_nodes(nodes(5), query_str=QUERY)
        assert round_trips(counting) == (0, 2)

    def test_qdrants_own_engine_agrees_with_local_mode(self, toy: QdrantClient, tmp_path: Any) -> None:
        pytest.importorskip("qdrant_edge")
        from qdrant_rerank.edge import EdgeClient

        engine: Any = fill_toy(EdgeClient(str(tmp_path)))
        strategies: list[tuple[Any, Any]] = [
            (POPULARITY, "qdrant"),
            (Formula(score() + field("popularity", default=0)), "qdrant"),
            (Formula(2 * score() + field("popularity", default=0)), "nodes"),
            (Nearest("colbert"), "qdrant"),
        ]
        for strategy, source in strategies:
            found, expected = (
                postprocessor(client, strategy, score_source=source).postprocess_nodes(nodes(3, 7, 99, "x"), query_str=QUERY)
                for client in (engine, toy)
            )
            assert ids(found) == ids(expected)
            assert [each.score for each in found[:2]] == pytest.approx([each.score for each in expected[:2]], abs=1e-5)
        engine.close()

    async def test_no_nodes_make_no_request(self, counting: CountingClient) -> None:
        assert await both(postprocessor(counting, POPULARITY), []) == []
        assert counting.calls == []


class TestMissingNodes:
    GIVEN = (3, 99, "not-an-id", 7, "00000000-0000-0000-0000-000000000001", "007")

    async def test_nodes_that_qdrant_doesnt_have_come_last_without_a_score(self, toy: QdrantClient) -> None:
        found = await both(postprocessor(toy, POPULARITY), nodes(*self.GIVEN))
        kept = [("99", None), ("not-an-id", None), (self.GIVEN[4], None), ("007", None)]
        assert ranking(found) == [("7", 10.5), ("3", 4.5), *kept]

    async def test_they_can_be_dropped(self, toy: QdrantClient) -> None:
        found = await both(postprocessor(toy, POPULARITY, missing="drop"), nodes(*self.GIVEN))
        assert ids(found) == ["7", "3"]

    async def test_they_can_be_an_error(self, toy: QdrantClient) -> None:
        own = postprocessor(toy, POPULARITY, missing="raise")
        assert len(own.postprocess_nodes(nodes(3, 7))) == 2
        message = "Qdrant has no score for 4 of 6 nodes, e.g. '99', 'not-an-id', .*: they aren't in the collection"
        with pytest.raises(QueryError, match=message):
            own.postprocess_nodes(nodes(*self.GIVEN))
        with pytest.raises(QueryError, match=message):
            await own.apostprocess_nodes(nodes(*self.GIVEN))

    async def test_nodes_of_which_no_point_can_be_make_no_request(self, counting: CountingClient) -> None:
        assert ranking(await both(postprocessor(counting, POPULARITY), nodes("a", "b"))) == [("a", None), ("b", None)]
        assert counting.calls == []

    def test_points_without_the_vector_are_missing(self) -> None:
        client = fill_toy(open_client())
        client.upsert(COLLECTION, [models.PointStruct(id=50, vector={"dense": dense("x")}, payload={})])
        found = postprocessor(client, Nearest("colbert")).postprocess_nodes(nodes(50, 3), query_str=QUERY)
        assert [each.score is None for each in found] == [False, True]
        assert ids(found) == ["3", "50"]

    async def test_with_drop_a_strategy_may_leave_nodes_out(self, toy: QdrantClient) -> None:
        strategy = Formula(field("popularity", default=0.0), score_threshold=5.0)
        found = await both(postprocessor(toy, strategy, missing="drop"), nodes(3, 7, 5))
        assert ids(found) == ["7", "5"]
        with pytest.raises(StrategyError, match="can't be told from nodes that Qdrant doesn't have: pass missing='drop'"):
            postprocessor(toy, strategy)


class TestNodes:
    async def test_the_nodes_that_come_in_arent_changed(self, toy: QdrantClient) -> None:
        given = nodes(3, 7, 99)
        before = [each.to_dict() for each in given]
        found = await both(postprocessor(toy, POPULARITY, keep_retrieval_score=True), given)
        assert [each.to_dict() for each in given] == before
        assert {id(each) for each in found}.isdisjoint(id(each) for each in given)
        assert {type(each.score) for each in found[:2]} == {float}
        assert [json.loads(each.to_json())["node"]["text"] for each in found] == ["node 7", "node 3", "node 99"]

    async def test_the_retrieval_score_can_be_kept_where_no_model_sees_it(self, toy: QdrantClient) -> None:
        found = await both(postprocessor(toy, POPULARITY, keep_retrieval_score=True), nodes(3, 7, scores=[0.25, None]))
        assert [each.metadata for each in found] == [{"a": 1, "retrieval_score": None}, {"a": 1, "retrieval_score": 0.25}]
        assert "retrieval_score" not in found[1].get_content(MetadataMode.LLM) + found[1].get_content(MetadataMode.EMBED)
        assert (await both(postprocessor(toy, POPULARITY), nodes(3)))[0].metadata == {"a": 1}

    async def test_top_n_cuts_after_ranking(self, toy: QdrantClient) -> None:
        own = postprocessor(toy, POPULARITY, top_n=2)
        assert ids(await both(own, nodes(3, 7, 5))) == ["7", "5"]
        assert ids(await both(own, nodes(3, 99, 98))) == ["3", "99"]
        own.top_n = 0
        with pytest.raises(QueryError, match="top_n must be a whole number of at least 1, or None for all, got 0"):
            own.postprocess_nodes(nodes(3))

    async def test_a_node_that_comes_twice_stays_twice(self, toy: QdrantClient) -> None:
        found = await both(postprocessor(toy, POPULARITY), nodes(3, 7, 3, 99, 99))
        assert ranking(found) == [("7", 10.5), ("3", 4.5), ("3", 4.5), ("99", None), ("99", None)]

    async def test_nodes_with_equal_scores_stay_in_the_order_they_came(self, toy: QdrantClient) -> None:
        own = postprocessor(toy, Formula(field("nothing", default=1.0)))
        for order in ([5, 9, 1, 7], [7, 1, 9, 5]):
            assert ids(await both(own, nodes(*order))) == [str(each) for each in order]

    def test_the_order_that_mmr_chose_stands_even_where_scores_are_equal(self) -> None:
        points = [models.ScoredPoint(id=number, version=0, score=0.5) for number in (5, 1, 3)]

        def order(strategy: Any) -> list[str]:
            return ids(to_ranked_nodes(nodes(1, 3, 5), points, strategy, "drop", False))

        assert (order(Mmr("dense")), order(Nearest("dense"))) == (["5", "1", "3"], ["1", "3", "5"])

    async def test_more_nodes_than_a_candidate_stage_fetches_by_default_are_all_ranked(self) -> None:
        client = open_client()
        client.create_collection(
            COLLECTION, vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)}
        )
        many = list(range(150))
        client.upsert(COLLECTION, [models.PointStruct(id=i, vector={"dense": dense(str(i))}, payload={"n": i}) for i in many])
        own = postprocessor(client, Formula(0 * score() + field("n", default=0.0)))
        assert ids(await both(own, nodes(*many), query_str=QUERY)) == [str(each) for each in reversed(many)]

    def test_a_uuid_is_known_in_every_way_of_writing_it(self) -> None:
        its = store()
        own = QdrantRerankPostprocessor.from_vector_store(its, strategy=POPULARITY)
        spelt = [node_id(3).replace("-", ""), node_id(5).upper(), f"urn:uuid:{node_id(4)}"]
        assert ids(own.postprocess_nodes(nodes(*spelt))) == [spelt[1], spelt[2], spelt[0]]


class TestStores:
    @pytest.mark.parametrize("hybrid", [False, True])
    async def test_a_llama_index_store_is_enough(self, hybrid: bool) -> None:
        its = store(hybrid=hybrid)
        found = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding(), similarity_top_k=6).retrieve(STORE_QUERY)
        strategy = Formula(score() + 100 * field("popularity", default=0))
        own = QdrantRerankPostprocessor.from_vector_store(its, strategy=strategy, embed_model=TinyEmbedding(), top_n=4)
        assert numbers(await both(own, found, query_str=STORE_QUERY)) == sorted(numbers(found), key=lambda n: -(n % 7))[:4]

    async def test_a_store_with_only_an_async_client_serves_async_calls(self) -> None:
        own = QdrantRerankPostprocessor.from_vector_store(await async_store(), strategy=POPULARITY)
        given = nodes(node_id(2), node_id(4))
        assert numbers(await own.apostprocess_nodes(given)) == [4, 2]
        with pytest.raises(ClientError, match="there is only an async client"):
            own.postprocess_nodes(given)


class TestAsComponent:
    def test_it_survives_a_dict_and_json_without_secrets(self) -> None:
        client = QdrantClient(url="https://localhost:1", api_key="sesame", check_compatibility=False)
        options = SearchOptions(search_params=models.SearchParams(exact=True), consistency=2)
        own = postprocessor(client, Formula(score() + param("w")), top_n=3, params={"w": 1.0}, using="dense", options=options)
        for text in (own.to_json(), str(own.to_dict()), repr(own), str(own), own.model_dump_json()):
            assert "sesame" not in text
            assert "toy" in text
        again = QdrantRerankPostprocessor.from_json(own.to_json(), client=client)
        assert again.to_dict() == own.to_dict()
        assert (again.strategy, again.options) == (own.strategy, options)
        assert own.to_dict()["class_name"] == own.class_name() == "QdrantRerankPostprocessor"
        client.close()

    def test_a_strategy_set_later_is_used(self, toy: QdrantClient) -> None:
        own = postprocessor(toy, POPULARITY)
        assert ids(own.postprocess_nodes(nodes(3, 7))) == ["7", "3"]
        own.strategy = Formula(-1 * field("popularity", default=0.0))
        assert ids(own.postprocess_nodes(nodes(3, 7))) == ["3", "7"]
        for deep in (False, True):
            copied = own.model_copy(update={"strategy": POPULARITY}, deep=deep)
            assert ids(copied.postprocess_nodes(nodes(3, 7))) == ["7", "3"]


@pytest.mark.parametrize(
    ("strategy", "arguments", "message"),
    [
        ("Nearest()", {}, r"strategy must be one that Qdrant runs by itself, such as .*, got 'Nearest\(\)'"),
        (POPULARITY, {"top_n": 0}, "top_n must be a whole number of at least 1, or None for all, got 0"),
        (POPULARITY, {"missing": "keep"}, "missing must be 'keep_at_end', 'drop' or 'raise', got 'keep'"),
        (POPULARITY, {"score_source": "node"}, "score_source must be 'qdrant' or 'nodes', got 'node'"),
        (POPULARITY, {"score_source": "nodes"}, r"score_source='nodes' has no effect: .* reads score\(\)"),
        (Formula(score("dense")), {"score_source": "nodes"}, r"there is one score, without a name: write score\(\)"),
        (POPULARITY, {"using": "dense"}, "using='dense' has no effect"),
        (Nearest("colbert"), {"using": "dense"}, "using='dense' has no effect"),
        (POPULARITY, {"collection_name": ""}, "collection_name must be the name of a collection, got ''"),
        (POPULARITY, {"client": None}, "a Qdrant client is needed"),
        (None, {}, "strategy must be one that Qdrant runs by itself, .*, got None"),
        (POPULARITY, {"options": SearchOptions(limit=3)}, "limit has an argument of its own: pass top_n=… instead"),
        (POPULARITY, {"options": SearchOptions(group_by="a")}, "group_by has no effect here"),
    ],
)
def test_arguments_that_cant_be_are_refused_at_once(toy: QdrantClient, strategy: Any, arguments: Any, message: str) -> None:
    with pytest.raises((StrategyError, QueryError, ClientError), match=message):
        postprocessor(toy, strategy, **arguments)


def test_an_unknown_argument_is_refused(toy: QdrantClient) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'top_k'"):
        postprocessor(toy, POPULARITY, top_k=3)


def test_a_vector_that_isnt_there_is_named(toy: QdrantClient) -> None:
    with pytest.raises(ValueError, match=r"no vector named 'colbret'.*did you mean 'colbert'\?"):
        postprocessor(toy, Nearest("colbret")).postprocess_nodes(nodes(3), query_str=QUERY)


def test_a_payload_key_without_a_default_is_named_with_a_point_that_lacks_it(toy: QdrantClient) -> None:
    own = postprocessor(toy, Formula(field("rating")))
    with pytest.raises(ValueError, match=r"reads 'rating' without a default, but e.g. point 4 of 'toy' has no such payload"):
        own.postprocess_nodes(nodes(3, 4))
    assert len(own.postprocess_nodes(nodes(1, 2))) == 2


@pytest.mark.engines("local", reason="about local mode's own words, answers or warnings")
def test_many_scores_of_nodes_are_refused_by_local_mode_which_would_take_minutes(toy: QdrantClient) -> None:
    own = postprocessor(toy, Formula(score()), score_source="nodes")
    with pytest.raises(QueryError, match="local mode takes seconds for 101 of them: use a server, or rescore at most 100"):
        own.postprocess_nodes(nodes(*range(101)))
