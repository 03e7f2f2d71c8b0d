"""What a search costs over REST by the client's connections: as qdrant-client comes, and as clients that are made here.

Run: `python benchmarks/connections.py --url http://127.0.0.2:6333`, with a server at an address that isn't 127.0.0.1 or
localhost, as qdrant-client keeps no connections to these. Contenders take turns; medians of one caller, in milliseconds.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.server_world import busy, collection, median_times, parser, vectors
from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import PayloadMapping

VECTOR = vectors(1, 5)[0]


class AtHand(Embeddings):
    """Embeddings that are there already."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [VECTOR for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return VECTOR


def contenders(url: str, name: str, limit: int) -> dict[str, Callable[[], Any]]:
    """The same search: bare, by langchain-qdrant, by ours with the same client, and by ours with a client made for it."""
    bare, client, mine = (QdrantClient(url=url, check_compatibility=False) for _ in range(3))
    store = QdrantVectorStore(
        client=client, collection_name=name, embedding=AtHand(), content_payload_key="text", validate_collection_config=False
    )
    theirs = store.as_retriever(search_kwargs={"k": limit})
    made: dict[str, Any] = {"embedding": AtHand(), "payload": PayloadMapping(text="text"), "k": limit}
    same = QdrantRerankRetriever(client=mine, collection_name=name, **made)
    ours = QdrantRerankRetriever.from_existing_collection(name, url=url, **made)
    return {
        "bare query_points": lambda: bare.query_points(name, query=VECTOR, limit=limit),
        "langchain_qdrant invoke": lambda: theirs.invoke("q"),
        "ours, such a client": lambda: same.invoke("q"),
        "ours, from_existing_collection": lambda: ours.invoke("q"),
    }


def main() -> None:
    options = parser(__doc__ or "", points=2_000)
    options.add_argument("--rounds", type=int, default=10)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    with collection(given.url, given.points) as name:
        for limit in (1, 5, 50):
            print(f"{limit} results with payload, {given.url}, median of {given.rounds * 10}, {busy()}")
            found = median_times(contenders(given.url, name, limit), given.rounds)
            for contender, seconds in found.items():
                print(
                    f"  {contender:32} {seconds * 1e3:7.2f} ms  {found['bare query_points'] / seconds:6.2f} × as fast as bare"
                )


if __name__ == "__main__":
    main()
