"""Concurrent searches leave together; what is one call's stays its own. Counts, never times."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx
import pytest
from llama_index.core.schema import QueryBundle
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from langchain_qdrant_rerank import QdrantRerankRetriever as LangChainRetriever
from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndexRetriever
from qdrant_rerank import AsyncExecutor, Formula, Nearest, Query, SearchOptions, TimeoutError, score
from qdrant_rerank._internals import Coalescer, can_share, is_large
from qdrant_rerank.errors import QueryError
from tests.stub_qdrant import Received, StubQdrant
from tests.support import ids, refused

ASKED = Query(vectors={"": [1.0, 0.0, 0.0, 0.0]})
Told = Mapping[str, Any]


def refusal(status: int = 400, text: str = "Wrong input: no") -> UnexpectedResponse:
    said = b'{"status": {"error": "%s"}}' % text.encode()
    return UnexpectedResponse(status_code=status, reason_phrase="", content=said, headers=httpx.Headers())


def unreachable() -> ResponseHandlingException:
    return ResponseHandlingException(httpx.ConnectError("refused"))


class Engine:
    """Answers a request with its `limit`, once it is let go; keeps what it was asked."""

    def __init__(self) -> None:
        self.batches: list[list[int | None]] = []
        self.told: list[Told] = []
        self.gate = asyncio.Event()
        self.cancelled = 0
        self.fails: Callable[[list[int | None]], Exception | None] = lambda batch: None

    async def ask(self, requests: Sequence[models.QueryRequest], told: Told) -> list[int | None]:
        batch = [request.limit for request in requests]
        self.batches.append(batch)
        self.told.append(told)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if (error := self.fails(batch)) is not None:
            raise error
        return batch


def request(number: int, **more: Any) -> models.QueryRequest:
    return models.QueryRequest(query=[0.5], limit=number, **more)


NONE: Told = {"consistency": None, "timeout": None}


async def turn() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def begin(coalescer: Coalescer, numbers: Sequence[int], told: Told = NONE, most: int | None = None) -> list[asyncio.Task[Any]]:
    return [asyncio.ensure_future(coalescer.search(request(number), told, most)) for number in numbers]


async def outcome(tasks: Sequence[Awaitable[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def hold_a_batch() -> tuple[Engine, Coalescer, list[asyncio.Task[Any]]]:
    """Six calls, of which four are answered, and the last two are under way in a batch that waits for the engine's gate."""
    engine = Engine()
    coalescer = Coalescer(engine.ask)
    gate, engine.gate = engine.gate, asyncio.Event()
    tasks = begin(coalescer, range(6))
    await turn()
    engine.gate.set()
    engine.gate = gate
    await turn()
    return engine, coalescer, tasks


async def test_what_comes_while_others_are_under_way_leaves_in_one_batch() -> None:
    engine = Engine()
    tasks = begin(Coalescer(engine.ask), range(1, 11))
    await turn()
    assert engine.batches == [[1], [2], [3], [4]]
    engine.gate.set()
    assert await outcome(tasks) == list(range(1, 11))
    assert engine.batches == [[1], [2], [3], [4], [5, 6, 7, 8, 9, 10]]


async def test_a_lone_search_goes_out_as_it_is_and_in_its_own_task() -> None:
    tasks: list[object] = []

    async def ask(requests: Sequence[models.QueryRequest], told: Told) -> list[object]:
        tasks.append(asyncio.current_task())
        return ["found"]

    assert await Coalescer(ask).search(request(1), NONE) == "found"
    assert tasks == [asyncio.current_task()]


async def test_batches_have_a_size_and_the_next_is_sent_when_one_is_answered() -> None:
    engine = Engine()
    tasks = begin(Coalescer(engine.ask), range(1, 13), most=3)
    await turn()
    engine.gate.set()
    assert await outcome(tasks) == list(range(1, 13))
    assert engine.batches[4:] == [[5, 6, 7], [8, 9, 10], [11, 12]]


