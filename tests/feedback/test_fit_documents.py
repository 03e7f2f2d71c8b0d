"""Which documents the judgments speak of; and the arguments of a fit that are refused before anything is paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Nearest, Query, SearchOptions, StrategyError
from qdrant_rerank.errors import FitError
from qdrant_rerank.ingest import point_id
from qdrant_rerank.learn import afit_feedback, fit_feedback
from qdrant_rerank.learn._internals import Documents
from qdrant_rerank.models import Encoders
from tests.engines import open_client
from tests.support import CountingClient, near, refused

from .worlds import BY_NAME, FEW, SIZE, TEXTS, VECTORS, Knowing, async_executor, encode, executor, qrels

FOREIGN = {text: {f"x{name}": grade for name, grade in grades.items()} for text, grades in qrels().items()}


async def test_judgments_of_other_documents_are_refused_before_the_model_is_asked(client: CountingClient) -> None:
    model = Knowing()
    message = (
        "documents found is in the judgments: the results' ids are 'd0', 'd1', 'd10', the judgments' 'xd0', 'xd1', 'xd10'; say "
        "with doc_id= (--doc-id) where a result's document id is; a point's payload has '_id', 'text'"
    )
    runner = executor(client, model)
    runner.target()
    client.calls.clear()
    with refused(StrategyError, message):
        fit_feedback(runner, BY_NAME, candidates=30, qrels=FOREIGN)
    assert client.calls == ["query_batch_points"] * 2
    with refused(StrategyError, message):
        await afit_feedback(async_executor(client, model), BY_NAME, candidates=30, qrels=FOREIGN)
    assert model.calls == []


def test_judgments_of_other_documents_that_are_too_few_to_be_used_do_no_harm(client: CountingClient) -> None:
    few = {text: FOREIGN[text] for text in TEXTS[:19]}
    assert not fit_feedback(executor(client, Knowing()), FEW, candidates=30, qrels=few, doc_id="nowhere").by_qrels


def test_a_key_that_points_lack_is_refused_before_the_model_is_asked(client: CountingClient) -> None:
    model = Knowing()
    with refused(StrategyError, "doc_id='foo' gives no document id for the result point with '_id', 'text'"):
        fit_feedback(executor(client, model), FEW, candidates=30, qrels=qrels(), doc_id="foo")
    assert model.calls == []


def test_a_document_is_told_by_its_id_in_the_payload_or_as_the_caller_says(client: CountingClient) -> None:
    def fitted(**options: Any) -> Any:
        return fit_feedback(executor(client, Knowing()), FEW, candidates=30, **options)

    usual = fitted(qrels=qrels())
    assert usual.comparisons[2].plain > 0
    assert near(fitted(qrels=qrels(), doc_id="_id")) == near(usual)
    assert near(fitted(qrels=qrels(), doc_id=lambda point: f"d{point.id}")) == near(usual)
    by_point = {text: {int(name[1:]): grade for name, grade in grades.items()} for text, grades in qrels().items()}
    assert near(fitted(qrels=by_point, doc_id="id")) == near(usual)


def test_points_that_ingest_made_are_known_by_their_documents_ids() -> None:
    made = open_client()
    made.create_collection("c", vectors_config={"dense": models.VectorParams(size=SIZE, distance=models.Distance.COSINE)})
    points = [
        models.PointStruct(id=str(point_id(f"d{n}")), vector={"dense": vector.tolist()}, payload={"text": str(n)})
        for n, vector in enumerate(VECTORS)
    ]
    made.upsert("c", points)
    runner = Executor(made, "c", encoders=Encoders.of({"dense": encode}), reranker=Knowing())
    assert fit_feedback(runner, FEW, candidates=30, qrels=qrels()).comparisons[2].plain > 0
    made.close()


def test_what_waits_for_the_first_judged_document_is_scored_then(client: CountingClient) -> None:
    """The first 32 queries find nothing judged, the next do: all are learned from."""
    searches: list[int] = []

    class Noting(Knowing):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            searches.append(client.calls.count("query_batch_points"))
            return super().score(query, texts)

    plain = executor(client, Noting())
    expected = fit_feedback(plain, BY_NAME, candidates=30)
    found = [[point.id for point in plain.retrieve(Nearest("dense"), Query(text), SearchOptions(limit=30))] for text in TEXTS]
    late = next(id for ids in found[32:] for id in ids if all(id not in early for early in found[:32]))
    searches.clear()
    client.calls.clear()
    fit = fit_feedback(plain, BY_NAME, candidates=30, qrels={text: {f"d{late}": 1} for text in TEXTS})
    assert searches == [2] * 50
    assert fit.queries == 50
    assert near(fit.folds) == near(expected.folds)


def test_searches_that_find_nothing_are_not_blamed_on_the_judgments(client: CountingClient) -> None:
    nothing = models.Filter(must=[models.HasIdCondition(has_id=[])])
    with refused(FitError, "only 0 of 24 queries find more points"):
        fit_feedback(executor(client, Knowing()), FEW, candidates=30, qrels=qrels(), filter=nothing)


def test_points_without_payload_are_told_by_their_ids() -> None:
    documents = Documents({"q": {"5": 1}})
    documents.note([[], [models.ScoredPoint(id=3, version=0, score=1.0)]])
    with refused(
        StrategyError, "the results' ids are '3', the judgments' '5'; say with doc_id= (--doc-id) where a result's"
    ) as told:
        documents.check()
    assert "payload has" not in str(told.value)
    documents.note([[models.ScoredPoint(id=5, version=0, score=1.0)]])
    documents.check()


def test_judgments_of_other_queries_are_refused(client: CountingClient) -> None:
    others = {f"q{number}": {"d1": 1} for number in range(30)}
    message = (
        "none of the 24 queries has judgments: the queries' ids are '0', '1', '2', …, those of the qrels 'q0', 'q1', 'q2', …"
    )
    with refused(StrategyError, message):
        fit_feedback(executor(client, Knowing()), list(FEW), qrels=others)
    with refused(StrategyError, "those of the qrels 'q7'"):
        fit_feedback(executor(client, Knowing()), list(FEW), qrels={"q7": {"d1": 1}, "q8": {}})
    assert not fit_feedback(executor(client, Knowing()), FEW, candidates=30, qrels={"q8": {}}).by_qrels


@pytest.mark.parametrize(("seeds", "number"), [(10, 10), (1, 5), ("dense", 5)])
def test_a_number_of_seeds_is_answered_with_the_stage_to_write(client: CountingClient, seeds: Any, number: int) -> None:
    with refused(StrategyError, f"whose limit is their number: seeds=Nearest(limit={number}); got {seeds!r}"):
        fit_feedback(executor(client, Knowing()), FEW, seeds=seeds)


async def test_an_executor_of_the_other_kind_is_refused(client: CountingClient) -> None:
    with refused(StrategyError, "afit_feedback needs an AsyncExecutor, got Executor; fit_feedback(…) takes it"):
        await afit_feedback(executor(client, Knowing()), FEW)
    with refused(StrategyError, "fit_feedback needs an Executor, got AsyncExecutor; afit_feedback(…) takes it"):
        fit_feedback(async_executor(client, Knowing()), FEW)
    with refused(StrategyError, "fit_feedback needs an Executor, got CountingClient") as told:
        fit_feedback(client, FEW)  # type: ignore[arg-type]
    assert "takes it" not in str(told.value)
