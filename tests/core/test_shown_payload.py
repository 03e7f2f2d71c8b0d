"""What a call shows of the payload never changes its scores, and it shows no more than was asked."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    Executor,
    Formula,
    Nearest,
    PayloadMapping,
    Query,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    Strategy,
    field,
)
from qdrant_rerank.expressions import rerank_score
from qdrant_rerank.feedback import Coefficients

QUERY = Query("q", vectors={"": [1.0, 1.0]})
BLEND = rerank_score() + field("rating", default=0.0)
STRATEGIES: dict[str, Strategy] = {
    "rescore": Rerank(reads=4).over(Nearest()),
    "blend": Rerank(reads=4, blend=BLEND).over(Nearest()),
    "blend of a blend": Rerank(reads=4, blend=BLEND).over(
        Rerank(reads=4, blend=rerank_score() + field("n", default=0)).over(Nearest())
    ),
    "formula on the client": Formula(field("rating", default=0.0)).over(Nearest()).on_client(),
    "rescored formula on the client": Rerank(reads=4, blend=BLEND).over(
        Formula(field("n", default=0)).over(Nearest()).on_client()
    ),
    "feedback": RelevanceFeedback(seeds=Nearest(limit=3), coefficients=Coefficients(1.0, 0.5, 0.5), trust=True),
    "formula": Formula(field("rating", default=0.0)).over(Nearest()),
}
SELECTORS: dict[str, tuple[Any, list[str] | None]] = {
    "all": (True, ["n", "rating", "text"]),
    "nothing": (False, None),
    "text": (["text"], ["text"]),
    "another key": (["n"], ["n"]),
    "no key": ([], []),
    "included": (models.PayloadSelectorInclude(include=["rating"]), ["rating"]),
    "excluded": (models.PayloadSelectorExclude(exclude=["text"]), ["n", "rating"]),
}


def executor(**options: Any) -> Executor:
    client = QdrantClient(":memory:")
    client.create_collection("c", models.VectorParams(size=2, distance=models.Distance.DOT))
    rows = [{"text": f"t{n}", "n": n, "rating": 10.0 * (n == 1)} for n in range(4)]
    client.upsert("c", [models.PointStruct(id=n, vector=[1.0, n / 10], payload=row) for n, row in enumerate(rows)])
    return Executor(client, "c", reranker=lambda query, texts: [float(text[1:]) for text in texts], **options)


@pytest.mark.parametrize("shown", SELECTORS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_shown_changes_no_score(name: str, shown: str) -> None:
    selector, keys = SELECTORS[shown]
    asked, strategy = executor(), STRATEGIES[name]
    expected = [(point.id, point.score) for point in asked.retrieve(strategy, QUERY, SearchOptions(limit=3))]
    points = asked.retrieve(strategy, QUERY, SearchOptions(limit=3, with_payload=selector))
    explained = asked.explain(strategy, QUERY, SearchOptions(limit=3, with_payload=selector)).points
    for found in (points, explained):
        assert [(point.id, point.score) for point in found] == expected
        # qdrant-client 1.17's local mode gives no payload where no key is chosen
        shown_keys = [None if keys is None and point.payload is None else sorted(point.payload or {}) for point in found]
        assert shown_keys == [keys] * 3


@pytest.mark.parametrize(
    ("payload", "fetched"),
    [
        ("flat", ["n", "text", "rating"]),
        (PayloadMapping(text=("text", "n")), ["n", "text", "rating"]),
        (PayloadMapping(text="a.b"), True),
        (lambda payload: (payload["text"], {}), True),
    ],
)
def test_only_what_is_read_and_shown_is_fetched_where_that_is_known(payload: Any, fetched: Any) -> None:
    plan = executor(payload=payload).plan(STRATEGIES["blend"], SearchOptions(limit=3, with_payload=["n"]))
    [request] = plan.describe().requests
    assert request["with_payload"] == fetched
