"""A failure is never a result: a measurement waits for what passes, and else stops with what there is so far."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank import AsyncExecutor, Executor, Fusion, Nearest, Retries, SearchOptions, StrategyError, score
from qdrant_rerank._internals import Points, Search, Vectors
from qdrant_rerank.errors import MeasurementError
from qdrant_rerank.evaluate import Qrels, Topics, aevaluate, evaluate
from qdrant_rerank.learn import log_features
from qdrant_rerank.tune import Diverse, Grid, Space, tune
from tests.evaluate.worlds import DENSE, FUSED, QUESTIONS, client, encoders, qrels, topics
from tests.support import refused


def limited(message: str = "Too many requests", wait: str = "7") -> UnexpectedResponse:
    content = f'{{"status": {{"error": "{message}"}}}}'.encode()
    return UnexpectedResponse(429, message, content, httpx.Headers({"retry-after": wait}))


class Failing(Executor):
    """Fails at the searches whose numbers are given, with the error that `of` makes."""

    def __init__(self, *args: Any, at: range, of: Callable[[], Exception] = limited, **more: Any) -> None:
        super().__init__(*args, **more)
        self.at, self.of, self.searches = at, of, 0

    def search(self, step: Search) -> list[Points]:
        self.searches += 1
        if self.searches - 1 in self.at:
            raise self.of()
        return super().search(step)


class AsyncFailing(AsyncExecutor):
    """As `Failing`."""

    def __init__(self, *args: Any, at: range, **more: Any) -> None:
        super().__init__(*args, **more)
        self.at, self.searches = at, 0

    async def search(self, step: Search) -> list[Points]:
        self.searches += 1
        if self.searches - 1 in self.at:
            raise limited()
        return await super().search(step)


@pytest.fixture(scope="module")
def notes() -> QdrantClient:
    return client()


def failing(notes: QdrantClient, at: range, of: Callable[[], Exception] = limited) -> Failing:
    return Failing(notes, "notes", encoders=encoders(), at=at, of=of)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_rate_limit_is_waited_for_as_long_as_the_server_asks(notes: QdrantClient, batch_size: int) -> None:
    pauses: list[float] = []
    limited_once = failing(notes, range(1, 3))
    patient = Retries(3, sleep=pauses.append, spread=lambda: 0.0)
    found = evaluate(FUSED, topics(), qrels(), executor=limited_once, retries=patient, batch_size=batch_size)
    assert found.values == evaluate(FUSED, topics(), qrels(), executor=failing(notes, range(0))).values
    assert pauses == ([7.0, 7.0] if batch_size < 4 else [])
    assert not found.coverage.failed
    if batch_size == 1:
        assert found.costs.timed == 3  # the time of the topic that waited isn't that of its query


async def test_an_async_rate_limit_is_waited_for_too(notes: QdrantClient) -> None:
    pauses: list[float] = []

    async def asleep(seconds: float) -> None:
        pauses.append(seconds)

    executor = AsyncFailing(notes, "notes", encoders=encoders(), at=range(1, 3))
    found = await aevaluate(FUSED, topics(), qrels(), executor=executor, retries=Retries(3, asleep=asleep, spread=lambda: 0.0))
    assert pauses == [7.0, 7.0]
    assert found.values == evaluate(FUSED, topics(), qrels(), executor=failing(notes, range(0))).values


@pytest.mark.parametrize("concurrency", [1, 2])
def test_what_does_not_pass_stops_the_evaluation_with_what_there_is(
    notes: QdrantClient, tmp_path: Path, concurrency: int
) -> None:
    file = tmp_path / "run.jsonl"
    with refused(MeasurementError, "stopped at topic 'q", "a failure is no result", "Too many requests", str(file)) as caught:
        evaluate(
            FUSED, topics(), qrels(), executor=failing(notes, range(2, 99)), retries=0, run_file=file, concurrency=concurrency
        )
    error: Any = caught.value
    assert concurrency == 2 or list(error.run) == ["q1", "q2"]
    assert isinstance(error.__cause__, UnexpectedResponse)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.run) == (str(error), error.run)
    asked = failing(notes, range(0))
    resumed = evaluate(FUSED, topics(), qrels(), executor=asked, run_file=file)
    assert asked.searches == len(QUESTIONS) - len(error.run)
    assert resumed.values == evaluate(FUSED, topics(), qrels(), executor=failing(notes, range(0))).values


async def test_an_async_evaluation_stops_alike(notes: QdrantClient) -> None:
    executor = AsyncFailing(notes, "notes", encoders=encoders(), at=range(1, 99))
    with refused(MeasurementError, "stopped at topic 'q2'", "1 of 4 topics", "give run_file= to keep answers") as caught:
        await aevaluate(FUSED, topics(), qrels(), executor=executor, retries=0)
    assert list(caught.value.run) == ["q1"]  # type: ignore[attr-defined]
    with refused(UnexpectedResponse, "Too many requests"):
        await aevaluate(FUSED, topics(), qrels(), executor=executor, retries=0, on_error="raise")


def test_a_batch_that_the_server_fails_is_not_asked_topic_by_topic(notes: QdrantClient) -> None:
    executor = failing(notes, range(99))
    with refused(MeasurementError, "0 of 4 topics"):
        evaluate(FUSED, topics(), qrels(), executor=executor, retries=0, batch_size=4)
    assert executor.searches == 1


def test_failures_count_where_that_is_asked_for_and_are_told(notes: QdrantClient) -> None:
    found = evaluate(FUSED, topics(), qrels(), executor=failing(notes, range(1, 2)), retries=0, on_error="count")
    assert list(found.coverage.failed) == ["q2"]
    assert "1 topic failed and count as 0" in str(found)


def test_a_foreign_retriever_is_asked_again_too() -> None:
    tries: list[str] = []

    def search(text: str) -> list[str]:
        tries.append(text)
        if len(tries) in (1, 2):
            raise ResourceExhaustedResponse("Rate limit exceeded", 3)
        return ["train", "hut"]

    pauses: list[float] = []
    found = evaluate(search, topics(), qrels(), ["RR"], retries=Retries(3, sleep=pauses.append, spread=lambda: 0.0))
    assert pauses == [3.0, 3.0]
    assert not found.coverage.failed
    assert found.costs.timed == len(QUESTIONS)


async def test_an_async_foreign_retriever_too() -> None:
    tries: list[str] = []

    async def search(text: str) -> list[str]:
        tries.append(text)
        if len(tries) == 1:
            raise ConnectionError("refused")
        return ["train", "hut"]

    async def asleep(seconds: float) -> None:
        pass

    found = await aevaluate(search, topics(), qrels(), ["RR"], retries=Retries(3, asleep=asleep))
    assert not found.coverage.failed


def test_retries_are_checked(notes: QdrantClient) -> None:
    with refused(StrategyError, "retries must be a whole number of at least 0, got -1"):
        evaluate(DENSE, topics(), qrels(), executor=failing(notes, range(0)), retries=-1)


MANY = Topics({f"t{number}": text for number, text in enumerate(list(QUESTIONS.values()) * 7)})
JUDGED = Qrels({f"t{number}": {"train": 1, "hut": 0} for number in range(28)})


def deep(limit: int) -> Fusion:
    return Fusion.rrf().over(Nearest("dense", limit=limit), Nearest("dense", limit=2 * limit))


def away() -> Exception:
    return UnexpectedResponse(403, "Forbidden", b'{"status": {"error": "Forbidden"}}', httpx.Headers())


def test_tune_stops_where_candidates_fail_and_goes_on_from_its_cache(notes: QdrantClient, tmp_path: Path) -> None:
    space, cache = Space((Grid("deep", deep, {"limit": [4]}),)), tmp_path / "candidates.jsonl"
    for kept, says in ((cache, f"what was found is in {cache}"), (None, "cache= keeps what was found")):
        with refused(MeasurementError, "topics that fail would be left out", says, "Forbidden"):
            tune(
                failing(notes, range(1, 99), away),
                MANY,
                JUDGED,
                candidates=[Nearest("dense")],
                space=space,
                batch_size=4,
                cache=kept,
            )
    again = failing(notes, range(0))
    tune(again, MANY, JUDGED, candidates=[Nearest("dense")], space=space, batch_size=4, cache=cache, splits=2)
    assert again.searches == 6


def test_tune_waits_as_often_as_it_is_told(notes: QdrantClient) -> None:
    space = Space((Diverse((0.3,), "dense"),))
    options: Any = {"candidates": [Nearest("dense")], "space": space, "batch_size": 4, "splits": 2}
    whole = tune(failing(notes, range(0)), MANY, JUDGED, **options)
    for at in (range(1, 3), range(7, 9)):  # while the candidates are searched, and while Qdrant is asked for a strategy
        pauses: list[float] = []
        patient = Retries(2, sleep=pauses.append, spread=lambda: 0.0)
        found = tune(failing(notes, at), MANY, JUDGED, retries=patient, **options)
        assert found.values == whole.values
        assert pauses == [7.0, 7.0]
        hasty = failing(notes, at)
        with refused(MeasurementError, "Too many requests"):
            tune(hasty, MANY, JUDGED, retries=0, **options)
        assert hasty.searches == at.start + 1
    with refused(StrategyError, "retries must be a whole number of at least 0, got -1"):
        tune(failing(notes, range(0)), MANY, JUDGED, retries=-1, **options)


def test_a_log_of_features_waits_as_often_as_it_is_told(notes: QdrantClient) -> None:
    candidates, features = [Nearest("dense", limit=10)], {"dense": score("dense")}
    options: Any = {"batch_size": 2, "sample": 5}
    searches = failing(notes, range(0))
    log_features(searches, candidates, topics(), qrels(), features, **options)
    for at in (range(1, 3), range(searches.searches - 1, searches.searches + 1)):  # topics, and the sample at the end
        pauses: list[float] = []
        patient = Retries(2, sleep=pauses.append, spread=lambda: 0.0)
        log = log_features(failing(notes, at), candidates, topics(), qrels(), features, retries=patient, **options)
        assert log.coverage.topics == len(QUESTIONS)
        assert pauses == [7.0, 7.0]
        with refused(Exception, "Too many requests"):
            log_features(failing(notes, at), candidates, topics(), qrels(), features, retries=0, **options)


def test_tune_stops_where_a_strategy_that_qdrant_is_asked_for_fails(notes: QdrantClient) -> None:
    space = Space((Diverse((0.3,), "dense"),))
    with refused(MeasurementError, "a strategy that fails would be left out", "Forbidden"):
        tune(
            failing(notes, range(7, 99), away), MANY, JUDGED, candidates=[Nearest("dense")], space=space, batch_size=4, splits=2
        )


def test_a_log_of_features_stops_and_goes_on(notes: QdrantClient, tmp_path: Path) -> None:
    candidates, features, path = [Nearest("dense", limit=10)], {"dense": score("dense")}, tmp_path / "log.jsonl"
    with refused(MeasurementError, "those that fail would be left out", "Forbidden"):
        log_features(
            failing(notes, range(1, 99), away), candidates, topics(), qrels(), features, path=path, batch_size=2, sample=0
        )
    again = failing(notes, range(0))
    log = log_features(again, candidates, topics(), qrels(), features, path=path, batch_size=2, sample=0)
    assert log.coverage.topics == len(QUESTIONS)
    assert again.searches == 1


class Hanging(Executor):
    """Its encoder hangs at the second topic."""

    release = threading.Event()
    asked = 0

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        self.asked += 1
        if self.asked > 1:
            self.release.wait(30)
        return super().embed(texts, using)


class AsyncHanging(AsyncExecutor):
    """As `Hanging`."""

    asked = 0

    async def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        self.asked += 1
        if self.asked > 1:
            await asyncio.sleep(30)
        return await super().embed(texts, using)


@pytest.mark.parametrize("batch_size", [1, 2])
async def test_a_timeout_holds_for_each_topic_whatever_hangs(notes: QdrantClient, batch_size: int) -> None:
    options: Any = {"options": SearchOptions(4, timeout=0.5), "retries": 0, "batch_size": batch_size}
    said = "the call's timeout of 0.5 s was over", "while embedding"
    started = time.monotonic()
    with refused(MeasurementError, *said) as caught:
        evaluate(FUSED, topics(), qrels(), executor=Hanging(notes, "notes", encoders=encoders()), **options)
    Hanging.release.set()
    assert len(caught.value.run) == batch_size  # type: ignore[attr-defined]
    with refused(MeasurementError, *said):
        await aevaluate(FUSED, topics(), qrels(), executor=AsyncHanging(notes, "notes", encoders=encoders()), **options)
    assert time.monotonic() - started < 10
    Hanging.release.clear()


def test_a_pause_that_would_outlast_the_timeout_is_not_begun(notes: QdrantClient) -> None:
    pauses: list[float] = []
    with refused(MeasurementError, "Too many requests"):
        evaluate(
            FUSED,
            topics(),
            qrels(),
            executor=failing(notes, range(1, 3)),
            options=SearchOptions(4, timeout=5),
            retries=Retries(3, sleep=pauses.append),
        )
    assert pauses == []
