"""Calls are made again after what passes, by one policy: reads and writes, over REST and gRPC, awaited or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import httpx
import pytest
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from qdrant_rerank import Retries, StrategyError
from qdrant_rerank._internals import NO_RETRIES


class Flaky:
    """Raises the errors, one at a call, then answers."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    async def later(self) -> str:
        return self()


class Pauses(list[float]):
    """The pauses that would have been made, by which time goes on."""

    async def later(self, seconds: float) -> None:
        self.append(seconds)

    @property
    def passed(self) -> float:
        return sum(self)


def status(code: int, words: bytes = b"") -> UnexpectedResponse:
    return UnexpectedResponse(code, "", words, httpx.Headers())


def rpc(code: grpc.StatusCode, words: str = "") -> Exception:
    error: Exception = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), words)
    return error


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


Way = Callable[[Retries, Flaky, Any], Any]


def plainly(policy: Retries, call: Flaky, left: Any = None) -> str:
    return policy.run(call, left)


def awaited(policy: Retries, call: Flaky, left: Any = None) -> str:
    async def run() -> str:
        answer: Awaitable[str] = policy.arun(call.later, left)
        return await answer

    return asyncio.run(run())


@pytest.fixture(params=[plainly, awaited], ids=["sync", "async"])
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


def policy(pauses: Pauses, most: int = 3, **more: Any) -> Retries:
    return Retries(most, sleep=pauses.append, asleep=pauses.later, spread=lambda: 1.0, **more)


G = grpc.StatusCode
PASSING = [
    status(429),
    status(502),
    status(503),
    status(504),
    status(500, b'{"status": {"error": "Service internal error: tcp connect error: Connection refused"}}'),
    ResponseHandlingException(httpx.ConnectError("refused")),
    ResponseHandlingException(httpx.ReadTimeout("")),
    rpc(G.UNAVAILABLE),
    rpc(G.INTERNAL, "Service internal error: transport error"),
    rpc(G.DEADLINE_EXCEEDED),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: str(error)[:40].replace("\n", " "))
def test_what_passes_is_asked_again_after_growing_pauses(error: Exception, pauses: Pauses, way: Way) -> None:
    assert way(policy(pauses), Flaky(error, error, error), None) == "done"
    assert pauses == [0.5, 1.0, 2.0]


def test_pauses_are_random_but_never_shorter_than_half_nor_longer_than_the_longest(pauses: Pauses) -> None:
    shortest = Retries(5, sleep=pauses.append, spread=lambda: 0.0, longest_pause=2.0)
    shortest.run(Flaky(*[status(503)] * 5))
    assert pauses == [0.25, 0.5, 1.0, 1.0, 1.0]
    del pauses[:]
    Retries(1, sleep=pauses.append).run(Flaky(status(503)))
    assert 0.25 <= pauses[0] <= 0.5


def test_a_server_that_says_when_to_come_back_is_obeyed(pauses: Pauses, way: Way) -> None:
    assert way(policy(pauses), Flaky(ResourceExhaustedResponse("slow down", 7)), None) == "done"
    assert [round(pause, 6) for pause in pauses] == [7.7]


def test_calls_within_one_that_is_made_again_are_made_once(pauses: Pauses) -> None:
    call, inner = Flaky(*[status(503)] * 5), policy(pauses, 9)
    assert policy(pauses, 5).run(lambda: inner.run(call)) == "done"
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0]  # the outer one's
    assert inner.run(Flaky(status(503))) == "done"
    assert pauses[5:] == [0.5]
    assert NO_RETRIES.run(lambda: inner.run(Flaky(status(503)))) == "done"  # that one makes nothing again
    assert pauses[6:] == [0.5]


async def test_awaited_calls_within_one_that_is_made_again_are_made_once(pauses: Pauses) -> None:
    call, inner = Flaky(*[status(503)] * 5), policy(pauses, 9)
    assert await policy(pauses, 5).arun(lambda: inner.arun(call.later)) == "done"
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert await inner.arun(Flaky(status(503)).later) == "done"
    assert pauses[5:] == [0.5]


