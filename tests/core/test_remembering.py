"""What executors remember of a collection and of strategies, and what they warn about."""

from __future__ import annotations

import asyncio
import copy
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Coefficients,
    Executor,
    Formula,
    Nearest,
    PlanError,
    PlanWarning,
    Query,
    QueryError,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    field,
    param,
    score,
)
from qdrant_rerank._internals import Inputs, Request
from qdrant_rerank.planning import Capabilities
from tests.engines import current, open_client
from tests.support import (
    COLLECTION,
    QUERY,
    CountingClient,
    create_toy,
    dense,
    encoders,
    fill_toy,
    ranking,
    refused,
)

SHORT = Nearest("dense", limit=5)


def test_a_strategy_is_checked_once_and_a_call_each_time(executor: Executor) -> None:
    strategy = Nearest("colbert").over(SHORT)
    assert executor.plan(strategy, SearchOptions(3)).strategy is executor.plan(strategy, SearchOptions(4)).strategy
    with refused(PlanError, "the call asks for 6 points"):
        executor.plan(strategy, SearchOptions(6))


class Noting(Nearest):
    """Notes with which options its request is made."""

    noted: ClassVar[list[SearchOptions]] = []

    def request(self, inputs: Inputs, options: SearchOptions) -> Request:
        self.noted.append(options)
        return super().request(inputs, options)


@pytest.mark.parametrize("model", ["rerank", "feedback"])
def test_the_first_search_of_a_model_has_the_same_options_each_time_so_that_it_finds_what_it_made(model: str) -> None:
    below, options = Noting("dense", limit=5), SearchOptions(3)
    feedback = RelevanceFeedback(seeds=below, coefficients=Coefficients(1, 1, 0.1), trust=True)
    strategy = Rerank().over(below) if model == "rerank" else feedback
    executor = Executor(fill_toy(QdrantClient(":memory:")), COLLECTION, encoders=encoders(), reranker=lengths)
    executor.retrieve(strategy, Query(QUERY), options)  # plans it, too
    Noting.noted.clear()
    first, second = (executor.retrieve(strategy, Query(QUERY), options) for _ in range(2))
    assert first == second
    assert len(Noting.noted) == 2
    assert Noting.noted[0] is Noting.noted[1]
    executor.retrieve(strategy, Query(QUERY), replace(options, limit=2))
    assert Noting.noted[2] is not Noting.noted[1]
    used = executor.plan(strategy, options).strategy
    assert copy.deepcopy(used) == copy.copy(used) == used  # what is kept holds functions, which can't be copied


def lengths(query: str, texts: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in texts]


def test_plans_of_many_strategies_do_not_pile_up(executor: Executor) -> None:
    strategies = [Nearest("dense", limit=number) for number in range(1, 200)]
    for strategy in strategies:
        executor.plan(strategy, SearchOptions(1))
    assert len(executor._plans._by_identity) <= 64
    assert executor.plan(strategies[0], SearchOptions(1)).strategy == strategies[0]


def test_the_same_strategy_and_options_find_their_plan_at_once_but_for_what_is_told_at_each_call(executor: Executor) -> None:
    options, threshold = SearchOptions(3), SearchOptions(3, score_threshold=0.1)
    made = executor.plan(SHORT, options)
    assert executor._find_plan(SHORT, options) is made
    executor.plan(SHORT, threshold)
    assert executor._find_plan(SHORT, threshold) is executor._find_plan(SHORT, SearchOptions(3)) is None
    executor.refresh()
    assert executor._find_plan(SHORT, options) is None


def test_what_is_known_for_too_long_finds_no_plan(executor: Executor) -> None:
    options = SearchOptions(3)
    executor.plan(SHORT, options)
    executor._read_at -= 1_000
    assert executor._find_plan(SHORT, options) is None


def test_a_refreshed_executor_sees_a_changed_collection() -> None:
    client = open_client()
    parameters = models.VectorParams(size=4, distance=models.Distance.COSINE)
    client.create_collection("notes", vectors_config={"dense": parameters})
    client.upsert("notes", [models.PointStruct(id=1, vector={"dense": dense("a")})])
    executor = Executor(client, "notes", encoders=encoders())
    assert len(executor.retrieve(Nearest("dense"), Query("a"))) == 1
    client.delete_collection("notes")
    client.create_collection("notes", vectors_config={"other": parameters})
    client.upsert("notes", [models.PointStruct(id=1, vector={"other": dense("a")})])
    executor.refresh()
    with refused(PlanError, "has 'other'"):
        executor.retrieve(Nearest("dense"), Query("a"))


