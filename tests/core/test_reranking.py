"""`Reranker`: texts that something else found, ranked as `Rerank` ranks what Qdrant finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from qdrant_rerank import Query, QueryError, Rerank, ScoringError, field, score
from qdrant_rerank._internals import Candidate, DocumentReranker, as_reranker, notes_of
from qdrant_rerank.expressions import rerank_score

GIVEN = [
    Candidate(text, {"text": "of the payload", "rating": rating}, 0.5) for text, rating in (("bb", 9), ("a", 5), ("ccc", 1))
]


def lengths(query: str, texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


def reranker(function: Any = lengths, **rescoring: Any) -> DocumentReranker:
    return DocumentReranker(as_reranker(function), Rerank(**rescoring))


async def both(of: DocumentReranker, given: list[Candidate], threshold: float | None = None) -> list[tuple[Any, float]]:
    """The places and scores, which must be the same sync and async."""
    found = [(point.id, point.score) for point in of.rank(Query("q"), given, threshold)]
    assert [(point.id, point.score) for point in await of.arank(Query("q"), given, threshold)] == found
    return found


async def test_points_bear_the_places_of_their_candidates() -> None:
    assert await both(reranker(), GIVEN) == [(2, 3.0), (0, 2.0), (1, 1.0)]
    assert await both(reranker(top_n=1), GIVEN) == [(2, 3.0)]
    assert await both(reranker(), GIVEN, 2.0) == [(2, 3.0), (0, 2.0)]
    assert await both(reranker(), []) == []


async def test_a_blend_reads_the_payload_and_the_score_of_the_search() -> None:
    assert await both(reranker(blend=0 * rerank_score() + field("rating") - score()), GIVEN) == [(0, 8.5), (1, 4.5), (2, 0.5)]


async def test_a_text_alone_is_enough() -> None:
    assert await both(reranker(), [Candidate("a", {}, float("nan"))]) == [(0, 1.0)]


async def test_more_candidates_than_a_search_would_hand_on_are_all_ranked() -> None:
    assert len(await both(reranker(), [Candidate("x" * number, {}, 0.0) for number in range(1, 200)])) == 199


async def test_a_wrong_number_of_scores_is_an_error_or_keeps_the_order() -> None:
    with pytest.raises(ScoringError, match="returned 1 scores for 3 texts"):
        await both(reranker(lambda query, texts: [1.0]), GIVEN)
    with pytest.warns(UserWarning, match="ScoringError"):
        found = reranker(lambda query, texts: [1.0], on_error="keep_order").rank(Query("q"), GIVEN)
    assert [(point.id, notes_of(point)["not_reranked"]) for point in found] == [(place, "ScoringError") for place in range(3)]


def test_a_query_without_text_is_refused() -> None:
    with pytest.raises(QueryError, match="query's text is empty"):
        reranker().rank(Query(), GIVEN)