LASTING = [
    status(400),
    status(401),
    rpc(G.INVALID_ARGUMENT),
    ValueError("x"),
    ResponseHandlingException(ValueError("odd")),
    ResourceExhaustedResponse("Rate limiting exceeded: request larger than rate limiter capacity", 7),
    KeyboardInterrupt(),
]


@pytest.mark.parametrize("error", LASTING, ids=lambda error: repr(error)[:40].replace("\n", " "))
def test_what_does_not_pass_is_raised_at_once_as_it_is(error: BaseException, pauses: Pauses) -> None:
    call = Flaky(error)
    with pytest.raises(type(error)) as caught:
        policy(pauses).run(call)
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert (call.calls, pauses) == (1, [])


def test_the_last_error_passes_with_a_note(pauses: Pauses, way: Way) -> None:
    errors = [status(503) for _ in range(9)]
    call = Flaky(*errors)
    with pytest.raises(UnexpectedResponse) as caught:
        way(policy(pauses), call, None)
    assert call.calls == 4
    assert caught.value is errors[3]
    assert caught.value.__notes__ == ["gave up after 4 calls in 0.0 s"]


def test_a_pause_that_outlasts_the_time_left_is_not_begun(pauses: Pauses, way: Way) -> None:
    call = Flaky(*[status(503) for _ in range(9)])
    with pytest.raises(UnexpectedResponse):
        way(policy(pauses, most=9), call, lambda: 4.0 - pauses.passed)
    assert pauses == [0.5, 1.0, 2.0]
    asked = Flaky(ResourceExhaustedResponse("slow down", 60))
    with pytest.raises(ResourceExhaustedResponse) as caught:
        way(policy(pauses), asked, lambda: 30.0)
    assert caught.value.__notes__ == ["gave up after 1 call in 0.0 s; the server asks to wait 60 s"]
    assert (asked.calls, len(pauses)) == (1, 3)


def test_a_policy_may_have_an_end_of_its_own(pauses: Pauses) -> None:
    with pytest.raises(UnexpectedResponse):
        policy(pauses, seconds=1.5).run(Flaky(*[status(503) for _ in range(9)]), lambda: None)
    assert pauses == [0.5, 1.0]
    with pytest.raises(UnexpectedResponse):
        policy(pauses, seconds=60.0).run(Flaky(*[status(503) for _ in range(9)]), lambda: 0.1)
    assert pauses == [0.5, 1.0]


def test_without_retries_nothing_is_asked_twice_nor_noted(way: Way) -> None:
    for none in (NO_RETRIES, Retries.of(0)):
        call = Flaky(status(503))
        with pytest.raises(UnexpectedResponse) as caught:
            way(none, call, None)
        assert call.calls == 1
        assert not hasattr(caught.value, "__notes__")


def test_a_number_makes_a_policy_and_a_policy_is_one() -> None:
    assert Retries.of(2).most == 2
    kept = Retries(5)
    assert Retries.of(kept) is kept


@pytest.mark.parametrize("most", [-1, 1.5, True, "3", None])
def test_odd_numbers_of_retries_are_refused(most: Any) -> None:
    with pytest.raises(StrategyError, match="retries must be a whole number of at least 0"):
        Retries.of(most)


@pytest.mark.parametrize("name", ["first_pause", "longest_pause", "seconds"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "1"])
def test_odd_times_are_refused(name: str, value: Any) -> None:
    with pytest.raises(StrategyError, match=f"{name} must be a number of seconds above 0"):
        Retries(3, **{name: value})


async def test_the_pauses_of_awaited_calls_let_others_run() -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    call = Flaky(status(503))
    running = asyncio.create_task(Retries(1, first_pause=0.01).arun(call.later))
    await asyncio.sleep(0)
    await other()
    assert (await running, order, call.calls) == ("done", ["other"], 2)
