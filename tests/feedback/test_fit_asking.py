"""What the fit asks for, how far it says it is, and what a failure costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank import AsyncExecutor, Executor, Fusion, Nearest, PlanError, StrategyError
from qdrant_rerank._internals import Points, Search
from qdrant_rerank.errors import MeasurementError
from qdrant_rerank.learn import afit_feedback, estimate_feedback_fit, fit_feedback
from qdrant_rerank.learn._internals import Progress, ScoringForecast
from qdrant_rerank.models import Encoders
from tests.support import CountingClient, near, refused

from .worlds import FEW, TEXTS, Knowing, encode, executor, qrels


@pytest.mark.parametrize("mode", ["precision", "recall"])
def test_it_asks_for_no_more_than_was_estimated(client: CountingClient, mode: Any) -> None:
    model = Knowing()
    runner = executor(client, model)
    runner.target()
    client.calls.clear()
    fit_feedback(runner, FEW, mode=mode, reads=15, candidates=30, qrels=qrels(), doc_id="_id")
    cost = estimate_feedback_fit(len(FEW), mode=mode, reads=15, candidates=30, judged_queries=len(FEW))
    assert client.calls == ["query_batch_points"] * cost.requests
    asked = sum(map(len, model.calls))
    if mode == "precision":
        assert asked == cost.documents == len(FEW) * 30
    else:
        assert len(FEW) * 30 <= asked <= cost.documents == len(FEW) * 40


def test_progress_covers_the_judging_and_ends_when_all_is_done(client: CountingClient) -> None:
    told: list[Progress] = []
    fit_feedback(
        executor(client, Knowing()),
        FEW,
        mode="recall",
        reads=15,
        candidates=30,
        qrels=qrels(),
        doc_id="_id",
        progress=told.append,
    )
    assert {each.total for each in told} == {len(FEW) * (30 + 2 * 15)}
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert any(len(FEW) * 30 < each.done < each.total for each in told)
    assert (told[-1].done, told[-1].seconds_left) == (told[-1].total, 0.0)
    learning = next(each for each in told if each.done == len(FEW) * 30)
    assert learning.seconds_left is not None
    assert learning.seconds_left > 0  # what is left is to judge by


def test_the_time_left_is_that_of_documents_which_may_be_new() -> None:
    work = ScoringForecast(learning=100, judging=40, new=10)
    assert [work.count_new(done) for done in (0, 60, 100, 120, 140, 150)] == [110.0, 50.0, 10.0, 5.0, 0.0, 0.0]
    assert [ScoringForecast(100).count_new(done) for done in (0, 100, 120)] == [100.0, 0.0, 0.0]


def test_searches_that_find_little_still_end_at_the_whole(client: CountingClient) -> None:
    few = models.Filter(must=[models.HasIdCondition(has_id=list(range(20)))])
    told: list[Progress] = []
    options: Any = {"qrels": {text: {"d1": 1} for text in FEW}, "doc_id": "_id", "candidates": 30, "filter": few}
    fit_feedback(executor(client, Knowing()), FEW, progress=told.append, **options)
    learning, whole = len(FEW) * 30, len(FEW) * (30 + 2 * 5)
    done = [each.done for each in told]
    assert done[len(FEW) - 1 : len(FEW) + 1] == [len(FEW) * 20, learning]
    assert (done[-1], {each.total for each in told}) == (whole, {whole})


def test_a_first_search_that_hands_on_too_little_to_learn_from_is_refused_before_anything_is_scored(
    client: CountingClient,
) -> None:
    model = Knowing()
    shallow = Fusion.rrf(limit=5).over(Nearest("dense", limit=10), Nearest("dense", limit=12, name="other"))
    with refused(PlanError, "the call asks for 30 points, but the candidates of Fusion hand on 22"):
        fit_feedback(executor(client, model), TEXTS, seeds=shallow, candidates=30)
    assert model.calls == []


def test_a_model_that_failed_is_asked_for_nothing_more(client: CountingClient) -> None:
    class Down(Knowing):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            super().score(query, texts)
            raise TimeoutError("no answer")

    model = Down()
    with refused(MeasurementError, "TimeoutError: no answer", "give cache= to keep scores") as caught:
        fit_feedback(executor(client, model), TEXTS, candidates=30)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert len(model.calls) == 1


def test_a_crash_while_judging_costs_nothing_twice(client: CountingClient, tmp_path: Path) -> None:
    class Crashing(Knowing):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            if len(self.calls) == len(FEW) + 7:
                raise TimeoutError
            return super().score(query, texts)

    def fit(model: Knowing) -> Any:
        options: Any = {"mode": "recall", "reads": 15, "candidates": 30, "qrels": qrels(), "doc_id": "_id"}
        return fit_feedback(executor(client, model), FEW, cache=tmp_path / "s.jsonl", **options)

    whole, crashing, again = Knowing(), Crashing(), Knowing()
    with refused(MeasurementError, f"the scores are in {tmp_path / 's.jsonl'}"):
        fit(crashing)
    first = fit(again)
    (tmp_path / "s.jsonl").unlink()
    assert near(fit(whole)) == near(first)
    assert len(crashing.calls) == len(FEW) + 7
    assert len(crashing.calls) + len(again.calls) == len(whole.calls)


def test_the_query_is_embedded_once(client: CountingClient) -> None:
    embedded: list[str] = []

    def counting(text: str) -> list[float]:
        embedded.append(text)
        return encode(text)

    runner = Executor(client, "c", encoders=Encoders.of({"dense": counting}), reranker=Knowing())
    fit_feedback(runner, FEW, mode="recall", reads=15, candidates=30, qrels=qrels(), doc_id="_id")
    assert sorted(embedded) == sorted(FEW)


def limited(status: int) -> UnexpectedResponse:
    content = b'{"status": {"error": "no more of this"}}'
    return UnexpectedResponse(status, "no", content, httpx.Headers({"retry-after": "0.01"}))


class Limited(Executor):
    """Its first searches fail, with a rate limit unless told otherwise."""

    def __init__(self, *given: Any, status: int = 429, **more: Any) -> None:
        super().__init__(*given, **more)
        self.status, self.failures = status, iter(range(3))  # shared by copies, which the fit makes

    def search(self, step: Search) -> list[Points]:
        if next(self.failures, None) is not None:
            raise limited(self.status)
        return super().search(step)


class AsyncLimited(AsyncExecutor):
    """As `Limited`."""

    def __init__(self, *given: Any, status: int = 429, **more: Any) -> None:
        super().__init__(*given, **more)
        self.status, self.failures = status, iter(range(3))

    async def search(self, step: Search) -> list[Points]:
        if next(self.failures, None) is not None:
            raise limited(self.status)
        return await super().search(step)


async def test_a_rate_limit_is_waited_for(client: CountingClient) -> None:
    options: Any = {"candidates": 30, "qrels": qrels(), "doc_id": "_id"}
    whole = fit_feedback(executor(client, Knowing()), FEW, **options)
    given: Any = {"encoders": Encoders.of({"dense": encode}), "reranker": Knowing()}
    waiting, awaiting = Limited(client, "c", **given), AsyncLimited(client, "c", **given)
    assert near(fit_feedback(waiting, FEW, **options)) == near(whole)
    assert near(await afit_feedback(awaiting, FEW, **options)) == near(whole)
    assert list(waiting.failures) == list(awaiting.failures) == []


async def test_it_waits_as_often_as_it_is_told(client: CountingClient) -> None:
    given: Any = {"encoders": Encoders.of({"dense": encode}), "reranker": Knowing()}
    limited, alimited = Limited(client, "c", **given), AsyncLimited(client, "c", **given)
    for retries in (0, 1):  # of three failures
        with refused(MeasurementError, "queries that fail would be left out"):
            fit_feedback(limited, FEW, candidates=30, retries=retries)
        with refused(MeasurementError, "queries that fail would be left out"):
            await afit_feedback(alimited, FEW, candidates=30, retries=retries)
    assert list(limited.failures) == list(alimited.failures) == []
    with refused(StrategyError, "retries must be a whole number of at least 0, got -1"):
        fit_feedback(limited, FEW, retries=-1)


async def test_a_server_that_refuses_stops_it_with_how_to_go_on(client: CountingClient, tmp_path: Path) -> None:
    given: Any = {"encoders": Encoders.of({"dense": encode}), "reranker": Knowing()}
    refusing, arefusing = Limited(client, "c", status=403, **given), AsyncLimited(client, "c", status=403, **given)
    with refused(MeasurementError, "queries that fail would be left out", "the same call goes on from there") as caught:
        fit_feedback(refusing, FEW, candidates=30)
    assert isinstance(caught.value.__cause__, UnexpectedResponse)
    with refused(MeasurementError, "UnexpectedResponse", f"the scores are in {tmp_path / 's.jsonl'}"):
        await afit_feedback(arefusing, FEW, candidates=30, cache=tmp_path / "s.jsonl")
    assert list(refusing.failures) == list(arefusing.failures) == [1, 2]