async def test_only_searches_of_one_consistency_and_with_the_same_headers_share_a_batch() -> None:
    engine = Engine()
    coalescer = Coalescer(engine.ask)
    tasks = begin(coalescer, range(4))
    await turn()
    tasks += begin(coalescer, [11, 12])
    tasks += begin(coalescer, [21, 22], {"consistency": models.ReadConsistencyType.ALL, "timeout": None})
    tasks += begin(coalescer, [31, 32], {"consistency": None, "timeout": 3})
    headers = pytest.importorskip("qdrant_client.context_headers").headers
    with headers({"x-tenant": "a"}):
        tasks += begin(coalescer, [41, 42])
    tasks += begin(coalescer, [13])
    await turn()
    engine.gate.set()
    assert await outcome(tasks) == [0, 1, 2, 3, 11, 12, 21, 22, 31, 32, 41, 42, 13]
    assert engine.batches[4:] == [[11, 12, 13], [21, 22], [31, 32], [41, 42]]


async def test_clients_that_know_no_headers_of_a_context_share_batches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_client.context_headers", None)
    engine = Engine()
    tasks = begin(Coalescer(engine.ask), range(7))
    await turn()
    engine.gate.set()
    assert await outcome(tasks) == list(range(7))
    assert engine.batches[4:] == [[4, 5, 6]]


async def test_a_batch_has_the_longest_time_that_is_left_of_its_calls() -> None:
    engine = Engine()
    coalescer = Coalescer(engine.ask)
    tasks = begin(coalescer, range(4))
    await turn()
    for seconds in (3, 9, 5):
        tasks += begin(coalescer, [seconds], {"consistency": None, "timeout": seconds})
    await turn()
    engine.gate.set()
    await outcome(tasks)
    assert engine.told[4] == {"consistency": None, "timeout": 9}


async def test_large_requests_travel_alone_and_wait_for_nothing() -> None:
    engine = Engine()
    coalescer = Coalescer(engine.ask)
    tasks = begin(coalescer, range(5))
    await turn()
    big = models.QueryRequest(query=[0.5] * 2_000, limit=99)
    tasks.append(asyncio.ensure_future(coalescer.search(big, NONE)))
    await turn()
    assert engine.batches == [[0], [1], [2], [3], [99]]
    engine.gate.set()
    await outcome(tasks)


async def test_the_queue_is_bounded() -> None:
    engine = Engine()
    tasks = begin(Coalescer(engine.ask, most_waiting=2), range(8))
    await turn()
    assert engine.batches == [[0], [1], [2], [3], [6], [7]]
    engine.gate.set()
    assert await outcome(tasks) == list(range(8))


async def test_one_bad_request_fails_none_of_its_neighbours() -> None:
    engine = Engine()
    engine.fails = lambda batch: refusal() if 6 in batch else None
    tasks = begin(Coalescer(engine.ask), range(8))
    await turn()
    engine.gate.set()
    answers = await outcome(tasks)
    assert [each for each in answers if not isinstance(each, Exception)] == [0, 1, 2, 3, 4, 5, 7]
    assert isinstance(answers[6], UnexpectedResponse)
    assert engine.batches[4:] == [[4, 5, 6, 7], [4], [5], [6], [7]]


@pytest.mark.parametrize("error", [unreachable(), refusal(503)])
async def test_what_fails_them_all_is_asked_once_and_each_has_an_error_of_its_own(error: Exception) -> None:
    engine = Engine()
    engine.fails = lambda batch: error
    tasks = begin(Coalescer(engine.ask), range(8))
    await turn()
    engine.gate.set()
    errors = (await outcome(tasks))[4:]
    assert engine.batches == [[0], [1], [2], [3], [4, 5, 6, 7]]
    assert {type(each) for each in errors} == {type(error)}
    assert {str(each) for each in errors} == {str(error)}
    assert len({id(each) for each in errors}) == 4


async def test_a_call_that_is_cancelled_where_it_waits_never_leaves() -> None:
    engine = Engine()
    tasks = begin(Coalescer(engine.ask), range(7))
    await turn()
    tasks[5].cancel()
    await turn()
    engine.gate.set()
    answers = await outcome(tasks)
    assert isinstance(answers[5], asyncio.CancelledError)
    assert engine.batches[4:] == [[4, 6]]


async def test_a_call_that_is_cancelled_under_way_ends_no_other_and_the_last_ends_the_batch() -> None:
    engine, coalescer, tasks = await hold_a_batch()
    assert engine.batches[4:] == [[4, 5]]
    tasks[4].cancel()
    await turn()
    assert engine.cancelled == 0
    tasks[5].cancel()
    await turn()
    assert engine.cancelled == 1
    assert (await outcome(tasks))[:4] == [0, 1, 2, 3]
    engine.gate.set()
    assert await coalescer.search(request(7), NONE) == 7  # there is room again


