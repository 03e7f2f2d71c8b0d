"""The time that a call may take: what it is, and that nothing outlasts it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from qdrant_client import QdrantClient, grpc, models

from qdrant_rerank import Executor, Nearest, PlanError, QdrantRerankError, Query, SearchOptions, TimeoutError
from qdrant_rerank._internals import (
    DEADLINE,
    Embed,
    Flow,
    Score,
    Scores,
    Search,
    arun,
    lift_deadline,
    run,
    whole_seconds,
    within,
)
from tests.stub_grpc import StubGrpc
from tests.stub_qdrant import StubQdrant, collection
from tests.support import COLLECTION, AsyncServices, Services, encoders, ids, query_vectors

LONG = 30.0


@pytest.mark.parametrize("seconds", [0, -1, 0.0, float("inf"), float("nan"), True, "5", "soon"])
def test_a_timeout_is_a_finite_number_above_0(toy: QdrantClient, seconds: Any) -> None:
    message = "timeout must be a finite number of seconds above 0"
    with pytest.raises(PlanError, match=message), within(seconds):
        pass
    with pytest.raises(PlanError, match=message):
        Executor(toy, COLLECTION).retrieve(Nearest("dense"), Query(vectors=query_vectors()), SearchOptions(timeout=seconds))
    assert any(message in problem for problem in SearchOptions(timeout=seconds).problems())


def test_without_a_timeout_there_is_no_deadline() -> None:
    with within(None) as deadline:
        assert deadline is None


def test_of_two_deadlines_the_sooner_holds() -> None:
    with within(LONG) as outer, within(2 * LONG) as same, within(1.0) as inner:
        assert same is outer
        assert inner is DEADLINE.get() is not outer
        with lift_deadline():
            assert DEADLINE.get() is None
        assert DEADLINE.get() is inner


def test_servers_and_clients_are_told_whole_seconds_of_at_least_1() -> None:
    assert [whole_seconds(seconds) for seconds in (None, 0.2, 1.0, 1.2, 30, 1e300)] == [None, 1, 1, 2, 30, 10_000_000]


def test_no_step_begins_after_the_deadline() -> None:
    asked: list[str] = []

    def everything() -> Flow[list[Any]]:
        found: list[Any] = []
        for step in (Embed(["q"], frozenset({"b", "a"})), Embed(["q", "r"], frozenset({"a"})), Search([]), Score("q", ["a"])):
            try:
                yield step
            except QdrantRerankError as error:
                found.append(str(error).partition("while ")[2])
        found += yield from Scores([Score("q", ["a", "b"])])
        return found

    services = Services(embed=lambda *_: asked.append("embed"), search=asked.append, score=lambda *_: asked.append("score"))
    expected = ["embedding the query for 'a', 'b'", "embedding 2 texts for 'a'", "searching (0 requests)", "scoring 1 texts"]

    async def both() -> tuple[list[Any], list[Any]]:
        with within(0.001):
            await asyncio.sleep(0.005)
            return run(everything(), services), await arun(everything(), AsyncServices(services))

    for found in asyncio.run(both()):
        assert found[:-1] == expected
        assert isinstance(found[-1], TimeoutError)
    assert asked == []


async def test_a_step_s_own_timeout_error_is_not_the_deadline_s() -> None:
    async def late(step: Search) -> Any:
        raise builtin("the server's own")

    builtin = __builtins__["TimeoutError"] if isinstance(__builtins__, dict) else __builtins__.TimeoutError

    def search() -> Flow[None]:
        yield from Search([])

    class Late:
        search = staticmethod(late)

    with within(LONG), pytest.raises(builtin, match="the server's own") as raised:
        await arun(search(), Late())  # type: ignore[arg-type]
    assert not isinstance(raised.value, QdrantRerankError)


def test_within_a_deadline_the_answer_is_the_same(toy: QdrantClient) -> None:
    executor = Executor(toy, COLLECTION, encoders=encoders())
    expected = ids(executor.retrieve(Nearest("dense"), Query("fox"), SearchOptions(3)))
    assert ids(executor.retrieve(Nearest("dense"), Query("fox"), SearchOptions(3, timeout=LONG))) == expected
    [found] = executor.retrieve_batch(Nearest("dense"), [Query("fox")], SearchOptions(3, timeout=LONG))
    assert ids(found) == expected
    assert ids(executor.explain(Nearest("dense"), Query("fox"), SearchOptions(3, timeout=LONG)).points) == expected


def test_what_is_left_is_handed_on_to_the_server_in_whole_seconds() -> None:
    with StubQdrant(collections={"docs": collection()}) as stub:
        client = QdrantClient(url=stub.url, check_compatibility=False)
        executor = Executor(client, "docs")
        query = Query(vectors={"": [1.0, 0.0, 0.0, 0.0]})
        executor.retrieve(Nearest(), query, SearchOptions(timeout=2.5))
        executor.retrieve(Nearest(), query, SearchOptions(timeout=0.5))
        executor.retrieve_batch(Nearest(), [query, query], SearchOptions(timeout=7))
        executor.retrieve(Nearest(), query)
        told = [request.parameters.get("timeout") for request in stub.received if request.path.endswith(("query", "batch"))]
    assert told == ["3", "1", "7", None]


@pytest.mark.parametrize("form", [2, "majority", "quorum", "all", *models.ReadConsistencyType])
def test_consistency_of_every_form_reaches_the_server_over_rest_and_grpc(form: Any) -> None:
    query, wanted = Query(vectors={"": [1.0, 0.0, 0.0, 0.0]}), SearchOptions(3, consistency=form)
    with StubQdrant() as rest, StubGrpc() as stub:
        over_grpc = QdrantClient(url=rest.url, grpc_port=stub.port, prefer_grpc=True, check_compatibility=False)
        for client in (QdrantClient(url=rest.url, check_compatibility=False), over_grpc):
            executor = Executor(client, "docs")
            executor.retrieve(Nearest(), query, wanted)
            executor.retrieve_batch(Nearest(), [query, query], wanted)
            executor.retrieve(Nearest(), query, SearchOptions(3, consistency=form, group_by="doc"))
        over_grpc.close()
        name = form if isinstance(form, int) else models.ReadConsistencyType(form).value
        told = [each.parameters["consistency"] for each in rest.received if "query" in each.path]
        sent = [each.read_consistency for each in stub.searches]
    assert told == [str(name)] * 3
    assert [each.factor or grpc.ReadConsistencyType.Name(each.type).lower() for each in sent] == [name] * 3


@pytest.mark.parametrize("form", [0, -1, 1.0, True, "most", object()])
def test_what_can_not_be_a_consistency_is_a_problem(form: Any) -> None:
    [problem] = SearchOptions(consistency=form).problems()
    assert "consistency must be a whole number of replicas of at least 1, or one of 'majority', 'quorum', 'all'" in problem
