"""Collections that change under a living executor: aliases that move, collections made anew, indexes made later."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Nearest,
    PlanError,
    Query,
    QueryError,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    Strategy,
    StrategyError,
    score,
)
from qdrant_rerank._internals import Search, contradicts
from qdrant_rerank.expressions import rerank_score
from qdrant_rerank.feedback import Coefficients
from tests.engines import open_client
from tests.support import CountingClient, ids, refused

pytestmark = pytest.mark.filterwarnings("ignore:.* shards:qdrant_rerank.PlanWarning")  # on a server with several


COSINE, EUCLID = models.Distance.COSINE, models.Distance.EUCLID
VECTORS = [[1.0, 0.1 * number, 0.01 * number * number] for number in range(12)]
QUERY = Query("q", vectors={"": VECTORS[0]})
FOUR = SearchOptions(limit=4)


def make(client: QdrantClient, name: str, distance: models.Distance = COSINE, size: int = 3, vector: str = "") -> None:
    client.delete_collection(name)
    params = models.VectorParams(size=size, distance=distance)
    client.create_collection(name, {vector: params} if vector else params)
    rows = [row[:size] for row in VECTORS]
    points = [
        models.PointStruct(id=n, vector={vector: row} if vector else row, payload={"text": f"t{n}"})
        for n, row in enumerate(rows)
    ]
    client.upsert(name, points)


def move(client: QdrantClient, collection: str) -> None:
    create = models.CreateAlias(collection_name=collection, alias_name="live")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])


def live(**options: Any) -> tuple[CountingClient, Executor]:
    """Two collections, of similarities and of distances, and an executor over an alias of the first."""
    client = CountingClient()
    make(client, "v1", COSINE)
    make(client, "v2", EUCLID)
    move(client, "v1")
    options = {"reranker": lambda query, texts: [float(len(text)) for text in texts], **options}
    return client, Executor(client, "live", **options)


FORMULA = Formula(score()).over(Nearest(limit=12))
STRATEGIES: dict[str, Strategy] = {
    "formula": FORMULA,
    "on the client": Formula(score()).over(Nearest(limit=12)).on_client(),
    "blend": Rerank(reads=6, blend=score() + 0.0 * rerank_score()).over(Nearest()),
    "feedback": RelevanceFeedback(seeds=Nearest(limit=4), coefficients=Coefficients(1.0, 0.5, 0.5), trust=True),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_alias_that_moved_from_similarities_to_distances_turns_nothing_round(name: str) -> None:
    client, executor = live()
    strategy = STRATEGIES[name]
    before = ids(executor.retrieve(strategy, QUERY, FOUR))
    move(client, "v2")
    there = Executor(client, "live", reranker=executor.reranker)
    assert ids(executor.retrieve(strategy, QUERY, FOUR)) == ids(there.retrieve(strategy, QUERY, FOUR))
    move(client, "v1")
    assert ids(executor.retrieve(strategy, QUERY, FOUR)) == before


async def test_an_alias_that_moved_is_noticed_alike_when_awaited() -> None:
    client, sync = live()
    executor = AsyncExecutor(client, "live")
    before = ids(await executor.retrieve(FORMULA, QUERY, FOUR))
    assert before == ids(sync.retrieve(FORMULA, QUERY, FOUR))
    move(client, "v2")
    [found] = await executor.retrieve_batch(FORMULA, [QUERY], FOUR)
    assert ids(found) == ids(Executor(client, "live").retrieve(FORMULA, QUERY, FOUR))
    here = Formula(score()).over(Nearest(limit=12)).on_client()
    await executor.retrieve(here, QUERY, FOUR)
    move(client, "v1")
    assert ids(await executor.retrieve(here, QUERY, FOUR)) == before


def test_explanations_are_of_the_collection_that_the_alias_means_now() -> None:
    client, executor = live()
    executor.explain(FORMULA, QUERY, FOUR)
    move(client, "v2")
    explained = executor.explain(FORMULA, QUERY, FOUR)
    assert [point.id for point in explained.points] == [0, 1, 2, 3]
    for reason in explained.reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-6)


def test_a_collection_made_anew_with_another_size_is_asked_as_it_is_now() -> None:
    client, executor = live()
    executor.retrieve(FORMULA, QUERY, FOUR)
    make(client, "v3", size=2)
    move(client, "v3")
    short = Query(vectors={"": VECTORS[0][:2]})
    assert ids(executor.retrieve(FORMULA, short, FOUR)) == ids(Executor(client, "live").retrieve(FORMULA, short, FOUR))
    with refused(QueryError, "has 2 dimensions, the query's has 3"):
        executor.retrieve(FORMULA, QUERY, FOUR)


def test_a_vector_that_was_not_there_is_looked_for_again_before_a_plan_is_refused() -> None:
    client, _ = live()
    executor, named = Executor(client, "v1"), Nearest("dense")
    with refused(PlanError, "no vector named 'dense'"):
        executor.plan(named)
    make(client, "v1", vector="dense")
    assert executor.retrieve(named, Query(vectors={"dense": VECTORS[0]}))
    with refused(QueryError, "brings a vector for ''"):
        executor.retrieve(named, QUERY)


async def test_a_vector_that_was_not_there_is_looked_for_again_alike_when_awaited() -> None:
    client, _ = live()
    executor, named = AsyncExecutor(client, "v1"), Nearest("dense")
    await executor.retrieve(Nearest(), QUERY)
    for _ in range(2):
        with refused(PlanError, "no vector named 'dense'"):
            await executor.plan(named)
    make(client, "v1", vector="dense")
    assert await executor.retrieve(named, Query(vectors={"dense": VECTORS[0]}))


def test_a_collection_that_is_gone_is_said_to_be_gone_and_found_once_it_is_back() -> None:
    client, _ = live()
    executor = Executor(client, "v1")
    executor.retrieve(Nearest(), QUERY)
    client.delete_collection("v1")
    for _ in range(2):
        with refused(PlanError, "there is no collection 'v1'", "has 'v2'"):
            executor.retrieve(Nearest(), QUERY)
    make(client, "v1", size=2)
    assert executor.retrieve(Nearest(), Query(vectors={"": [1.0, 0.0]}))


async def test_a_collection_that_is_gone_is_said_to_be_gone_alike_when_awaited() -> None:
    client, _ = live()
    executor = AsyncExecutor(client, "v1")
    await executor.retrieve(Nearest(), QUERY)
    client.delete_collection("v1")
    with refused(PlanError, "there is no collection 'v1'"):
        await executor.retrieve(Nearest(), QUERY)


def reads(client: CountingClient) -> int:
    return client.calls.count("get_collection")


def test_a_failing_call_reads_the_schema_once_more_and_a_wrong_call_not_at_all() -> None:
    client, executor = live()
    executor.retrieve(Nearest(), QUERY)
    client.calls.clear()
    with refused(QueryError, "the query's has 2"):
        executor.retrieve(Nearest(), Query(vectors={"": [1.0, 0.0]}))
    assert reads(client) == 1
    with refused(PlanError, "no vector named 'x'"):
        executor.retrieve(Nearest("x"), QUERY)
    assert reads(client) == 2
    with refused(PlanError, "limit must be"):
        executor.retrieve(Nearest(), QUERY, SearchOptions(limit=0))
    with refused(QueryError, "text is empty"):
        executor.retrieve(Nearest(), Query(" "))
    assert reads(client) == 2


def test_an_answer_without_points_is_no_change() -> None:
    client, executor = live()
    nothing = models.Filter(must=[models.HasIdCondition(has_id=[99])])
    assert executor.retrieve(FORMULA, QUERY, SearchOptions(filter=nothing)) == []
    assert reads(client) == 2
    kept = executor.plan(FORMULA).strategy
    assert executor.retrieve(FORMULA, QUERY, SearchOptions(filter=nothing)) == []
    assert executor.plan(FORMULA).strategy is kept


def test_a_schema_that_is_old_is_read_again_and_its_plans_stay_if_nothing_changed() -> None:
    client, executor = live(schema_ttl=0.001)
    strategy = Nearest()
    kept = executor.plan(strategy)
    moment = threading.Event()
    moment.wait(0.005)
    client.upsert("v1", [models.PointStruct(id=99, vector=VECTORS[0])])
    assert executor.plan(strategy) is kept
    assert reads(client) == 2
    moment.wait(0.005)
    move(client, "v2")
    assert executor.plan(strategy).target.schema.vectors[""].distance == EUCLID


async def test_a_schema_that_is_old_is_read_again_alike_when_awaited() -> None:
    client, _ = live()
    executor = AsyncExecutor(client, "live", schema_ttl=0.001)
    before = await executor.target()
    await asyncio.sleep(0.005)
    move(client, "v2")
    first, second = await asyncio.gather(executor.target(), executor.target())
    assert {first.schema.vectors[""].distance, second.schema.vectors[""].distance} == {COSINE, EUCLID}  # one goes on meanwhile
    assert before.schema.vectors[""].distance == COSINE


def test_without_a_time_to_live_a_schema_is_not_read_again_by_itself() -> None:
    client, executor = live(schema_ttl=None)
    executor.plan(Nearest())
    executor._read_at -= 1e9
    executor.plan(Nearest())
    assert reads(client) == 1
    executor = Executor(client, "live")
    executor.plan(Nearest())
    executor._read_at -= 299
    executor.plan(Nearest())
    assert reads(client) == 2
    executor._read_at -= 1
    executor.plan(Nearest())
    assert reads(client) == 3


@pytest.mark.parametrize("ttl", [0, -1.0, "300", True, float("nan"), float("inf")])
def test_a_time_to_live_that_is_none_is_refused(ttl: Any) -> None:
    with refused(StrategyError, "schema_ttl must be a number of seconds above 0, or None for never"):
        Executor(open_client(), "live", schema_ttl=ttl)


class Unreachable(CountingClient):
    """A client whose collection can't be read while it is `away`."""

    away = False

    def get_collection(self, *args: Any, **kwargs: Any) -> Any:
        if self.away:
            self.calls.append("get_collection")
            raise ConnectionError("a shard's node is away")
        return super().get_collection(*args, **kwargs)


