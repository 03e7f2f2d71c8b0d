"""What is done when a server fails: nothing that its words give no reason for."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank import AsyncExecutor, Encoders, Executor, Formula, Nearest, PlanWarning, Query, field, score
from tests.stub_qdrant import Received, StubQdrant, collection

CANCELLED = "Service internal error: process cancelled by service"
A_LIST = "Wrong input: Expected number value for r in the payload and/or in the formula defaults. Error: Value is not a number"
QUERY = Query(vectors={"": [1.0, 0.5]})
FORMULA = Formula(score() + field("r", default=0.0)).over(Nearest(limit=10))
UNGUARDED = Formula(score() + field("r")).over(Nearest(limit=10))
POINTS = [{"id": 1, "score": 1.0, "payload": {"text": "a", "r": 1.0}}]


class Failing(StubQdrant):
    """Answers the next searches with errors, then as it should."""

    def __init__(self, **more: Any) -> None:
        super().__init__(POINTS, {"docs": collection(2)}, **more)
        self.failures: list[tuple[int, str]] = []

    def fail(self, status: int, words: str, times: int = 1) -> None:
        self.failures += [(status, words)] * times

    def answer(self, request: Received) -> tuple[int, Any]:
        if "/points/query" in request.path and self.failures:
            status, words = self.failures.pop(0)
            return status, {"status": {"error": words}, "time": 0.0}
        return super().answer(request)


@pytest.fixture
def server() -> Iterator[Failing]:
    with Failing() as stub:
        yield stub


def executor(stub: StubQdrant) -> Executor:
    return Executor(
        QdrantClient(url=stub.url, check_compatibility=False), "docs", encoders=Encoders.of({"": lambda _: [1.0, 0.5]})
    )


def aexecutor(stub: StubQdrant) -> AsyncExecutor:
    return AsyncExecutor(QdrantClient(url=stub.url, check_compatibility=False), "docs")


def counts_values(stub: StubQdrant) -> list[bool]:
    """Whether each search so far has thorough guards."""
    return ["values_count" in json.dumps(search) for search in stub.searches]


@pytest.mark.parametrize("strategy", [Nearest(), FORMULA, UNGUARDED], ids=["plain", "formula", "without defaults"])
@pytest.mark.parametrize(
    ("status", "words"),
    [(500, CANCELLED), (503, "starting"), (408, "Timeout: …"), (400, 'Limit exceeded 9 > 1 for "limit". Help: Reduce it.')],
)
async def test_a_passing_failure_is_no_evidence_of_lists(server: Failing, strategy: Any, status: int, words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on, later = executor(server), aexecutor(server)
        server.fail(status, words, times=2)
        with pytest.raises(UnexpectedResponse):
            on.retrieve(strategy, QUERY)
        with pytest.raises(UnexpectedResponse):
            await later.retrieve(strategy, QUERY)
        assert len(server.searches) == 2
        on.retrieve(FORMULA, QUERY)
        await later.retrieve(FORMULA, QUERY)
    assert counts_values(server) == [False] * 4


def test_a_list_that_a_server_names_brings_the_thorough_guards(server: Failing) -> None:
    on = executor(server)
    server.fail(400, A_LIST)
    with pytest.warns(PlanWarning, match="some points of 'docs' hold lists of several values"):
        assert [point.id for point in on.retrieve(FORMULA, QUERY)] == [1]
    on.retrieve(FORMULA, QUERY)
    assert counts_values(server) == [False, True, True]


def test_a_plain_search_that_fails_for_another_s_formula_is_not_asked_again(server: Failing) -> None:
    server.fail(400, A_LIST)
    with pytest.raises(UnexpectedResponse, match="Expected number value"):
        executor(server).retrieve(Nearest(), QUERY)
    assert len(server.searches) == 1
