"""Stores that LlamaIndex filled are searched with nothing but `from_vector_store` or `from_index`."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core import Settings, StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from qdrant_client import models

from llama_index_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Formula, Fusion, Nearest, StrategyError, field, score
from qdrant_rerank.errors import ClientError
from tests.engines import current, open_async_client, open_client
from tests.llama_index.stores import (
    COLLECTION,
    QUERY,
    TinyEmbedding,
    async_store,
    contents,
    hybrid_arguments,
    node_id,
    nodes,
    numbers,
    ranking,
    sparse,
    store,
)
from tests.support import dense


def own_query(of: QdrantVectorStore, mode: VectorStoreQueryMode = VectorStoreQueryMode.DEFAULT, limit: int = 5) -> Any:
    """What the store itself answers."""
    query = VectorStoreQuery(query_embedding=dense(QUERY), query_str=QUERY, similarity_top_k=limit, mode=mode)
    return of.query(query)


async def test_a_plain_store_gives_the_nodes_that_its_own_query_gives() -> None:
    its = store()
    retriever = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding(), similarity_top_k=5)
    found = retriever.retrieve(QUERY)
    expected = own_query(its)
    assert contents(found) == [each.to_dict() for each in expected.nodes]
    assert ranking(found) == list(zip(expected.ids, expected.similarities, strict=True))
    assert ranking(await retriever.aretrieve(QUERY)) == ranking(found)
    assert {type(each.score) for each in found} == {float}


async def test_a_hybrid_store_is_searched_by_both_vectors_and_gives_the_same_nodes() -> None:
    its = store(hybrid=True)
    retriever = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding(), similarity_top_k=8)
    found = retriever.retrieve(QUERY)
    expected = {each.node_id: each.to_dict() for each in own_query(its, VectorStoreQueryMode.HYBRID, 8).nodes}
    assert {each.node.node_id: each.node.to_dict() for each in found} == expected
    assert 0 in numbers(found)[:2]  # the only one with all three words; five others tie by words, in any order on a server
    again = await retriever.aretrieve(QUERY)
    assert sorted(numbers(again)) == sorted(numbers(found))
    if current().kind == "local":
        assert ranking(again) == ranking(found)
    assert {each.node.node_id: each.node.to_dict() for each in again} == expected
    assert retriever.strategy == Fusion.rrf().over(Nearest("text-dense"), Nearest("text-sparse-new"))
    assert "Fusion.rrf().over(Nearest('text-dense'), Nearest('text-sparse-new'))" in str(retriever.describe())


def test_each_candidate_of_a_hybrid_store_alone_is_the_stores_own_dense_and_sparse_query() -> None:
    its = store(hybrid=True)
    retriever = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding(), similarity_top_k=3)
    for strategy, mode in (
        (Nearest("text-dense"), VectorStoreQueryMode.DEFAULT),
        (Nearest("text-sparse-new"), VectorStoreQueryMode.SPARSE),
    ):
        expected = own_query(its, mode, 3)
        found = retriever.with_options(strategy=strategy).retrieve(QUERY)
        assert ranking(found) == list(zip(expected.ids, expected.similarities, strict=True))


@pytest.mark.parametrize("hybrid", [False, True])
async def test_a_store_with_only_an_async_client_is_searched_before_its_own_first_query(hybrid: bool) -> None:
    its = await async_store(hybrid)
    retriever = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding(), similarity_top_k=8)
    found = await retriever.aretrieve(QUERY)
    query = VectorStoreQuery(query_embedding=dense(QUERY), similarity_top_k=8)
    expected = {each.node_id: each.to_dict() for each in (await its.aquery(query)).nodes or []}
    assert {each.node.node_id: each.node.to_dict() for each in found} == expected
    again = await retriever.aretrieve(QUERY)  # the store has learnt its names by now
    assert ranking(again) == ranking(found)
    assert {each.node.node_id: each.node.to_dict() for each in again} == expected
    with pytest.raises(ClientError, match="a sync call, but there is only an async client"):
        retriever.retrieve(QUERY)


def test_names_are_read_late_so_the_collection_may_be_made_after_the_retriever() -> None:
    its = QdrantVectorStore(COLLECTION, client=open_client())
    retriever = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding())
    assert its.dense_vector_name == "text-dense"
    its.add(nodes())
    assert its.dense_vector_name == ""
    assert len(retriever.retrieve(QUERY)) == 2


def test_a_collection_with_the_old_name_of_the_sparse_vector_is_found() -> None:
    client = open_client()
    client.create_collection(
        COLLECTION,
        vectors_config={"text-dense": models.VectorParams(size=4, distance=models.Distance.COSINE)},
        sparse_vectors_config={"text-sparse": models.SparseVectorParams()},
    )
    its = QdrantVectorStore(COLLECTION, client=client, **hybrid_arguments(True))
    its.add(nodes())
    its.sparse_vector_name = "text-sparse-new"  # as in a store with only an async client, before its first query
    retriever = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding(), similarity_top_k=3)
    assert 0 in numbers(retriever.retrieve(QUERY))  # the only one with all three words; those with one tie, in any order
    assert "Fusion.rrf().over(Nearest('text-dense'), Nearest('text-sparse'))" in str(retriever.describe())


def test_a_sparse_function_set_later_is_used() -> None:
    its = store(hybrid=True)
    retriever = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding(), strategy=Nearest("text-sparse-new"))
    its.set_query_functions(sparse_query_fn=lambda texts: sparse(["lazy"] * len(texts)))
    assert numbers(retriever.retrieve(QUERY)) == [1]


def test_a_sparse_encoder_given_goes_before_the_stores() -> None:
    retriever = QdrantRerankRetriever.from_vector_store(
        store(hybrid=True),
        TinyEmbedding(),
        strategy=Nearest("text-sparse-new"),
        sparse_encoder=lambda texts: sparse(["lazy"] * len(texts)),
    )
    assert numbers(retriever.retrieve(QUERY)) == [1]


def test_the_payload_of_a_llama_index_store_is_read_by_formulas_at_the_root() -> None:
    strategy = Formula(score() + 100 * field("popularity", default=0)).over(Nearest(limit=8))
    retriever = QdrantRerankRetriever.from_vector_store(store(), TinyEmbedding(), strategy=strategy, similarity_top_k=3)
    assert numbers(retriever.retrieve(QUERY)) == [6, 5, 4]


@pytest.mark.parametrize("hybrid", [False, True])
async def test_an_index_is_searched_with_its_own_embedding_model(hybrid: bool) -> None:
    client = open_client()
    its = QdrantVectorStore(COLLECTION, client=client, **hybrid_arguments(hybrid))
    # without the index node, since beside one LlamaIndex's own retriever finds nothing else
    storage = StorageContext.from_defaults(vector_store=its)
    index = VectorStoreIndex(nodes()[:7], storage_context=storage, embed_model=TinyEmbedding())
    retriever = QdrantRerankRetriever.from_index(index, similarity_top_k=3)
    own = index.as_retriever(similarity_top_k=8).retrieve(QUERY)
    found = retriever.retrieve(QUERY)
    by_id = {each.node.node_id: each.node.to_dict() for each in own}
    assert [by_id[each.node.node_id] for each in found] == contents(found)
    assert ranking(await retriever.aretrieve(QUERY)) == ranking(found)
    if not hybrid:
        assert ranking(found) == ranking(own)[:3]


def test_an_indexs_objects_are_entered_as_its_own_retriever_does() -> None:
    its = store()
    index = VectorStoreIndex.from_vector_store(its, embed_model=TinyEmbedding())
    target = TextNode(text="what the pointer leads to")
    index._object_map = {"more": target}
    found = QdrantRerankRetriever.from_index(index, similarity_top_k=8).retrieve(QUERY)
    assert target.node_id in [each.node.node_id for each in found]
    assert node_id(7) not in [each.node.node_id for each in found]


def test_without_an_embedding_model_the_settings_one_is_used_at_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = QdrantRerankRetriever.from_vector_store(store())
    model = TinyEmbedding()
    monkeypatch.setattr(Settings, "_embed_model", model)
    retriever.retrieve(QUERY)
    assert model.asked == [f"query {QUERY}"]


def test_no_embedding_model_is_looked_up_where_no_dense_vector_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_embed_model", None)  # looking it up would want OpenAI's package
    retriever = QdrantRerankRetriever.from_vector_store(store(hybrid=True), strategy=Nearest("text-sparse-new"))
    assert numbers(retriever.retrieve(QUERY))[0] == 0


class DuckStore:
    """Has the attributes of a store, and nothing of its package."""

    def __init__(self, client: Any = None, aclient: Any = None) -> None:
        self.client = client
        self.aclient = aclient
        self.collection_name = COLLECTION


async def test_a_store_is_known_by_its_attributes() -> None:
    retriever = QdrantRerankRetriever.from_vector_store(DuckStore(store().client), TinyEmbedding(), similarity_top_k=3)
    assert len(retriever.retrieve(QUERY)) == 3
    aclient = open_async_client()
    await QdrantVectorStore(COLLECTION, aclient=aclient).async_add(nodes())
    found = await QdrantRerankRetriever.from_vector_store(DuckStore(aclient=aclient), TinyEmbedding()).aretrieve(QUERY)
    assert len(found) == 2


def test_what_isnt_a_qdrant_store_is_refused() -> None:
    index = VectorStoreIndex([], embed_model=TinyEmbedding())
    with pytest.raises(StrategyError, match=r"vector_store must be LlamaIndex's QdrantVectorStore, got SimpleVectorStore"):
        QdrantRerankRetriever.from_index(index)
    with pytest.raises(StrategyError, match="index must be a VectorStoreIndex, got dict, which has no vector_store"):
        QdrantRerankRetriever.from_index({})
    with pytest.raises(ClientError, match="a Qdrant client is needed"):
        QdrantRerankRetriever.from_vector_store(DuckStore())
    with pytest.raises(StrategyError, match="a vector_store brings its client and collection_name: pass the one or the others"):
        QdrantRerankRetriever.from_vector_store(store(), collection_name="other")


def test_langchain_s_store_is_refused() -> None:
    class Store:
        client, collection_name, content_payload_key = open_client(), "docs", "page_content"

    with pytest.raises(StrategyError, match=r"vector_store is LangChain's QdrantVectorStore: pass its client= and"):
        QdrantRerankRetriever.from_vector_store(Store())