def test_a_schema_that_cannot_be_read_again_has_to_do_and_is_not_asked_for_at_each_query() -> None:
    client = Unreachable()
    make(client, "v1")
    executor = Executor(client, "v1", schema_ttl=5)
    before = ids(executor.retrieve(Nearest(), QUERY))
    executor._read_at -= 5
    client.away = True
    client.calls.clear()
    for _ in range(3):
        assert ids(executor.retrieve(Nearest(), QUERY)) == before
    assert reads(client) == 1
    client.away = False
    executor._read_at -= 10
    executor.retrieve(Nearest(), QUERY)
    assert reads(client) == 2


async def test_a_schema_that_cannot_be_read_again_has_to_do_alike_when_awaited() -> None:
    client = Unreachable()
    make(client, "v1")
    executor = AsyncExecutor(client, "v1", schema_ttl=5)
    before = ids(await executor.retrieve(Nearest(), QUERY))
    executor._read_at -= 5
    client.away = True
    assert ids(await executor.retrieve(Nearest(), QUERY)) == before


class Slow(CountingClient):
    """A client whose schema takes until `go` to be read, once it is `slow`."""

    slow = False

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go = threading.Event(), threading.Event()

    def get_collection(self, *args: Any, **kwargs: Any) -> Any:
        if self.slow:
            self.asked.set()
            assert self.go.wait(5)
        return super().get_collection(*args, **kwargs)


