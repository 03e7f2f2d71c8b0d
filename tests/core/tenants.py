"""Two tenants in one collection: the other's documents are the nearer ones, so a search that isn't restricted shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qdrant_client import models

from qdrant_rerank import (
    Formula,
    Fusion,
    Mmr,
    Nearest,
    Query,
    RelevanceFeedback,
    Rerank,
    Strategy,
    field,
    late_interaction,
    score,
)
from qdrant_rerank.expressions import rerank_score
from qdrant_rerank.feedback import Coefficients, FeedbackCandidates

OURS = models.Filter(must=[models.FieldCondition(key="tenant", match=models.MatchValue(value="A"))])
# alternatives, which Qdrant would join with those of a filter above or below
OURS_OR = models.Filter(should=[models.FieldCondition(key="tenant", match=models.MatchAny(any=["A", "nobody"]))])
MINE = range(1, 9)
THEIRS = range(101, 121)
QUERY = Query(
    "q", vectors={"dense": [1.0, 0.0], "tokens": [[1.0, 0.0]], "sparse": models.SparseVector(indices=[1], values=[1.0])}
)

CANDIDATE = Nearest("dense", limit=4)
FED = RelevanceFeedback(seeds=Nearest("dense", limit=3), using="dense", coefficients=Coefficients(1.0, 0.5, 0.5), trust=True)
STRATEGIES: dict[str, Strategy] = {
    "nearest": Nearest("dense"),
    "sparse": Nearest("sparse"),
    "late interaction": Nearest("tokens").over(CANDIDATE),
    "late interaction that keeps all": late_interaction("tokens", CANDIDATE),
    "rrf": Fusion.rrf().over(CANDIDATE, Nearest("sparse", limit=4)),
    "dbsf": Fusion.dbsf().over(CANDIDATE, Nearest("tokens", limit=4)),
    "mmr": Mmr("dense").over(CANDIDATE),
    "mmr alone": Mmr("dense", candidates_limit=4),
    "formula": Formula(score() + field("rank", default=0)).over(CANDIDATE),
    "formula over fusion": Formula(score() + field("rank", default=0)).over(
        Fusion.rrf(limit=4).over(CANDIDATE, Nearest("sparse", limit=4))
    ),
    "formula on the client": Formula(score() + field("rank", default=0)).over(CANDIDATE).on_client(),
    "three levels": Fusion.rrf().over(Nearest("tokens", limit=4).over(CANDIDATE), CANDIDATE),
    "rescore": Rerank(reads=4).over(CANDIDATE),
    "blend": Rerank(reads=4, blend=rerank_score() + field("rank", default=0)).over(Fusion.rrf().over(CANDIDATE)),
    "feedback": FED,
    "feedback, recall": RelevanceFeedback(
        seeds=Nearest("dense", limit=2),
        using="dense",
        mode="recall",
        limit=4,
        coefficients=Coefficients(1.0, 0.5, 0.5),
        trust=True,
    ),
    "feedback within": RelevanceFeedback(
        seeds=Nearest("dense", limit=3),
        using="dense",
        within=Fusion.rrf().over(FeedbackCandidates(limit=4), Nearest("sparse", limit=4)),
        coefficients=Coefficients(1.0, 0.5, 0.5),
        trust=True,
    ),
    "rescored feedback": Rerank(reads=4).over(FED),
}
"""One of each kind."""


def fill_two_tenants(client: Any, name: str = "two") -> Any:
    """Make the collection: eight points of A; twenty of B, all nearer to the query."""
    maximum = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    client.create_collection(
        name,
        vectors_config={
            "dense": models.VectorParams(size=2, distance=models.Distance.COSINE),
            "tokens": models.VectorParams(size=2, distance=models.Distance.COSINE, multivector_config=maximum),
        },
        sparse_vectors_config={"sparse": models.SparseVectorParams()},
    )
    client.upsert(name, [_point(n, "A", 0.5 + 0.05 * n) for n in MINE] + [_point(n, "B", 0.001 * n) for n in THEIRS], wait=True)
    return client


def _point(number: int, tenant: str, off: float) -> models.PointStruct:
    row = [1.0, off]
    sparse = models.SparseVector(indices=[1], values=[2.0 - off])
    payload = {"text": f"{tenant} {number}", "tenant": tenant, "rank": number / 1000, "group": number % 3}
    if tenant == "A":
        payload["size"] = 1.0
    else:
        payload["secret"] = f"B-SECRET-{number}"
    return models.PointStruct(id=number, vector={"dense": row, "tokens": [row], "sparse": sparse}, payload=payload)


def read(query: str, texts: Sequence[str]) -> list[float]:
    """A model that prefers later numbers."""
    return [float(text.split()[1]) for text in texts]
