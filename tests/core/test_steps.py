"""The two drivers, and what they promise to flows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import QdrantRerankError
from qdrant_rerank._internals import Embed, Flow, Points, Score, Search, Vectors, arun, run
from tests.support import AsyncServices, Services, script

REQUEST = models.QueryRequest(query=[1.0], limit=3)
POINTS: Points = [models.ScoredPoint(id=1, version=0, score=0.5), models.ScoredPoint(id=2, version=0, score=0.25)]
SCORES = [0.1, 0.9]


def drive_sync(flow: Flow[Any], services: Services) -> Any:
    return run(flow, services)


def drive_async(flow: Flow[Any], services: Services) -> Any:
    return asyncio.run(arun(flow, AsyncServices(services)))


both_drivers = pytest.mark.parametrize("drive", [drive_sync, drive_async])
Drive = Callable[[Flow[Any], Services], Any]


def everything() -> Flow[tuple[list[Vectors], Points, list[float]]]:
    """One step of each kind. That this type-checks is the test of the answers' types."""
    vectors = yield from Embed(["q"], frozenset({"dense"}))
    [points] = yield from Search([REQUEST])
    scores = yield from Score("q", [str(point.id) for point in points])
    return vectors, points, scores


def services(**others: Any) -> Services:
    answers = {
        "embed": lambda texts, using: [{name: [1.0] for name in using} for _ in texts],
        "search": lambda step: [POINTS for _ in step.requests],
        "score": lambda query, texts: SCORES,
    }
    return Services(**(answers | others))


class Broken(Exception):
    """What a service raises in these tests."""


def breaking(*_: Any) -> Any:
    raise Broken("the model is down")


@both_drivers
def test_each_step_is_answered_by_its_service(drive: Drive) -> None:
    used = services()
    assert drive(everything(), used) == ([{"dense": [1.0]}], POINTS, SCORES)
    assert used.asked == ["embed", "search", "score"]


def test_a_script_of_answers_drives_a_flow_like_the_services() -> None:
    steps, result = script(everything(), [{"dense": [1.0]}], [POINTS], SCORES)
    assert steps == [Embed(["q"], frozenset({"dense"})), Search([REQUEST]), Score("q", ["1", "2"])]
    assert result == drive_sync(everything(), services())


@both_drivers
def test_a_flow_without_steps_returns_at_once(drive: Drive) -> None:
    def idle() -> Flow[int]:
        return 7
        yield Search([])

    assert drive(idle(), services()) == 7


def degrading() -> Flow[tuple[Points, str]]:
    """Keeps the first ranking when the model fails."""
    [points] = yield from Search([REQUEST])
    try:
        scores = yield from Score("q", ["a", "b"])
    except Broken as error:
        return points, f"not rescored: {error}"
    return [point for _, point in sorted(zip(scores, points, strict=True), key=lambda pair: -pair[0])], "rescored"


@both_drivers
def test_a_flow_may_catch_a_steps_error_and_degrade(drive: Drive) -> None:
    assert drive(degrading(), services()) == (POINTS[::-1], "rescored")
    assert drive(degrading(), services(score=breaking)) == (POINTS, "not rescored: the model is down")


def test_a_script_throws_the_exceptions_among_its_answers() -> None:
    assert script(degrading(), [POINTS], Broken("gone")).result == (POINTS, "not rescored: gone")


@both_drivers
def test_a_flow_may_ask_again_after_an_error(drive: Drive) -> None:
    def retrying() -> Flow[list[float]]:
        with suppress(Broken):
            return (yield from Score("q", ["a"]))
        return (yield from Score("q", ["b"]))

    def fails_for_a(_: str, texts: list[str]) -> list[float]:
        return breaking() if texts == ["a"] else [0.5]

    assert drive(retrying(), services(score=fails_for_a)) == [0.5]


@both_drivers
def test_an_error_that_the_flow_does_not_catch_reaches_the_caller_with_the_flows_line(drive: Drive) -> None:
    with pytest.raises(Broken, match="the model is down") as caught:
        drive(everything(), services(score=breaking))
    assert "everything" in {entry.name for entry in caught.traceback}


@both_drivers
def test_a_stop_iteration_of_a_service_is_an_error_and_not_the_end(drive: Drive) -> None:
    def stopping(*_: Any) -> Any:
        raise StopIteration("from an encoder")

    with pytest.raises(QdrantRerankError, match="StopIteration: from an encoder") as raised:
        drive(everything(), services(search=stopping))
    assert isinstance(raised.value.__cause__, StopIteration)


class Watched:
    """A flow that notes how it ended."""

    def __init__(self) -> None:
        self.ended_by: str | None = None

    def flow(self) -> Flow[None]:
        try:
            yield Score("q", ["a"])
        except BaseException as error:
            self.ended_by = type(error).__name__
            raise


@both_drivers
def test_what_no_flow_may_catch_closes_it(drive: Drive) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    watched = Watched()
    flow = watched.flow()  # kept, or Python itself would close it
    with pytest.raises(KeyboardInterrupt):
        drive(flow, services(score=interrupted))
    assert watched.ended_by == "GeneratorExit"


async def test_cancellation_closes_the_flow_and_stays_a_cancellation() -> None:
    watched, started = Watched(), asyncio.Event()

    class Slow(AsyncServices):
        async def score(self, query: Any, texts: Any) -> list[float]:
            started.set()
            await asyncio.sleep(60)
            raise AssertionError("not reached")

    flow = watched.flow()
    task = asyncio.create_task(arun(flow, Slow(services())))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watched.ended_by == "GeneratorExit"


@both_drivers
def test_a_flow_that_fails_by_itself_is_closed_and_its_error_raised(drive: Drive) -> None:
    closed: list[str] = []

    def failing() -> Flow[None]:
        try:
            yield from Search([REQUEST])
            raise Broken("in the flow")
        finally:
            closed.append("yes")

    with pytest.raises(Broken, match="in the flow"):
        drive(failing(), services())
    assert closed == ["yes"]


def test_a_script_without_enough_answers_says_so() -> None:
    with pytest.raises(AssertionError, match="no answer to Search"):
        script(everything(), [{"dense": [1.0]}])
    with pytest.raises(AssertionError, match="ended before these answers"):
        script(everything(), [{"dense": [1.0]}], [POINTS], SCORES, "more")


def test_a_flow_does_nothing_before_it_is_driven() -> None:
    def eager() -> Generator[Any, Any, None]:
        raise AssertionError("ran")
        yield

    eager().close()