async def test_a_batch_that_is_cancelled_by_something_else_leaves_nobody_waiting() -> None:
    _, coalescer, tasks = await hold_a_batch()
    for task in coalescer._tasks:
        task.cancel()
    answers = await outcome(tasks)
    assert answers[:4] == [0, 1, 2, 3]
    assert [type(answer) for answer in answers[4:]] == [asyncio.CancelledError] * 2


@pytest.mark.parametrize("ending", ["answered", "refused", "failed"])
async def test_a_call_that_is_cancelled_under_way_doesn_t_disturb_how_the_others_end(ending: str) -> None:
    engine, _, tasks = await hold_a_batch()
    tasks[4].cancel()
    await turn()
    failure = {"answered": None, "refused": refusal(), "failed": unreachable()}[ending]
    engine.fails = lambda batch: failure if len(batch) > 1 else None
    engine.gate.set()
    answers = await outcome(tasks)
    assert isinstance(answers[5], ResponseHandlingException) if ending == "failed" else answers[5] == 5
    assert engine.batches[4:] == [[4, 5]] + ([[5]] if ending == "refused" else [])


def test_how_large_a_request_is_is_estimated_from_all_of_it() -> None:
    text = models.Filter(must=[models.FieldCondition(key="k", match=models.MatchAny(any=["word" * 4] * 2_000))])
    pieces = [models.Prefetch(query=[0.5] * 384, limit=5) for _ in range(5)]
    formula = {"sum": [{"mult": [0.5, "$score[0]", 1]}] * 1_000}
    assert not is_large(request(1))
    assert not is_large(request(1, prefetch=pieces[:2], with_payload=["text"]))
    for large in (
        request(1, filter=text),
        request(1, prefetch=pieces),
        models.QueryRequest(query=[[0.5] * 128] * 32),
        models.QueryRequest(query=models.FormulaQuery.model_construct(formula=formula), prefetch=pieces[:1]),
    ):
        assert is_large(large)


async def test_where_searches_may_not_leave_together_each_goes_by_itself() -> None:
    engine = Engine()
    tasks = begin(Coalescer(engine.ask, shares=False), range(8))
    await turn()
    assert engine.batches == [[number] for number in range(8)]
    engine.gate.set()
    await outcome(tasks)


async def test_clients_whose_requests_depend_on_who_asks_share_nothing() -> None:
    url = "https://qdrant.invalid"
    plain = AsyncQdrantClient(url=url, check_compatibility=False)
    token = AsyncQdrantClient(url=url, check_compatibility=False, auth_token_provider=lambda: "token")
    assert can_share(plain)
    assert not can_share(token)


# By an executor


class Slow(StubQdrant):
    """Answers a search with its limit many points, some milliseconds after it was asked, so that others come meanwhile."""

    def answer(self, request: Received) -> tuple[int, Any]:
        self.pause(0.02)
        return super().answer(request)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


POINTS = [{"id": number, "score": 1.0 - number / 100, "payload": {"text": "a text"}} for number in range(30)]


def searches(stub: StubQdrant) -> list[str]:
    return [path.rpartition("/points/")[2] for path in stub.paths if "/points/" in path]


async def test_concurrent_searches_of_an_executor_leave_together_and_each_gets_its_own() -> None:
    with Slow(points=POINTS) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        async with AsyncExecutor(client, "docs") as executor:
            await executor.retrieve(Nearest(), ASKED)
            found = await asyncio.gather(*(executor.retrieve(Nearest(), ASKED, SearchOptions(n)) for n in range(1, 25)))
        assert [len(points) for points in found] == list(range(1, 25))
        assert len(searches(stub)) <= 9  # one, four by themselves, and the other twenty in few batches
        assert "query/batch" in searches(stub)
        client.close()


async def test_it_can_be_switched_off() -> None:
    with Slow(points=POINTS) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        async with AsyncExecutor(client, "docs", coalesce=False) as executor:
            await asyncio.gather(*(executor.retrieve(Nearest(), ASKED) for _ in range(12)))
        assert searches(stub) == ["query"] * 12
        client.close()


