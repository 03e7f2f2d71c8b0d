"""`together`: many flows as one, asking once for what they ask for at the same time."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from qdrant_client import models

from qdrant_rerank._internals import AsyncServices, Embed, Flow, Score, Scores, Search, Step, arun, run, together
from tests.core.test_steps import Broken, breaking, services
from tests.support import script
from tests.waiting import PATIENCE


def request(number: int) -> models.QueryRequest:
    return models.QueryRequest(query=[float(number)], limit=number)


def embeds(text: str, *using: str) -> Flow[Any]:
    [vectors] = yield from Embed([text], frozenset(using))
    return text, vectors


def searches(number: int, timeout: int | None = None, consistency: models.ReadConsistency | None = None) -> Flow[Any]:
    [points] = yield from Search([request(number)], consistency, timeout)
    return number, points


def scores(query: str, *texts: str) -> Flow[Any]:
    return query, (yield from Score(query, texts))


def chain(number: int, *then: Flow[Any]) -> Flow[Any]:
    found = [(yield from searches(number))]
    for flow in then:
        found.append((yield from flow))
    return found


def test_searches_of_one_moment_are_one_step_and_each_flow_gets_its_share() -> None:
    steps, result = script(together([searches(1), searches(2), searches(3)]), ["a", "b", "c"])
    assert steps == [Search([request(1), request(2), request(3)])]
    assert result == [(1, "a"), (2, "b"), (3, "c")]


def test_shares_are_as_long_as_what_was_asked() -> None:
    def two() -> Flow[Any]:
        return (yield from Search([request(1), request(2)]))

    steps, result = script(together([two(), searches(3), two()]), ["a", "b", "c", "d", "e"])
    assert len(steps) == 1
    assert result == [["a", "b"], (3, "c"), ["d", "e"]]


def test_searches_with_other_options_stay_apart() -> None:
    steps, result = script(together([searches(1), searches(2, timeout=5), searches(3)]), ["a", "c"], ["b"])
    assert steps == [Search([request(1), request(3)]), Search([request(2)], timeout=5)]
    assert result == [(1, "a"), (2, "b"), (3, "c")]
    flows = [searches(1, consistency=2), searches(2), searches(3, consistency=2), searches(4, consistency=1)]
    steps, result = script(together(flows), ["a", "c"], ["b"], ["d"])
    assert [step.consistency for step in steps if isinstance(step, Search)] == [2, None, 1]
    assert result == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


def test_texts_for_the_same_vectors_are_embedded_at_once_and_others_apart() -> None:
    flows = [embeds("one", "x"), embeds("two", "x", "y"), embeds("three", "x")]
    steps, result = script(together(flows), ["1", "3"], ["2"])
    assert steps == [Embed(["one", "three"], frozenset("x")), Embed(["two"], frozenset("xy"))]
    assert result == [("one", "1"), ("two", "2"), ("three", "3")]


def test_scorings_of_one_moment_are_one_step_and_each_flow_gets_its_scores() -> None:
    def several() -> Flow[Any]:
        return (yield from Scores([Score("s", ("d",)), Score("t", ("e", "f"))]))

    flows = [scores("q", "a", "b"), several(), scores("q", "a", "b")]
    steps, result = script(together(flows), [[1, 2], [3], [4, 5], [6, 7]])
    asked = [Score("q", ("a", "b")), Score("s", ("d",)), Score("t", ("e", "f")), Score("q", ("a", "b"))]
    assert steps == [Scores(asked)]
    assert result == [("q", [1, 2]), [[3], [4, 5]], ("q", [6, 7])]


def test_a_scoring_that_fails_fails_its_own_flow_alone() -> None:
    def tolerant(query: str) -> Flow[Any]:
        try:
            return (yield from scores(query, "a"))
        except Broken:
            return "kept"

    def score(query: str, texts: Any) -> list[float]:
        if query == "bad":
            raise Broken
        return [0.5] * len(texts)

    flows = [tolerant("good"), tolerant("bad"), tolerant("fine")]
    assert run(together(flows), services(score=score)) == [("good", [0.5]), "kept", ("fine", [0.5])]


async def test_async_scorings_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    class Meeting:
        async def score(self, query: str, texts: Any) -> list[float]:
            await asyncio.wait_for(both.wait(), PATIENCE)
            if query == "bad":
                raise Broken
            return [1.0]

    answers = await arun(both_answers(), cast("AsyncServices", Meeting()))
    assert answers[0] == [1.0]
    assert isinstance(answers[1], Broken)


def both_answers() -> Flow[Any]:
    return (yield from Scores([Score("good", ("a",)), Score("bad", ("a",))]))


def test_steps_of_different_kinds_are_asked_one_after_the_other_embeddings_first() -> None:
    steps, result = script(together([searches(1), scores("q", "a"), embeds("t", "x")]), ["v"], ["p"], [0.5])
    assert [type(step) for step in steps] == [Embed, Search, Score]
    assert result == [(1, "p"), ("q", [0.5]), ("t", "v")]


def test_flows_that_end_early_wait_for_the_others() -> None:
    def idle() -> Flow[Any]:
        return "at once"
        yield Search([])

    flows = [idle(), searches(1), chain(2, searches(3), searches(4))]
    steps, result = script(together(flows), ["a", "b"], ["c"], ["d"])
    assert [len(step.requests) for step in steps if isinstance(step, Search)] == [2, 1, 1]
    assert result == ["at once", (1, "a"), [(2, "b"), (3, "c"), (4, "d")]]


def test_no_flows_ask_nothing() -> None:
    assert script(together([])) == ([], [])


class Closing:
    """A flow that notes its end."""

    def __init__(self) -> None:
        self.closed, self.answers = False, list[Any]()

    def flow(self, *steps: Step) -> Flow[Any]:
        try:
            for step in steps:
                self.answers.append((yield step))
        finally:
            self.closed = True


def test_an_error_that_no_flow_catches_ends_and_closes_them_all() -> None:
    others = [Closing(), Closing()]
    flows = [others[0].flow(Search([request(1)])), scores("q", "a"), others[1].flow(Search([request(2)]), Search([request(3)]))]
    with pytest.raises(Broken):
        run(together(flows), services(score=breaking))
    assert all(other.closed for other in others)


def test_an_error_of_one_flow_ends_and_closes_them_all() -> None:
    def failing() -> Flow[Any]:
        yield from Search([request(1)])
        raise Broken

    other = Closing()
    flows = [failing(), other.flow(Search([request(2)]), Score("q", ["a"]))]
    with pytest.raises(Broken):
        run(together(flows), services())
    assert other.closed


def test_a_flow_among_others_may_catch_its_steps_error_and_degrade() -> None:
    def degrading(query: str) -> Flow[Any]:
        try:
            return (yield from scores(query, "a"))
        except Broken:
            return query, "degraded"

    result = run(together([degrading("q"), searches(1), degrading("r")]), services(score=breaking, search=lambda step: ["p"]))
    assert result == [("q", "degraded"), (1, "p"), ("r", "degraded")]


def test_an_error_of_a_shared_step_reaches_every_flow_that_shares_it() -> None:
    def degrading(number: int) -> Flow[Any]:
        try:
            return (yield from searches(number))
        except Broken:
            return "degraded"

    steps, result = script(together([degrading(1), degrading(2), scores("q", "a")]), Broken(), [0.5])
    assert len(steps) == 2
    assert result == ["degraded", "degraded", ("q", [0.5])]
