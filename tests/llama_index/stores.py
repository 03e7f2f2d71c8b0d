"""A deterministic embedding model, sparse functions, nodes, and stores that LlamaIndex itself filled."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import BaseNode, IndexNode, NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode
from llama_index.vector_stores.qdrant import QdrantVectorStore
from pydantic import PrivateAttr
from qdrant_client import QdrantClient

from tests.engines import open_async_client, open_client
from tests.support import CountingClient, Near, Ranking, bm25, dense

COLLECTION = "nodes"
QUERY = "quick brown fox"
_TEXTS = (
    "quick brown fox",
    "lazy dog by the river",
    "a fox in the night",
    "brown paper and stone",
    "quick light, quiet storm",
    "the dog and the fox",
    "river stones at night",
    "storm over the quick river",
)


class TinyEmbedding(BaseEmbedding):
    """Four numbers that depend on the text alone; queries and documents are embedded apart. Notes what it is asked."""

    _asked: list[str] = PrivateAttr(default_factory=list)

    @property
    def asked(self) -> list[str]:
        return self._asked

    def _get_query_embedding(self, query: str) -> list[float]:
        self._asked.append(f"query {query}")
        return dense(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        self._asked.append(f"async query {query}")
        return dense(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        self._asked.append(f"text {text}")
        return dense(f"passage: {text}")


def sparse(texts: list[str]) -> tuple[list[list[int]], list[list[float]]]:
    """LlamaIndex's kind of sparse function."""
    vectors = [bm25(text) for text in texts]
    return [vector.indices for vector in vectors], [vector.values for vector in vectors]


def node_id(number: int) -> str:
    """The id of the node with this number."""
    return str(UUID(int=number + 1))


def node(number: int) -> TextNode:
    """One of eight nodes, with metadata, a source document and a character range."""
    document = RelatedNodeInfo(node_id=f"doc{number // 3}")
    return TextNode(
        id_=node_id(number),
        text=_TEXTS[number],
        metadata={"popularity": number * 1.5, "topic": ("animals", "things")[number % 2], "day": f"2025-01-0{number + 1}"},
        excluded_llm_metadata_keys=["day"],
        relationships={NodeRelationship.SOURCE: document},
        start_char_idx=number,
        end_char_idx=number + 10,
        embedding=dense(f"passage: {_TEXTS[number]}"),
    )


def nodes() -> list[BaseNode]:
    """Seven text nodes and one index node."""
    pointer = IndexNode(id_=node_id(7), text=_TEXTS[7], index_id="more", embedding=dense(f"passage: {_TEXTS[7]}"))
    return [*(node(number) for number in range(7)), pointer]


def hybrid_arguments(hybrid: bool) -> dict[str, Any]:
    """What makes a store hybrid without a model download."""
    return {"enable_hybrid": True, "sparse_doc_fn": sparse, "sparse_query_fn": sparse} if hybrid else {}


def store(client: QdrantClient | None = None, hybrid: bool = False, **arguments: Any) -> QdrantVectorStore:
    """A store over a local collection that LlamaIndex has filled."""
    made = QdrantVectorStore(COLLECTION, client=client or open_client(), **hybrid_arguments(hybrid), **arguments)
    made.add(nodes())
    return made


async def async_store(hybrid: bool = False) -> QdrantVectorStore:
    """A store that has only an async client, as it is in a process that didn't fill the collection."""
    client = open_async_client()
    await QdrantVectorStore(COLLECTION, aclient=client, **hybrid_arguments(hybrid)).async_add(nodes())
    return QdrantVectorStore(COLLECTION, aclient=client, **hybrid_arguments(hybrid))


def ranking(found: list[NodeWithScore]) -> Ranking:
    """The nodes' ids and scores, best first, to be compared with another search's."""
    return Ranking((each.node.node_id, None if each.score is None else Near(each.score)) for each in found)


def numbers(found: list[NodeWithScore]) -> list[int]:
    """The numbers of the nodes, best first."""
    return [UUID(each.node.node_id).int - 1 for each in found]


def round_trips(client: CountingClient) -> tuple[int, int]:
    """How many requests read about the collection, and how many searched it, since this was last asked."""
    searches = sum(call.startswith("query") for call in client.calls)
    answer = len(client.calls) - searches, searches
    client.calls.clear()
    return answer


def contents(found: list[NodeWithScore]) -> list[dict[str, Any]]:
    """Everything that the nodes hold."""
    return [each.node.to_dict() for each in found]


NOON = dt.datetime(2025, 1, 10, 12, tzinfo=dt.UTC)
