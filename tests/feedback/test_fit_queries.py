"""The forms in which a fit takes its queries, and what it keeps of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import PlanWarning, Query, RelevanceFeedback, StrategyError
from qdrant_rerank._internals import MOST_HASHES, count_known, hashes_of
from qdrant_rerank.errors import FitError
from qdrant_rerank.evaluate import Topic, Topics, read_topics
from qdrant_rerank.feedback import Provenance
from qdrant_rerank.learn import FeedbackFit, afit_feedback, estimate_feedback_fit, fit_feedback
from qdrant_rerank.learn._internals import query_texts
from tests.engines import open_client
from tests.support import near, refused

from .worlds import TEXTS, Knowing, async_executor, executor, fill, qrels

FEW = TEXTS[:24]
BY_ID = {f"t{number}": text for number, text in enumerate(FEW)}
TOPICS = Topics(BY_ID)


@pytest.fixture(scope="module")
def client() -> Iterator[QdrantClient]:
    made = fill(open_client())
    yield made
    made.close()


@pytest.fixture(scope="module")
def expected(client: QdrantClient) -> FeedbackFit:
    return fit_feedback(executor(client, Knowing()), BY_ID, candidates=30, qrels=judged(BY_ID))


def judged(texts: dict[str, str]) -> dict[str, dict[str, int]]:
    return {id: qrels()[text] for id, text in texts.items()}


FORMS: list[Callable[[], Any]] = [lambda: TOPICS, lambda: list(TOPICS), lambda: {id: Query(text) for id, text in BY_ID.items()}]


@pytest.mark.parametrize("form", FORMS, ids=["topics", "a list of topics", "queries by id"])
async def test_topics_are_learned_from_and_judged_by_their_ids(
    client: QdrantClient, expected: FeedbackFit, form: Callable[[], Any]
) -> None:
    options: Any = {"candidates": 30, "qrels": judged(BY_ID)}
    assert expected.by_qrels
    assert near(fit_feedback(executor(client, Knowing()), form(), **options)) == near(expected)
    assert near(await afit_feedback(async_executor(client, Knowing()), form(), **options)) == near(expected)


def test_topics_of_a_file_are_learned_from(client: QdrantClient, expected: FeedbackFit, tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("".join(f"{id}\t{text}\n" for id, text in BY_ID.items()), "utf-8")
    topics = read_topics(tmp_path / "topics.tsv")
    assert estimate_feedback_fit(len(topics), candidates=30).documents == 24 * 30
    fit = fit_feedback(executor(client, Knowing()), topics, candidates=30, qrels=judged(BY_ID))
    assert near(fit) == near(expected)


def test_what_has_no_id_in_a_list_is_numbered() -> None:
    assert query_texts(["a", Query("b"), Topic("x", "c")]) == {"0": "a", "1": "b", "x": "c"}
    assert query_texts(("a",)) == {"0": "a"}


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ("query 1", "the queries of a fit are Topics, a mapping of ids to texts, or a list of texts or topics; got 'query 1'"),
        (7, "or a list of texts or topics; got 7"),
        (["a", 7], "query '1' must be a text, a Topic or a Query; got int 7"),
        ({"q": None}, "query 'q' must be a text, a Topic or a Query; got NoneType None"),
        ([Topic("x", "a"), Topic("x", "b")], "the query id 'x' is there twice: give each query an id of its own"),
    ],
)
def test_what_is_no_query_is_refused(client: QdrantClient, queries: Any, message: str) -> None:
    with refused(StrategyError, message):
        fit_feedback(executor(client, Knowing()), queries)


def test_blank_queries_are_no_queries(client: QdrantClient) -> None:
    with refused(FitError, "there are 2 different queries"):
        fit_feedback(executor(client, Knowing()), ["a", " ", "b"])


RICH = [
    Query("a", vectors={"dense": [1.0]}),
    Query("a", params={"x": 1}),
    Query("a", now=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    Topic("t", "a", filter=models.Filter(must=[models.HasIdCondition(has_id=[1])])),
]


@pytest.mark.parametrize("query", RICH)
def test_what_the_fit_does_not_use_of_a_query_is_said(query: Any) -> None:
    with pytest.warns(
        PlanWarning, match="1 of the 3 queries come with filters, params, vectors or a time; the fit uses nothing"
    ):
        assert list(query_texts([Topic("p", "b"), query, Query("c")]).values()) == ["b", "a", "c"]


def test_the_file_knows_its_queries_by_short_hashes(expected: FeedbackFit, tmp_path: Path) -> None:
    expected.save(tmp_path / "feedback.json", anyway=True)
    known = RelevanceFeedback.load(tmp_path / "feedback.json").weights.provenance
    assert known is not None
    assert len(known.queries) == 24 * 8
    assert count_known(known.queries, [" QUERY  3", "query 3", "query 24", "query 23"]) == 3
    assert "query" not in known.queries
    assert known.queries not in repr(known)
    assert replace(known, queries="") == known


def test_no_more_than_some_hundred_queries_are_kept() -> None:
    texts = [f"a query {number}" for number in range(MOST_HASHES + 100)]
    hashes = hashes_of(texts)
    assert count_known(hashes, texts) == MOST_HASHES
    assert hashes_of(reversed(texts)) == hashes
    assert count_known("", texts) == 0


@pytest.mark.parametrize("queries", ["abc", "0123456g", "0123456789"])
def test_what_are_no_hashes_is_refused(queries: str) -> None:
    with refused(StrategyError, "the queries of a provenance are hashes of 8 hex digits each, without gaps"):
        Provenance(mode="recall", seeds=5, queries=queries)
