"""What is wrong, what there is, what to do: the messages that users of the retriever read."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from pydantic import ValidationError
from qdrant_client import models

from qdrant_rerank import (
    Formula,
    Fusion,
    Mmr,
    Nearest,
    PlanError,
    PlanWarning,
    Query,
    QueryError,
    SearchOptions,
    StrategyError,
    field,
    param,
    score,
)
from qdrant_rerank.errors import ClientError
from tests.engines import open_async_client, open_client
from tests.langchain.support import CANDIDATES, QUERY, WordEmbeddings, WordSparse, fill_docs, make, must
from tests.support import create_toy, dense


def test_an_unknown_vector_is_named_with_what_is_meant() -> None:
    with pytest.raises(PlanError) as caught:
        make(strategy=Nearest("colbret").over(Nearest("dense"))).invoke(QUERY)
    assert "no vector named 'colbret'; the collection 'docs' has 'dense' (dense 4-d, Cosine)," in str(caught.value)
    assert str(caught.value).endswith("did you mean 'colbert'?")


def test_a_misspelt_param_is_told_where_the_retriever_has_the_right_one() -> None:
    retriever = make(strategy=Formula(score() * param("boost")).over(Nearest("dense")), params={"boost": 1.0})
    said = r"reads no request-time value 'bost'; it reads: 'boost': did you mean 'boost'\?"
    with pytest.raises(QueryError, match=said):
        retriever.invoke(QUERY, params={"bost": 2.0})
    with pytest.raises(QueryError, match=said):
        retriever.search_with_scores(Query(QUERY, params={"bost": 2.0}))
    for wrong in ("x", 3, [("boost", 2.0)]):
        with pytest.raises(QueryError, match="params= is a map of name to value"):
            retriever.invoke(QUERY, params=wrong)
    assert retriever.invoke(QUERY, params={"boost": 2.0, "user": 3})


def test_a_field_of_search_options_with_an_argument_of_its_own_is_told_by_that() -> None:
    with pytest.raises(TypeError, match=r"no option 'limit'; .*: pass k=…$"):
        make().invoke(QUERY, limit=2)
    with pytest.raises(TypeError, match=r"no option 'group_by'; .*: pass options=SearchOptions\(group_by=…\)$"):
        make().invoke(QUERY, group_by="x")
    with pytest.raises(ValidationError, match=r"has no field 'limit'; .*: pass k=…"):
        make(limit=2)


def test_every_problem_is_listed_at_once() -> None:
    strategy = Fusion.rrf().over(Nearest("dence"), Nearest("bm52"), Mmr("bm25"))
    with pytest.raises(PlanError) as caught:
        make(strategy=strategy).invoke(QUERY)
    assert len(caught.value.problems) == 3


async def test_a_strategy_that_does_not_fit_is_refused_under_async_too() -> None:
    with pytest.raises(PlanError, match=r"did you mean 'colbert'"):
        await make(strategy=Nearest("colbret")).ainvoke(QUERY)


def test_a_dense_vector_for_a_sparse_one_is_refused() -> None:
    retriever = make(strategy=Nearest("bm25"), encoders={"bm25": WordEmbeddings()})
    with pytest.raises(QueryError, match=r"the vector 'bm25' is sparse: .* got a list of 4 \(float\); is a dense embedding"):
        retriever.invoke(QUERY)


def test_a_sparse_vector_for_a_dense_one_is_refused() -> None:
    retriever = make(strategy=Nearest("dense"), encoders={"dense": WordSparse()})
    with pytest.raises(QueryError, match=r"the vector 'dense' is dense 4-d.* must bring a list of numbers"):
        retriever.invoke(QUERY)


def test_an_embedding_of_the_wrong_dimension_is_refused() -> None:
    retriever = make(embedding=DeterministicFakeEmbedding(size=8))
    with pytest.raises(QueryError, match=r"'dense' has 4 dimensions, the query's has 8: is this the embedding model"):
        retriever.invoke(QUERY)


def test_a_vector_without_anything_to_embed_it_is_named() -> None:
    with pytest.raises(QueryError, match=r"nothing to embed the query with for the multi vector 'colbert': pass encoders="):
        make(strategy=Nearest("colbert"), encoders={}).invoke(QUERY)


def test_a_collection_with_several_dense_vectors_or_none_needs_a_name() -> None:
    client = open_client()
    two = {name: models.VectorParams(size=2, distance=models.Distance.DOT) for name in ("title", "body")}
    client.create_collection("two", vectors_config=two)
    client.upsert("two", [models.PointStruct(id=1, vector={"title": [1.0, 0.0]})])
    with pytest.raises(PlanError, match=r"means the only dense vector, but the collection 'two' has 'body'.*write Nearest"):
        make(client=client, collection_name="two").invoke(QUERY)


def test_a_payload_key_that_a_candidate_lacks_is_named_with_the_default_to_give() -> None:
    strategy = Formula(score() + field("metadata.raiting")).over(Nearest("dense"))
    with pytest.raises(PlanError, match=r"reads 'metadata.raiting' without a default.*give field\('metadata.raiting', default"):
        make(strategy=strategy).invoke(QUERY)


def test_a_request_time_value_that_is_missing_is_named() -> None:
    strategy = Formula(score() + param("budget")).over(Nearest("dense"))
    with pytest.raises(QueryError, match=r"budget"):
        make(strategy=strategy).invoke(QUERY)


def test_fewer_candidates_than_k_are_refused() -> None:
    strategy = Formula(score()).over(Nearest("dense", limit=3))
    with pytest.raises(PlanError, match=r"asks for 5 points, but the candidates of Formula hand on 3: raise the limit"):
        make(strategy=strategy).invoke(QUERY, k=5)


def test_weights_that_are_not_one_for_each_candidate_are_refused() -> None:
    with pytest.raises(StrategyError, match=r"rrf has 3 weights for 2 candidates: give one for each"):
        Fusion.rrf(weights=[1, 1, 1]).over(*CANDIDATES)


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_an_empty_query_is_refused(text: str) -> None:
    retriever = make()
    with pytest.raises(QueryError, match=r"the query's text is empty .*: there is nothing to embed for 'dense'"):
        retriever.invoke(text)
    with pytest.raises(QueryError, match=r"the query's text is empty"):
        await retriever.ainvoke(text)


def test_a_query_that_is_no_text_is_refused() -> None:
    with pytest.raises(QueryError, match=r"a query must be a text, got dict {'question': 'why'}"):
        make().invoke({"question": "why"})  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [0, -1, 2.5, "4", True])
async def test_a_k_that_can_not_be_is_refused_by_name(k: Any) -> None:
    message = rf"k must be a whole number of at least 1, got {k!r}"
    with pytest.raises(ValidationError, match=message):
        make(k=k)
    retriever = make()
    with pytest.raises(QueryError, match=message):
        retriever.invoke(QUERY, k=k)
    with pytest.raises(QueryError, match=message):
        await retriever.ainvoke(QUERY, k=k)


@pytest.mark.parametrize("filter", [{"category": "news"}, {"must": []}, "news", [must("category", "news")]])
def test_a_filter_that_is_none_is_refused(filter: Any) -> None:
    message = r"filter must be a qdrant_client.models.Filter, got .*; e.g. models.Filter\(must="
    with pytest.raises(ValidationError, match=message):
        make(filter=filter)
    with pytest.raises(QueryError, match=message):
        make().invoke(QUERY, filter=filter)
    with pytest.raises(QueryError, match=message):
        make(filter=must("category", "news")).invoke(QUERY, filter=filter)


async def test_an_unknown_option_of_a_call_is_refused_with_what_there_is() -> None:
    retriever = make()
    message = r"a call has no option 'filtre'; it takes k, filter, score_threshold, .*, verbose: did you mean 'filter'\?"
    with pytest.raises(TypeError, match=message):
        retriever.invoke(QUERY, filtre=must("category", "news"))
    with pytest.raises(TypeError, match=message):
        await retriever.ainvoke(QUERY, filtre=None)
    with pytest.raises(TypeError, match=message):
        retriever.search_batch([QUERY], filtre=None)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=message):
        await retriever.asearch_batch([QUERY], filtre=None)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=message):
        retriever.bind(filtre=None).invoke(QUERY)


def test_a_collection_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(PlanError, match=r"there is no collection 'dosc'; this Qdrant has 'docs': did you mean 'docs'\?"):
        make(collection_name="dosc").invoke(QUERY)


async def test_an_empty_collection_finds_nothing_and_warns() -> None:
    client = open_client()
    create_toy(client, "empty")
    retriever = make(client=client, collection_name="empty")
    with pytest.warns(PlanWarning, match=r"the collection 'empty' is empty: there is nothing to find"):
        assert retriever.invoke(QUERY) == []
    with pytest.warns(PlanWarning, match=r"is empty"):
        assert await retriever.ainvoke(QUERY) == []


def test_a_collection_that_is_filled_later_is_searched() -> None:
    client = open_client()
    create_toy(client, "later")
    retriever = make(client=client, collection_name="later")
    with pytest.warns(PlanWarning):
        retriever.invoke(QUERY)
    client.delete_collection("later")
    fill_docs(client, "later")
    assert len(retriever.invoke(QUERY)) == 4


async def test_only_an_async_client_in_a_sync_call_is_refused_with_what_to_do() -> None:
    retriever = make(client=None, async_client=open_async_client())
    with pytest.raises(ClientError, match=r"only an async client: await the async method .ainvoke, .* or pass client="):
        retriever.invoke(QUERY)


def test_a_strategy_of_the_wrong_kind_in_a_call_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"not a strategy: 'dense'; e.g. Nearest"):
        make().invoke(QUERY, strategy="dense")


def test_group_size_without_group_by_is_refused() -> None:
    with pytest.raises(QueryError, match=r"group_size has no effect without group_by"):
        make().invoke(QUERY, options=SearchOptions(group_size=3))


def test_offset_with_group_by_is_refused() -> None:
    with pytest.raises(PlanError, match=r"offset can't be combined with group_by"):
        make().invoke(QUERY, offset=2, options=SearchOptions(group_by="metadata.doc"))


def test_a_vector_for_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(QueryError, match=r"'dence'.*did you mean 'dense'"):
        make().invoke(QUERY, vectors={"dence": dense(QUERY)})
