"""Formulas go out with quick guards, and once more with thorough ones where a payload holds a list of numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Nearest,
    PlanWarning,
    Query,
    SearchOptions,
    datetime_field,
    field,
    geo_distance,
    score,
)
from qdrant_rerank._internals import Search, search
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.errors import EngineError
from qdrant_rerank.expressions import raw
from qdrant_rerank.planning import Target
from tests.support import script, target

STRATEGY = Formula(0.0 * score() + field("x", default=-1.0)).over(Nearest(limit=10))
QUERY = Query(vectors={"": [1.0, 0.0]})
REFUSAL = EngineError("Service runtime error: Operation cancelled: process cancelled by service")
HINT = "some points of 'numbers' hold lists of several values"


@pytest.fixture(params=["indexed", "not indexed"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EdgeClient]:
    """Points whose x is 0, 10, 20, 30."""
    client = EdgeClient(tmp_path)
    client.create_collection("numbers", models.VectorParams(size=2, distance=models.Distance.DOT))
    if request.param == "indexed":
        client.create_payload_index("numbers", "x", models.PayloadSchemaType.FLOAT)
    client.upsert("numbers", [point(number, number * 10.0) for number in range(4)])
    yield client
    client.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes the formula of each query."""
    formulas: list[str] = []
    original: Callable[..., Any] = EdgeClient.query_points

    def noting(self: EdgeClient, *args: Any, **named: Any) -> Any:
        formulas.append(str(named["query"]))
        return original(self, *args, **named)

    monkeypatch.setattr(EdgeClient, "query_points", noting)
    return formulas


def point(number: int, x: Any) -> models.PointStruct:
    return models.PointStruct(id=number, vector=[1.0, 0.0], payload={"x": x})


def scores(executor: Executor) -> dict[Any, float]:
    return {found.id: found.score for found in executor.retrieve(STRATEGY, QUERY)}


def quick(client: EdgeClient) -> list[bool]:
    """The requests before a thorough one: without a guard, where an index keeps the numbers, and with the quick one."""
    return [False] * (1 + len(client.get_collection("numbers").payload_schema))


def is_thorough(formula: str) -> bool:
    return "ValuesCount(" in formula


def test_without_lists_guards_stay_quick(client: EdgeClient, asked: list[str]) -> None:
    client.upsert("numbers", [point(4, None), point(5, "text"), point(6, True), point(7, [70.0]), point(8, [])])
    found = scores(Executor(client, "numbers"))
    assert found == {0: 0.0, 1: 10.0, 2: 20.0, 3: 30.0, 4: -1.0, 5: -1.0, 6: -1.0, 7: 70.0, 8: -1.0}
    assert list(map(is_thorough, asked)) == [False]


