"""Each row of the tables of docs/coming-from is run, both sides; unless it says "other results", both find the same."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import llama_index.core.schema
import pytest
from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.tools import create_retriever_tool
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from llama_index.core import VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexStore
from qdrant_client import QdrantClient, models

import langchain_qdrant_rerank
import llama_index_qdrant_rerank
from qdrant_rerank import Query, SearchOptions
from qdrant_rerank.models import Bm25
from tests.support import public_names

from . import worlds
from .blocks import ROOT

PAGES = ("langchain-qdrant", "llama-index", "by-hand")
_ROW = re.compile(r"^\| (`.+?`) \| (`.+?`) \| (.*?) ?\|$", re.M)
_QUESTION = "bikes on the night train"


def rows(page: str) -> list[tuple[str, str, str]]:
    text = (ROOT / "docs" / "coming-from" / f"{page}.md").read_text("utf-8")
    return [(before.strip("`"), after.strip("`"), differs) for before, after, differs in _ROW.findall(text)]


class Words(SparseEmbeddings):
    """BM25 as langchain-qdrant takes it."""

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return [SparseVector(indices=each.indices, values=each.values) for each in Bm25().encode_documents(texts)]

    def embed_query(self, text: str) -> SparseVector:
        found = Bm25().encode_query(text)
        return SparseVector(indices=found.indices, values=found.values)


class WordsFirst(BaseDocumentCompressor):
    """A LangChain reranker."""

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Callbacks = None) -> list[Document]:
        scores = worlds.shared_words(query, [each.page_content for each in documents])
        best = sorted(zip(scores, documents, strict=True), key=lambda pair: -pair[0])
        return [Document(each.page_content, metadata={**each.metadata, "relevance_score": score}) for score, each in best]


class NodesOfWordsFirst(BaseNodePostprocessor):
    """A LlamaIndex reranker."""

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        scores = worlds.shared_words(query_bundle.query_str if query_bundle else "", [each.get_content() for each in nodes])
        found = [NodeWithScore(node=each.node, score=score) for score, each in zip(scores, nodes, strict=True)]
        return sorted(found, key=lambda each: -(each.score or 0))


@cache
def world(page: str) -> dict[str, Any]:
    return {**public_names(), "models": models, "question": _QUESTION, **_WORLDS[page]()}


def _langchain() -> dict[str, Any]:
    found = worlds.guide_langchain()
    store, client, embeddings = found["store"], QdrantClient(":memory:"), found["embeddings"]
    client.create_collection(
        "docs",
        vectors_config=models.VectorParams(size=len(embeddings.embed_query("")), distance=models.Distance.COSINE),
        sparse_vectors_config={"langchain-sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    by_words = QdrantVectorStore(
        client=client,
        collection_name="docs",
        embedding=embeddings,
        sparse_embedding=Words(),
        retrieval_mode=RetrievalMode.HYBRID,
    )
    by_words.add_texts([each.page_content for each in store.similarity_search(_QUESTION, k=30)])
    condition = models.FieldCondition(key="metadata.category", match=models.MatchValue(value="cycling"))
    return {
        **{name: getattr(langchain_qdrant_rerank, name) for name in langchain_qdrant_rerank.__all__},
        "store": store,
        "by_words": by_words,
        "retriever": langchain_qdrant_rerank.QdrantRerankRetriever.from_vector_store(store),
        "vector": embeddings.embed_query(_QUESTION),
        "cycling": models.Filter(must=[condition]),
        "compressor": WordsFirst(),
        "create_retriever_tool": create_retriever_tool,
    }


def _llama_index() -> dict[str, Any]:
    found = worlds.guide_llama_index()
    index, embed_model = found["index"], found["embed_model"]

    def words(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
        vectors = Bm25().encode_documents(texts)
        return [each.indices for each in vectors], [each.values for each in vectors]

    store = LlamaIndexStore(
        collection_name="hybrid",
        client=QdrantClient(":memory:"),
        enable_hybrid=True,
        sparse_doc_fn=words,
        sparse_query_fn=words,
    )
    nodes = [each.node for each in index.as_retriever(similarity_top_k=30).retrieve(_QUESTION)]
    store.add([TextNode(text=each.text, embedding=embed_model.get_text_embedding(each.text)) for each in nodes])
    liked = models.FieldCondition(key="rating", range=models.Range(gte=4.5))
    return {
        **{name: getattr(llama_index_qdrant_rerank, name) for name in llama_index_qdrant_rerank.__all__},
        "index": index,
        "hybrid": VectorStoreIndex.from_vector_store(store, embed_model=embed_model),
        "retriever": llama_index_qdrant_rerank.QdrantRerankRetriever.from_index(index, similarity_top_k=3),
        "cycling": MetadataFilters(filters=[MetadataFilter(key="category", value="cycling")]),
        "liked": models.Filter(must=[liked]),
        "reranker": NodesOfWordsFirst(),
        "llm": MockLLM(),
        "SimilarityPostprocessor": SimilarityPostprocessor,
        "RetrieverQueryEngine": RetrieverQueryEngine,
        "QueryBundle": llama_index.core.schema.QueryBundle,
    }


def _by_hand() -> dict[str, Any]:
    found = worlds.guide()
    client, encoders = found["client"], found["encoders"]
    vectors = {name: encoder.encode_query(_QUESTION) for name, encoder in encoders.items()}
    vectors["dense"] = list(map(float, vectors["dense"]))

    def hits(name: str, limit: int) -> list[models.ScoredPoint]:
        points: list[models.ScoredPoint] = client.query_points("guide", query=vectors[name], using=name, limit=limit).points
        return points

    def age(hit: models.ScoredPoint) -> float:
        published = dt.datetime.fromisoformat((hit.payload or {})["published"])
        return (dt.datetime.now(dt.UTC) - published).total_seconds()

    def rrf(lists: Sequence[Sequence[models.ScoredPoint]], k: float) -> list[models.ScoredPoint]:
        points = {hit.id: hit for each in lists for hit in each}
        scores = dict.fromkeys(points, 0.0)
        for each in lists:
            for rank, hit in enumerate(each, 1):
                scores[hit.id] += 1 / (k + rank)
        return [points[id] for id in sorted(scores, key=lambda id: -scores[id])]

    def by_model(model: Any, found: Sequence[models.ScoredPoint]) -> list[models.ScoredPoint]:
        scores = model(_QUESTION, [(hit.payload or {})["text"] for hit in found])
        return [hit for _, hit in sorted(zip(scores, found, strict=True), key=lambda pair: -pair[0])]

    stay = models.FieldCondition(key="category", match=models.MatchValue(value="stay"))
    return {
        **found,
        "dense": vectors["dense"],
        "hits": hits,
        "age": age,
        "rrf": rrf,
        "by_model": by_model,
        "ask": Query(_QUESTION),
        "best": SearchOptions(limit=5),
        "model": worlds.shared_words,
        "stay": models.Filter(must=[stay]),
    }


_WORLDS = {"langchain-qdrant": _langchain, "llama-index": _llama_index, "by-hand": _by_hand}


def found_by(value: Any) -> Any:
    """What identifies the results of either side: texts of documents and nodes, ids of points; of pairs the first."""
    match value:
        case [tuple(), *_]:
            return [found_by([document])[0] for document, _ in value]
        case [[*_], *_]:
            return [found_by(each) for each in value]
        case [Document(), *_]:
            return [each.page_content for each in value]
        case [NodeWithScore(), *_]:
            return [each.text for each in value]
        case [models.ScoredPoint(), *_]:
            return [each.id for each in value]
        case str():
            return value
        case _:
            raise AssertionError(f"no results: {value!r}")


@pytest.mark.filterwarnings("ignore:Local mode performs exact")
@pytest.mark.parametrize(
    ("page", "row"), [(page, row) for page in PAGES for row in rows(page)], ids=lambda value: str(value)[:60]
)
def test_each_row_finds_the_same_or_says_what_differs(page: str, row: tuple[str, str, str]) -> None:
    before, after, differs = row
    theirs, ours = (found_by(eval(code, dict(world(page)))) for code in (before, after))
    assert theirs
    assert ours
    if not differs.startswith("other results"):
        assert ours == theirs


def test_every_row_of_every_table_is_read() -> None:
    for page in PAGES:
        text = (ROOT / "docs" / "coming-from" / f"{page}.md").read_text("utf-8")
        assert len(rows(page)) == text.count("\n| `")