@pytest.mark.parametrize("coalesce", [True, False])
async def test_retrievers_of_both_frameworks_hand_the_switch_on(coalesce: bool) -> None:
    with Slow(points=POINTS) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        lang = LangChainRetriever(client=client, collection_name="docs", payload="flat", coalesce=coalesce)
        llama = LlamaIndexRetriever(client=client, collection_name="docs", payload="flat", coalesce=coalesce)
        for ask in (
            lambda: lang.ainvoke("q", vectors=[1.0, 0.0, 0.0, 0.0]),
            lambda: llama.aretrieve(QueryBundle("q", embedding=[1.0, 0.0, 0.0, 0.0])),
        ):
            before = len(stub.received)
            await asyncio.gather(*(ask() for _ in range(12)))
            paths = [request.path for request in stub.received[before:] if "/points/" in request.path]
            assert any(path.endswith("batch") for path in paths) == coalesce
            assert (len(paths) < 12) == coalesce
        lang.close()
        llama.close()
        client.close()


def test_a_switch_that_is_none_is_refused() -> None:
    with refused(QueryError, "coalesce must be True or False, got 'no'"):
        LlamaIndexRetriever(client=QdrantClient(":memory:"), collection_name="docs", coalesce="no")  # type: ignore[arg-type]


async def test_each_call_keeps_its_filter_and_its_time() -> None:
    def tenant(name: str) -> models.Filter:
        return models.Filter(must=[models.FieldCondition(key="tenant", match=models.MatchValue(value=name))])

    with Slow(points=POINTS) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        async with AsyncExecutor(client, "docs", fixed_filter=tenant("a")) as executor:
            await executor.retrieve(Nearest(), ASKED)

            async def ask(number: int) -> Any:
                timeout = 0.001 if number == 10 else 30.0
                return await executor.retrieve(
                    Nearest(), ASKED, SearchOptions(number, filter=tenant(str(number)), timeout=timeout)
                )

            found = await asyncio.gather(*map(ask, range(1, 13)), return_exceptions=True)
        assert isinstance(found[9], TimeoutError)
        assert [len(each) for number, each in enumerate(found) if number != 9 and not isinstance(each, BaseException)] == [
            number for number in range(1, 13) if number != 10
        ]
        for search in stub.searches[1:]:
            assert f'"{search["limit"]}"' in str(search["filter"]).replace("'", '"')
            assert '"a"' in str(search["filter"]).replace("'", '"')
        client.close()


async def test_batches_have_the_size_that_strict_mode_allows() -> None:
    with Slow(points=POINTS) as stub:
        stub.collections["docs"]["config"]["strict_mode_config"] = {"enabled": True, "search_max_batchsize": 2}
        client = QdrantClient(url=stub.url, check_compatibility=False)
        async with AsyncExecutor(client, "docs") as executor:
            await executor.retrieve(Nearest(), ASKED)
            await asyncio.gather(*(executor.retrieve(Nearest(), ASKED) for _ in range(12)))
        sizes = [len(request.body["searches"]) for request in stub.received if request.path.endswith("batch")]
        assert max(sizes) == 2
        client.close()


async def test_a_formula_that_fails_for_one_fails_for_that_one_alone() -> None:
    class Refusing(Slow):
        def answer(self, request: Received) -> tuple[int, Any]:
            self.pause(0.02)
            if '"limit": 7' in str(request.body).replace("'", '"'):
                return 400, {"status": {"error": "Wrong input: The expression 1/0 = inf produced a non-finite number"}}
            return super().answer(request)

    with Refusing(points=POINTS) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        strategy = Formula(2.0 * score()).over(Nearest(limit=20))
        async with AsyncExecutor(client, "docs") as executor:
            await executor.retrieve(strategy, ASKED)
            found = await asyncio.gather(
                *(executor.retrieve(strategy, ASKED, SearchOptions(n)) for n in range(1, 13)), return_exceptions=True
            )
        assert [number for number, each in enumerate(found, 1) if isinstance(each, BaseException)] == [7]
        assert [len(each) for each in found if not isinstance(each, BaseException)] == [n for n in range(1, 13) if n != 7]
        assert ids(found[0]) == [0]  # type: ignore[arg-type]
        client.close()