def test_a_list_is_found_out_told_once_and_remembered(client: EdgeClient, asked: list[str]) -> None:
    client.upsert("numbers", [point(4, [1.0, 2.0])])
    executor = Executor(client, "numbers")
    expected = {0: 0.0, 1: 10.0, 2: 20.0, 3: 30.0, 4: -1.0}
    with pytest.warns(PlanWarning, match=HINT):
        assert scores(executor) == expected
    assert list(map(is_thorough, asked)) == [*quick(client), True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scores(executor) == expected
    assert list(map(is_thorough, asked)) == [*quick(client), True, True]


def test_after_a_refresh_quick_guards_are_tried_again(client: EdgeClient, asked: list[str]) -> None:
    client.upsert("numbers", [point(4, [1.0, 2.0])])
    executor = Executor(client, "numbers")
    with pytest.warns(PlanWarning, match=HINT):
        scores(executor)
    client.delete("numbers", [4])
    executor.refresh()
    scores(executor)
    assert list(map(is_thorough, asked)) == [*quick(client), True, False]


def test_an_index_that_is_gone_needs_a_quick_guard_until_the_schema_is_read_again(
    client: EdgeClient, asked: list[str], recwarn: pytest.WarningsRecorder
) -> None:
    client.upsert("numbers", [point(4, None), point(5, "text")])
    client.create_payload_index("numbers", "x", models.PayloadSchemaType.FLOAT)
    executor = Executor(client, "numbers")
    expected = scores(executor)
    assert (expected[3], expected[4], expected[5]) == (30.0, -1.0, -1.0)
    client.delete_payload_index("numbers", "x")
    asked.clear()
    assert [scores(executor), scores(executor)] == [expected] * 2
    guarded = ["range=Range(" in formula for formula in asked]
    assert guarded == [False, True, True]  # the first was refused
    client.create_payload_index("numbers", "x", models.PayloadSchemaType.FLOAT)
    executor._read_at = -math.inf
    asked.clear()
    assert [scores(executor), scores(executor)] == [expected] * 2
    assert ["range=Range(" in formula for formula in asked] == [False, False]
    assert not recwarn.list


async def test_async_queries_and_batches_do_the_same(client: EdgeClient) -> None:
    client.upsert("numbers", [point(4, [1.0, 2.0])])
    with pytest.warns(PlanWarning, match=HINT):
        found = await AsyncExecutor(client, "numbers").retrieve_batch(STRATEGY, [QUERY] * 3)
    with pytest.warns(PlanWarning, match=HINT):
        assert found == Executor(client, "numbers").retrieve_batch(STRATEGY, [QUERY] * 3)
    assert [{point.id: point.score for point in points} for points in found] == [{0: 0, 1: 10, 2: 20, 3: 30, 4: -1}] * 3


def test_explanations_do_the_same(client: EdgeClient) -> None:
    client.upsert("numbers", [point(4, [1.0, 2.0])])
    with pytest.warns(PlanWarning, match=HINT):
        explained = Executor(client, "numbers").explain(STRATEGY, QUERY)
    assert [(reason.id, reason.total) for reason in explained.reasons] == [(3, 30.0), (2, 20.0), (1, 10.0), (0, 0.0), (4, -1.0)]


def test_a_formula_that_thorough_guards_don_t_mend_is_refused_as_it_was(client: EdgeClient, asked: list[str]) -> None:
    executor = Executor(client, "numbers")
    hopeless = Formula(raw(models.LnExpression(ln="x")) + field("x", default=0.0)).over(Nearest(limit=10))  # ln(0)
    with pytest.raises(EngineError, match="no result for some candidate"):
        executor.retrieve(hopeless, QUERY)
    assert not executor.target().quirks.several_values
    scores(executor)
    assert not is_thorough(asked[-1])


def test_datetimes_are_guarded_alike(client: EdgeClient) -> None:
    client.set_payload("numbers", {"t": ["2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z"]}, [1])
    client.set_payload("numbers", {"t": "1970-01-01T00:00:09Z"}, [2])
    import datetime as dt

    zero = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    strategy = Formula(0.0 * score() + datetime_field("t", default=zero)).over(Nearest(limit=10))
    with pytest.warns(PlanWarning, match=HINT):
        found = Executor(client, "numbers").retrieve(strategy, QUERY)
    assert {point.id: point.score for point in found} == {0: 0.0, 1: 0.0, 2: 9.0, 3: 0.0}


ON_EARTH = [(0, 0), (52.5, 13.4), (90, 0), (-90, 0), (90, 180), (-90, -180), (0, 180), (0, -180), (89.999, 179.999)]
BEYOND = [(91, 0), (-91, 0), (0, 181), (0, -181), (95, 200), (-90.5, -180.5)]


@pytest.mark.parametrize("indexed", [True, False])
def test_places_beyond_earth_count_as_missing_and_its_borders_do_not(tmp_path: Path, indexed: bool) -> None:
    client = EdgeClient(tmp_path)
    client.create_collection("places", models.VectorParams(size=2, distance=models.Distance.DOT))
    if indexed:
        client.create_payload_index("places", "p", models.PayloadSchemaType.GEO)
    places: list[Any] = [{"lat": lat, "lon": lon} for lat, lon in [*ON_EARTH, *BEYOND]]
    odd = [[places[1], places[2]], "text", None, [], {"lat": 1.0}, [places[-1]]]
    points = [
        models.PointStruct(id=number, vector=[1.0, 0.0], payload={"p": place}) for number, place in enumerate([*places, *odd])
    ]
    client.upsert("places", points)
    strategy = Formula(0.0 * score() + geo_distance((10.0, 10.0), "p", default=-1.0)).over(Nearest(limit=50))
    with pytest.warns(PlanWarning, match="some points of 'places' hold lists of several values, or places beyond"):
        found = Executor(client, "places").retrieve(strategy, QUERY, SearchOptions(50))
    assert {point.id for point in found if point.score > 0} == set(range(len(ON_EARTH)))
    assert {point.score for point in found if point.score <= 0} == {-1.0}
    client.close()


# The flow by itself


def flow(on: Target) -> Any:
    return search(lambda: [models.QueryRequest(limit=2 if on.thorough else 1)], SearchOptions(), on)


def limits(steps: list[Any]) -> list[int | None]:
    return [step.requests[0].limit for step in steps if isinstance(step, Search)]


def flow_by_index(on: Target) -> Any:
    """Requests as of a formula that reads an index of numbers: without a guard, with the quick one, with the thorough one."""

    def limit() -> int:
        return 3 if on.thorough else 2 if on.quirks.distrusts_indexes else 1

    return search(lambda: [models.QueryRequest(limit=limit())], SearchOptions(), on)


def test_where_an_index_isn_t_what_it_was_the_quick_guard_is_tried_first(recwarn: pytest.WarningsRecorder) -> None:
    on = target()
    steps, found = script(flow_by_index(on), REFUSAL, [["p"]])
    assert (limits(steps), found, on.thorough, on.quirks.distrusts_indexes) == ([1, 2], [["p"]], False, True)
    assert not recwarn.list
    on = target()
    steps, found = script(flow_by_index(on), REFUSAL, REFUSAL, [["p"]])
    assert (limits(steps), found, on.thorough, on.quirks.distrusts_indexes) == ([1, 2, 3], [["p"]], True, False)
    assert len(recwarn) == 1


def test_where_the_quick_guard_meets_another_failure_the_first_error_is_the_one_to_tell() -> None:
    on = target()
    with pytest.raises(EngineError, match="cancelled"):
        script(flow_by_index(on), REFUSAL, TimeoutError("second"))
    assert (on.thorough, on.quirks.distrusts_indexes) == (False, False)


def test_the_engine_s_words_are_known(recwarn: pytest.WarningsRecorder) -> None:
    steps, found = script(flow(target()), REFUSAL, [["p"]])
    assert (limits(steps), found) == ([1, 2], [["p"]])
    assert len(recwarn) == 1


@pytest.mark.parametrize("limit", [1, 2])
def test_where_nothing_is_guarded_a_second_request_would_be_the_same(limit: int) -> None:
    on = target()
    with pytest.raises(EngineError, match="cancelled"):
        script(search(lambda: [models.QueryRequest(limit=limit)], SearchOptions(), on), REFUSAL)
    assert not on.thorough


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("read timed out"),
        RuntimeError("Not found: collection"),
        RuntimeError("Service internal error: process cancelled by service"),
    ],
)
def test_other_errors_are_not_answered_by_a_second_request(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        script(flow(target()), error)


def test_where_guards_are_thorough_already_the_error_passes() -> None:
    with pytest.raises(EngineError, match="cancelled"):
        script(flow(target(engine="local")), REFUSAL)


def test_when_both_fail_the_first_error_is_the_one_to_tell() -> None:
    on = target()
    with pytest.raises(RuntimeError, match="cancelled"):
        script(flow(on), REFUSAL, TimeoutError("second"))
    assert not on.thorough