def test_while_one_thread_reads_an_old_schema_again_others_go_on() -> None:
    client = Slow()
    make(client, "v1")
    executor = Executor(client, "v1", schema_ttl=100)
    known = executor.target()
    executor._read_at -= 100
    client.slow = True
    reading = threading.Thread(target=executor.target)
    reading.start()
    assert client.asked.wait(5)
    assert executor.target() is known
    client.go.set()
    reading.join(5)
    assert executor.target() is known
    assert reads(client) == 2


def test_threads_that_fail_alike_read_the_schema_once() -> None:
    client = Slow()
    make(client, "v1")
    executor = Executor(client, "v1")
    executor.plan(Nearest())
    make(client, "v1", vector="dense")
    client.slow, done = True, []

    def ask() -> None:
        done.append(ids(executor.retrieve(Nearest("dense"), Query(vectors={"dense": VECTORS[0]}), FOUR)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert client.asked.wait(5)
    client.go.set()
    for thread in threads:
        thread.join(5)
    assert done == [[0, 1, 2, 3]] * 4
    assert reads(client) <= 3  # the first, and those that were under way together


def test_a_plan_made_while_another_thread_reads_the_schema_is_not_kept() -> None:
    _, executor = live()
    target = executor.target()
    executor.refresh()
    executor._make_and_keep(Nearest(), FOUR, target, target)
    assert not executor._plans._by_identity


def test_a_search_in_the_wrong_order_says_what_to_do() -> None:
    client, executor = live()
    plan = executor.plan(STRATEGIES["on the client"])
    move(client, "v2")
    with refused(PlanError, "'live' has changed since its schema was read", "refresh() reads the schema again"):
        executor.search(Search(list(plan.strategy.first_requests(*inputs(plan))), schema=plan.target.schema))


def inputs(plan: Any) -> tuple[Any, SearchOptions]:
    from qdrant_rerank._internals import Inputs

    return Inputs(plan.target, {"": VECTORS[0]}), FOUR


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("Collection x not found"), True),
        (ConnectionError("refused"), False),
        (QueryError("the query's text is empty"), False),
        (PlanError(["no"]), True),
        (StrategyError("no"), False),
    ],
)
def test_what_may_come_of_an_old_schema(error: Exception, expected: bool) -> None:
    assert contradicts(error) is expected