def test_nothing_is_warned_about_where_nothing_is_odd(executor: Executor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        formula = Formula(score() + field("rating", default=0)).over(SHORT)
        executor.retrieve(formula.on_client() if current().shards > 1 else formula, Query(QUERY), SearchOptions(3))


def old(toy: QdrantClient) -> Executor:
    return Executor(toy, COLLECTION, encoders=encoders(), capabilities=Capabilities.of("1.16.0", "local"))


SCORED = Formula(score()).over(SHORT)
IGNORED = r"qdrant-client 1.16.0 \(local mode\) ignores score_threshold on a formula, which 1.17 brought"


def test_what_the_server_ignores_is_told_when_a_strategy_is_first_used(toy: QdrantClient) -> None:
    executor, strategy = old(toy), Formula(score(), score_threshold=0.1).over(SHORT)
    with pytest.warns(PlanWarning, match=IGNORED):
        executor.retrieve(strategy, Query(QUERY), SearchOptions(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        executor.retrieve(strategy, Query(QUERY), SearchOptions(4))


def test_what_the_server_ignores_of_a_later_call_is_told_too(toy: QdrantClient) -> None:
    executor = old(toy)
    executor.retrieve(SCORED, Query(QUERY), SearchOptions(3))
    with pytest.warns(PlanWarning, match=IGNORED):
        executor.retrieve(SCORED, Query(QUERY), SearchOptions(3, score_threshold=0.1))


def test_a_misspelt_request_time_value_is_refused_though_it_has_a_default(executor: Executor) -> None:
    strategy = Formula(score() + param("budget", default=0)).over(SHORT)
    with refused(QueryError, "reads no request-time value 'bugdet'", "it reads: 'budget'", "did you mean 'budget'?"):
        executor.retrieve(strategy, Query(QUERY, params={"bugdet": 3}), SearchOptions(3))


def test_request_time_values_that_nothing_reads_do_no_harm(executor: Executor) -> None:
    assert executor.retrieve(SHORT, Query(QUERY, params={"age": 30}), SearchOptions(3))


def test_a_query_vector_for_a_vector_that_is_not_there_is_refused(executor: Executor) -> None:
    with refused(QueryError, "brings a vector for 'dence'", "did you mean 'dense'?"):
        executor.retrieve(SHORT, Query(QUERY, {"dence": dense(QUERY)}), SearchOptions(3))


class SlowClient(CountingClient):
    """A client that takes its time to say what it is, so that others ask meanwhile."""

    def info(self) -> Any:
        time.sleep(0.05)
        return super().info()


def test_many_threads_read_the_schema_once_and_get_what_one_does() -> None:
    client = SlowClient()
    fill_toy(client)
    client.calls.clear()
    executor = Executor(client, COLLECTION, encoders=encoders())
    strategies = [Formula(number * score() + param("bonus")).over(SHORT) for number in range(1, 9)]

    def ask(number: int) -> list[Any]:
        strategy = strategies[number % 8]
        return ranking(executor.retrieve(strategy, Query(QUERY, params={"bonus": float(number)}), SearchOptions(3)))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(40)))
    assert client.calls.count("get_collection") == client.calls.count("info") == 1
    for number, answer in enumerate(answers):
        assert answer == ask(number)


async def test_many_tasks_read_the_schema_once() -> None:
    client = SlowClient()
    fill_toy(client)
    client.calls.clear()
    executor = AsyncExecutor(client, COLLECTION, encoders=encoders())
    await asyncio.gather(*(executor.retrieve(SHORT, Query(QUERY), SearchOptions(3)) for _ in range(10)))
    assert client.calls.count("get_collection") == client.calls.count("info") == 1


def test_a_warning_points_to_the_call_that_it_is_about(toy: QdrantClient) -> None:
    strategy, query = Formula(score(), score_threshold=0.1).over(Nearest("dense", limit=20)), Query(QUERY)
    awaited = AsyncExecutor(toy, COLLECTION, encoders=encoders(), capabilities=Capabilities.of("1.16.0", "local"))
    empty = open_client()
    create_toy(empty)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        old(toy).plan(strategy)
        old(toy).retrieve_batch(strategy, [query] * 2)
        old(toy).explain(strategy, query)
        asyncio.run(awaited.retrieve(strategy, query))
        Executor(empty, COLLECTION, encoders=encoders()).retrieve(SHORT, query)
        asyncio.run(AsyncExecutor(empty, COLLECTION, encoders=encoders()).retrieve(SHORT, query))  # a task of its own reads
    assert {warning.filename for warning in caught} == {__file__}
    assert len({warning.lineno for warning in caught}) == 6
