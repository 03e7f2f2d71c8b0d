"""What the frameworks' own vector stores call is there, and answers as in local mode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langchain_qdrant import QdrantVectorStore as LangchainStore
from langchain_qdrant import RetrievalMode, SparseEmbeddings, SparseVector
from llama_index.core.schema import BaseNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import QdrantClient, models

from qdrant_rerank.edge import AsyncEdgeClient, EdgeClient
from qdrant_rerank.errors import EngineError
from tests.edge.test_adapters import Words
from tests.engines import current, open_client
from tests.support import dense

TEXTS = [f"text {number} of {'foxes' if number % 3 else 'dogs'} {'and more' * (number % 4)}" for number in range(12)]
IDS = [str(UUID(int=number + 1)) for number in range(12)]


class Letters(SparseEmbeddings):
    """How often each letter is in a text."""

    def embed_query(self, text: str) -> SparseVector:
        letters = sorted(set(text))
        return SparseVector(indices=[ord(one) for one in letters], values=[float(text.count(one)) for one in letters])

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[tuple[QdrantClient, QdrantClient]]:
    with EdgeClient(tmp_path) as edge:
        yield edge, open_client()


@pytest.mark.parametrize("mode", RetrievalMode)
def test_langchain_s_store_does_all_it_can(clients: tuple[QdrantClient, QdrantClient], mode: RetrievalMode) -> None:
    answers = []
    for client in clients:
        client.create_collection(
            "store",
            {"d": models.VectorParams(size=4, distance=models.Distance.COSINE)},
            sparse_vectors_config={"s": models.SparseVectorParams()},
        )
        store = LangchainStore(
            client,
            "store",
            Words(),
            retrieval_mode=mode,
            vector_name="d",
            sparse_embedding=Letters(),
            sparse_vector_name="s",
        )
        assert store.add_texts(TEXTS, [{"number": number} for number in range(12)], IDS, batch_size=5) == IDS
        assert store.delete([*IDS[:2]])
        few = models.Filter(must=[models.FieldCondition(key="metadata.number", range=models.Range(lt=8))])
        found: list[Any] = [
            store.similarity_search(TEXTS[5], 3),
            store.similarity_search(TEXTS[5], 3, filter=few),
            store.get_by_ids([IDS[3], IDS[0]]),
        ]
        scored = store.similarity_search_with_score(TEXTS[5], 4, filter=few)
        found.append([document for document, _ in scored])
        if mode != RetrievalMode.SPARSE:
            found += [
                store.max_marginal_relevance_search(TEXTS[5], 3, fetch_k=8, lambda_mult=0.3),
                store.similarity_search_by_vector(dense(TEXTS[4]), 2),
                [document for document, _ in store.similarity_search_with_score_by_vector(dense(TEXTS[4]), 2)],
            ]
        if mode == RetrievalMode.HYBRID:  # points of equal rank come in any order
            found = [len(documents) for documents in found]
        answers.append((found, [score for _, score in scored]))
        in_process = isinstance(client, EdgeClient) or current().kind == "local"  # a server's errors are of other kinds
        with pytest.raises(
            ValueError if in_process else Exception, match="Collection nowhere not found" if in_process else "nowhere"
        ):
            LangchainStore(client, "nowhere", Words())
    assert answers[0][0] == answers[1][0]
    assert answers[0][1] == pytest.approx(answers[1][1], abs=1e-6)


def nodes() -> list[BaseNode]:
    return [
        TextNode(
            id_=IDS[number],
            text=text,
            metadata={"number": number, "kind": ["odd", "even"][number % 2]},
            embedding=dense(text),
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document {number // 3}")},
        )
        for number, text in enumerate(TEXTS)
    ]


def sparse(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
    made = Letters().embed_documents(texts)
    return [one.indices for one in made], [one.values for one in made]


ODD = MetadataFilters(
    filters=[MetadataFilter(key="kind", value="odd"), MetadataFilter(key="number", value=9, operator=FilterOperator.LT)]
)


def queries(hybrid: bool) -> list[VectorStoreQuery]:
    common: dict[str, Any] = {"query_embedding": dense(TEXTS[5]), "query_str": TEXTS[5], "similarity_top_k": 3}
    found = [
        VectorStoreQuery(**common),
        VectorStoreQuery(**common, filters=ODD),
        VectorStoreQuery(**common, node_ids=IDS[4:9]),
        VectorStoreQuery(**common, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.4),
    ]
    if hybrid:
        found += [
            VectorStoreQuery(**common, mode=VectorStoreQueryMode.HYBRID, sparse_top_k=5, alpha=0.4),
            VectorStoreQuery(**common, mode=VectorStoreQueryMode.SPARSE, sparse_top_k=5),
        ]
    return found


def told(result: Any) -> list[Any]:
    return [(node.node_id, node.metadata) for node in result.nodes]


@pytest.mark.parametrize("hybrid", [False, True])
def test_llamaindex_s_store_does_all_it_can(clients: tuple[QdrantClient, QdrantClient], hybrid: bool) -> None:
    answers = []
    for client in clients:
        options: dict[str, Any] = {"enable_hybrid": True, "sparse_doc_fn": sparse, "sparse_query_fn": sparse} if hybrid else {}
        store = LlamaIndexStore("nodes", client=client, **options)
        assert store.add(nodes()) == IDS
        store.delete("document 0")
        store.delete_nodes(IDS[3:4])
        store.delete_nodes(filters=MetadataFilters(filters=[MetadataFilter(key="number", value=11)]))
        found: list[Any] = [told(store.query(query)) for query in queries(hybrid)]
        found.append(sorted(node.node_id for node in store.get_nodes(IDS[:6])))
        found.append(sorted(node.node_id for node in store.get_nodes(filters=ODD)))
        again = LlamaIndexStore("nodes", client=client, **options)
        assert again.add(nodes()[:1]) == IDS[:1]
        again._create_collection("nodes", 4)  # "already exists" is what it passes over
        store.clear()
        answers.append(found)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("hybrid", [False, True])
async def test_llamaindex_s_store_does_the_same_awaited(tmp_path: Path, hybrid: bool) -> None:
    options: dict[str, Any] = {"enable_hybrid": True, "sparse_doc_fn": sparse, "sparse_query_fn": sparse} if hybrid else {}
    with EdgeClient(tmp_path) as client:
        awaited = AsyncEdgeClient(client)
        store = LlamaIndexStore("nodes", client=client, aclient=awaited, **options)
        assert await store.async_add(nodes()) == IDS
        await store.adelete("document 0")
        await store.adelete_nodes(IDS[3:4])
        for query in queries(hybrid):
            assert told(await store.aquery(query)) == told(store.query(query))
        assert [node.node_id for node in await store.aget_nodes(IDS[:6])] == [node.node_id for node in store.get_nodes(IDS[:6])]
        alone = LlamaIndexStore("nodes", aclient=awaited, **options)
        assert told(await alone.aquery(queries(False)[0])) == told(store.query(queries(False)[0]))
        await asyncio.gather(*(store.aquery(query) for query in queries(hybrid) * 5))
        await store.aclear()
        with pytest.raises(EngineError, match="Collection nodes not found"):
            client.count("nodes")
        await awaited.close()
