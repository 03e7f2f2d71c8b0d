"""Strategies that are put to Qdrant for all topics at once: what fails is tried again, what can't be paid for isn't begun."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Nearest, RelevanceFeedback
from qdrant_rerank.errors import ClientError
from qdrant_rerank.models import Encoders
from qdrant_rerank.tune import Budget, Feedback, Space, TopicHits, tune
from qdrant_rerank.tune._internals import Access, BudgetSpent, Meter, ScoreBook, Serving
from tests.evaluate.tasting_worlds import PRECISION, Taster, tasting
from tests.support import refused

STRATEGY = RelevanceFeedback(seeds=Nearest("a", limit=5), coefficients=PRECISION)
SPACE = Space((Feedback(PRECISION),), depths=(30,))


def serving(executor: Executor, budget: Budget = Budget(model_texts=None), batch_size: int = 8) -> Serving:  # noqa: B008
    meter = Meter(budget)
    return Serving(Access(executor, meter, batch_size=batch_size), ScoreBook(executor, meter))


class Breaking:
    """An executor's search that fails at some of its calls."""

    def __init__(self, executor: Executor, calls: Sequence[int], error: Exception | None = None) -> None:
        self.search, self.calls, self.count = executor.search, calls, 0
        self.error = error or ConnectionError("the server is away")
        self.sizes: list[int] = []

    def __call__(self, step: Any) -> Any:
        self.count += 1
        self.sizes.append(len(step.requests))
        if self.count in self.calls:
            raise self.error
        return self.search(step)


def test_a_search_whose_failure_passes_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, topics, _ = tasting(count=20)
    whole = serving(executor).answer(STRATEGY, list(topics), 10)
    breaking = Breaking(executor, [2])
    monkeypatch.setattr(executor, "search", breaking)
    again = serving(executor)
    found = again.answer(STRATEGY, list(topics), 10)
    assert breaking.sizes == [8, 8, 8, 4, *[8, 8, 4]]  # the second share twice, then the second round
    assert again.access.meter.requests == 40
    for topic in topics:
        expected, points = whole[topic.id], found[topic.id]
        assert not isinstance(expected, Exception)
        assert not isinstance(points, Exception)
        assert [point.id for point in points] == [point.id for point in expected]


def test_a_search_whose_failure_does_not_pass_is_asked_again_in_smaller_company(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, topics, _ = tasting(count=20)
    breaking = Breaking(executor, [2], RuntimeError("one of these makes no sense"))
    monkeypatch.setattr(executor, "search", breaking)
    found = serving(executor).answer(STRATEGY, list(topics), 10)
    assert breaking.sizes == [8, 8, *[8, 8], *[8, 8], *[4, 4]]  # all failed with the second share, and came again by eights
    assert not [id for id, points in found.items() if isinstance(points, Exception)]


def test_a_topic_that_always_fails_is_alone_in_it() -> None:
    executor, topics, qrels = tasting(count=25)

    class Picky(Taster):
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            if query == "question 7":
                raise TimeoutError("no answer")
            return super().score(query, texts)

    executor.reranker = Picky("good")
    found = serving(executor).answer(STRATEGY, list(topics), 10)
    assert [id for id, points in found.items() if isinstance(points, Exception)] == ["t7"]
    tuning = tune(executor, topics, qrels, [Nearest("a")], space=SPACE, budget=Budget(model_texts=None))
    left = {each.name: each.reason for each in tuning.left_out}
    assert left["feedback from a, 5 scored"] == "it fails on 1 of 25 topics, e.g. 't7': TimeoutError: no answer"


def test_what_would_end_every_topic_ends_it_at_once() -> None:
    executor, topics, qrels = tasting(count=25)
    without = Executor(executor.clients.sync(), "world")
    with refused(ClientError, "there is none: pass reranker="):
        tune(without, topics, qrels, [Nearest("a")], baseline=STRATEGY, budget=Budget(model_texts=None))


def test_when_the_time_is_over_no_search_begins() -> None:
    executor, topics, _ = tasting(count=3)
    late = serving(executor, Budget(model_texts=None, milliseconds=1e-6))
    with refused(BudgetSpent, "milliseconds were over"):
        late.answer(STRATEGY, list(topics), 10)
    assert late.access.meter.requests == 0


def test_what_the_model_would_have_to_read_for_all_topics_is_known_before_it_reads_for_one() -> None:
    executor, topics, _ = tasting(count=3)
    short = serving(executor, Budget(model_texts=14))
    with refused(BudgetSpent, "would have to read 15 texts, and 14 of the budget are left"):
        short.answer(STRATEGY, list(topics), 10)
    assert isinstance(executor.reranker, Taster)
    assert executor.reranker.read == []
    enough = serving(executor, Budget(model_texts=15))
    assert len(enough.answer(STRATEGY, list(topics), 10)) == 3
    assert enough.access.meter.model_texts == 15


def test_topics_that_bring_no_vectors_are_embedded() -> None:
    executor, topics, _ = tasting(count=3)
    texts = {topic.text: topic.vectors["a"] for topic in topics}
    encoding = Executor(
        executor.clients.sync(), "world", encoders=Encoders.of({"a": lambda text: texts[text]}), reranker=Taster("good")
    )
    whole = serving(executor).answer(STRATEGY, list(topics), 10)
    bare = serving(encoding).answer(STRATEGY, [replace(topic, vectors={}) for topic in topics], 10)
    assert bare == whole


def test_topics_with_the_same_text_share_what_is_read_in_the_forecast() -> None:
    executor, topics, _ = tasting(count=3)
    now = dt.datetime.now(dt.UTC)
    documents: dict[models.ExtendedPointId, str] = {number: f"d{number}" for number in range(10)}
    few: dict[models.ExtendedPointId, str] = {1: "d1", 2: "d2"}
    all_hits = [TopicHits(replace(topic, text="one"), now, {}, documents) for topic in topics]
    all_hits += [TopicHits(replace(topics.items[0], text="other"), now, {}, few)]
    book = ScoreBook(executor, Meter(Budget()))
    assert book.least(all_hits, 5) == 5 + 2
    book.scores = {("one", f"text {number}"): 1.0 for number in range(4)} | {("other", str(number)): 1.0 for number in range(4)}
    assert book.least(all_hits, 5) == 1
    executor.reranker = Taster("good", independent=False)
    assert ScoreBook(executor, Meter(Budget())).least(all_hits, 5) == 3 * 5 + 2


def test_plain_strategies_share_round_trips() -> None:
    executor, topics, _ = tasting(count=20)
    plain = serving(executor)
    plain.answer(Nearest("a"), list(topics), 10)
    assert (plain.access.meter.requests, plain.access.meter.round_trips, plain.access.meter.model_texts) == (20, 3, 0)
