"""What is done when a server fails: nothing that its words give no reason for, and nothing is taken that makes no sense."""

from __future__ import annotations

import builtins
import json
import time
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from qdrant_rerank import (
    AsyncExecutor,
    Coefficients,
    Executor,
    Formula,
    Nearest,
    PlanWarning,
    Query,
    RelevanceFeedback,
    Retries,
    SearchOptions,
    TimeoutError,
    field,
    score,
)
from qdrant_rerank._internals import Place, address_of, describe_failures, read_batch, read_points
from qdrant_rerank.errors import ClientError, EngineError
from qdrant_rerank.expressions import raw
from qdrant_rerank.models import Encoders
from tests.stub_qdrant import Received, StubQdrant, collection
from tests.support import refused

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


def executor(stub: StubQdrant, **more: Any) -> Executor:
    client = QdrantClient(url=stub.url, check_compatibility=False)
    return Executor(client, "docs", encoders=Encoders.of({"": lambda _: [1.0, 0.5]}), **more)


def aexecutor(stub: StubQdrant, **more: Any) -> AsyncExecutor:
    return AsyncExecutor(QdrantClient(url=stub.url, check_compatibility=False), "docs", **more)


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


def test_what_was_found_out_of_values_holds_however_often_the_schema_is_read(server: Failing) -> None:
    on = executor(server, schema_ttl=1e-6)
    server.fail(400, A_LIST)
    with pytest.warns(PlanWarning, match=r"under a key that a formula reads as one value \('r'\)"):
        on.retrieve(FORMULA, QUERY)
    server.collections["docs"] = collection(2, points=99)
    on.retrieve(FORMULA, QUERY)
    assert counts_values(server) == [False, True, True]
    on.refresh()
    on.retrieve(FORMULA, QUERY)
    assert counts_values(server)[-1] is False


# Made again


def policy(pauses: list[float]) -> Retries:
    async def later(seconds: float) -> None:
        pauses.append(seconds)

    return Retries(2, sleep=pauses.append, asleep=later, spread=lambda: 1.0)


async def test_a_search_is_made_again_where_the_caller_asks_for_it(server: Failing) -> None:
    pauses: list[float] = []
    server.fail(503, "starting", times=2)
    assert len(executor(server, retries=policy(pauses)).retrieve(Nearest(), QUERY)) == 1
    server.fail(503, "starting", times=2)
    assert len(await aexecutor(server, retries=policy(pauses)).retrieve(Nearest(), QUERY)) == 1
    assert pauses == [0.5, 1.0, 0.5, 1.0]
    server.fail(503, "starting")
    with pytest.raises(UnexpectedResponse):
        executor(server).retrieve(Nearest(), QUERY)


async def test_no_pause_outlasts_the_timeout_of_the_call(server: Failing) -> None:
    pauses: list[float] = []
    server.fail(503, "starting", times=4)
    with pytest.raises(UnexpectedResponse) as caught:
        executor(server, retries=policy(pauses)).retrieve(Nearest(), QUERY, SearchOptions(timeout=0.4))
    assert notes(caught.value)[0].startswith("gave up after 1 call")
    with pytest.raises(UnexpectedResponse) as caught:
        await aexecutor(server, retries=policy(pauses)).retrieve(Nearest(), QUERY, SearchOptions(timeout=0.4))
    assert notes(caught.value)[0].startswith("gave up after 1 call")
    assert pauses == []


def test_a_search_and_its_retry_have_what_is_left_of_the_time(server: Failing) -> None:
    server.fail(503, "starting")
    executor(server, retries=Retries(1, first_pause=0.02)).retrieve(Nearest(), QUERY, SearchOptions(timeout=30))
    times = [request.parameters.get("timeout") for request in server.received if "/points/query" in request.path]
    assert times == ["30", "30"]


def test_the_schema_is_read_again_too(server: Failing) -> None:
    class Starting(Failing):
        refusals = 1

        def answer(self, request: Received) -> tuple[int, Any]:
            if request.method == "GET" and request.path == "/collections/docs" and self.refusals:
                self.refusals -= 1
                return 503, {"status": {"error": "starting"}, "time": 0.0}
            return super().answer(request)

    pauses: list[float] = []
    with Starting() as stub:
        assert len(executor(stub, retries=policy(pauses)).retrieve(Nearest(), QUERY)) == 1
    assert pauses == [0.5]


# Notes


def notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


async def test_an_error_keeps_its_type_and_says_where_it_came_from_and_why(server: Failing) -> None:
    words = "Forbidden: Access to collection docs is required. " + "…" * 300
    expected = [f"while searching 'docs' at {server.url}\nQdrant says: {words}\nthe key lacks this right: use one that has it"]
    server.fail(403, words, times=2)
    with pytest.raises(UnexpectedResponse) as caught:
        executor(server).retrieve(Nearest(), QUERY)
    assert notes(caught.value) == expected
    with pytest.raises(UnexpectedResponse) as caught:
        await aexecutor(server).retrieve(Nearest(), QUERY)
    assert notes(caught.value) == expected


def test_a_note_is_written_once_though_the_call_was_made_again(server: Failing) -> None:
    server.fail(503, "starting", times=3)
    with pytest.raises(UnexpectedResponse) as caught:
        executor(server, retries=policy([])).retrieve_batch(Nearest(), [QUERY, QUERY])
    assert [note.splitlines()[0][:22] for note in notes(caught.value)] == ["gave up after 3 calls ", "while searching 'docs'"]


def test_reading_the_schema_has_a_note_of_its_own() -> None:
    with pytest.raises(ResponseHandlingException) as caught:
        Executor(QdrantClient(url="http://me:se-cret-pass@127.0.0.1:1/x?y=z", check_compatibility=False), "docs").target()
    [note] = notes(caught.value)
    assert note.startswith("while reading the schema of 'docs' at http://127.0.0.1:1/x\n")
    assert "is Qdrant running there" in note


class Hanging(Failing):
    """Answers no search for a while."""

    def answer(self, request: Received) -> tuple[int, Any]:
        if "/points/query" in request.path:
            time.sleep(1.2)
        return super().answer(request)


async def test_a_timeout_without_a_message_becomes_one_that_says_what_was_awaited() -> None:
    with Hanging() as stub:
        client = AsyncQdrantClient(url=stub.url, check_compatibility=False, timeout=1)
        with refused(TimeoutError, "no answer in time while searching 'docs' at http://127.0.0.1", "allow more time") as caught:
            await AsyncExecutor(async_client=client, collection="docs").retrieve(Nearest(), QUERY)
        assert isinstance(caught.value, builtins.TimeoutError)
        assert isinstance(caught.value.__cause__, ResponseHandlingException)
        await client.close()


# Odd answers


class Odd(Failing):
    """Answers searches with something else."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.change = change

    def answer(self, request: Received) -> tuple[int, Any]:
        status, value = super().answer(request)
        if "/points/query" in request.path:
            value = self.change(value)
        return status, value


def scored(score: Any) -> Any:
    def change(value: Any) -> Any:
        return json.loads(json.dumps(value).replace('"score": 1.0', f'"score": {score}'))

    return change


GROUPED = SearchOptions(group_by="r")


@pytest.mark.parametrize(
    ("change", "options", "count", "parts"),
    [
        (
            scored("NaN"),
            SearchOptions(),
            1,
            ["points/query of 'docs' at http://127", "point 1", "score nan, which is no finite number"],
        ),
        (scored("-Infinity"), SearchOptions(), 2, ["points/query of 'docs'", "point 1", "score -inf"]),
        (scored("NaN"), GROUPED, 1, ["points/query/groups of 'docs'", "point 1", "score nan"]),
        (
            lambda value: {**value, "result": value["result"][:-1]},
            SearchOptions(),
            2,
            ["query/batch of 'docs'", "1 answers to 2 requests"],
        ),
        (lambda value: {**value, "result": None}, GROUPED, 1, ["query/groups of 'docs'", "an answer without groups"]),
        (
            lambda value: {**value, "result": None},
            SearchOptions(),
            1,
            ["points/query of 'docs' at http://127", "an answer without points"],
        ),
        (lambda value: {**value, "result": None}, SearchOptions(), 2, ["query/batch of 'docs'", "no answers to 2 requests"]),
    ],
)
async def test_answers_that_make_no_sense_are_errors_that_say_whose(
    change: Any, options: SearchOptions, count: int, parts: list[str]
) -> None:
    with Odd(change) as stub:
        with refused(EngineError, *parts):
            executor(stub).retrieve_batch(Nearest(), [QUERY] * count, options)
        with refused(EngineError, *parts):
            await aexecutor(stub).retrieve_batch(Nearest(), [QUERY] * count, options)


async def test_what_is_no_answer_at_all_keeps_the_client_s_error_with_a_note() -> None:
    with Odd(lambda value: {"hello": "world", "result": {"points": "none"}}) as stub:
        with pytest.raises(ResponseHandlingException) as caught:
            executor(stub).retrieve(Nearest(), QUERY)
        assert "that isn't how Qdrant answers" in notes(caught.value)[0]


async def test_more_points_than_were_asked_for_are_cut() -> None:
    def more(value: Any) -> Any:
        result = value["result"]
        if "groups" in result:
            group = result["groups"][0]
            result["groups"] = [{**group, "hits": group["hits"] * 4, "id": place} for place in range(9)]
        else:
            result["points"] *= 20
        return value

    with Odd(more) as stub:
        assert len(executor(stub).retrieve(Nearest(), QUERY, SearchOptions(3))) == 3
        assert len(await aexecutor(stub).retrieve(Nearest(), QUERY, SearchOptions(3))) == 3
        assert len(executor(stub).retrieve(Nearest(), QUERY, SearchOptions(3, group_by="r", group_size=2))) == 6
        assert len(await aexecutor(stub).retrieve(Nearest(), QUERY, SearchOptions(3, group_by="r", group_size=2))) == 6


def test_an_answer_to_a_batch_that_is_no_list_is_refused() -> None:
    with refused(EngineError, "points/query/batch of 'docs' gave no answers to 1 requests"):
        read_batch(None, [models.QueryRequest(limit=1)], Place("server", "", "docs"))
    reply = SimpleNamespace(points=[models.ScoredPoint(id=n, version=0, score=1.0) for n in range(12)])
    assert len(read_points(reply, models.QueryRequest(), Place("server", "", "docs"))) == 10
    with refused(EngineError, "points/query of 'docs' gave an answer without points"):
        read_points(SimpleNamespace(), models.QueryRequest(), Place("server", "", "docs"))


def test_a_version_that_is_too_long_to_be_one_is_refused() -> None:
    with Failing(version="9" * 5000 + ".1.0") as stub, refused(ClientError, "can't tell what Qdrant '99999"):
        executor(stub).retrieve(Nearest(), QUERY)


def test_a_stored_vector_of_another_size_is_an_error_that_names_the_point() -> None:
    points = [{"id": n, "score": 1.0 / n, "payload": {"text": "a"}, "vector": [1.0, 0.5, 0.1]} for n in (1, 2, 3)]
    strategy = RelevanceFeedback(seeds=Nearest(limit=3), coefficients=Coefficients(1, 0.5, 0.3), trust=True)
    with StubQdrant(points, {"docs": collection(2)}) as stub:
        on = executor(stub, reranker=lambda query, texts: [float(n) for n in range(len(texts))])
        with refused(EngineError, "the search of 'docs' gave point 1 3 numbers as its vector ''"):
            on.retrieve(strategy, Query("x"))


# Addresses


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"url": "http://u:secret-word@there:7000/path/?key=secret-word#x"}, "http://there:7000/path"),
        ({"url": "https://there"}, "https://there (port 6333)"),
        ({"url": "localhost:7000"}, "localhost:7000"),
        ({"host": "there", "port": 7000}, "there:7000"),
        ({}, "localhost:6333"),
        ({"url": "http://there:7000", "prefer_grpc": True, "grpc_port": 7001}, "http://there:7000 (gRPC, port 7001)"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(options: dict[str, Any], address: str) -> None:
    assert address_of(QdrantClient(**options, check_compatibility=False)) == address


def test_what_is_no_client_of_a_server_has_no_address() -> None:
    assert address_of(object()) == ""
    assert str(Place.of(object(), "docs")) == "'docs'"
    assert str(Place.of(QdrantClient(":memory:"), "docs")) == "'docs' in local mode"
    assert str(Place("edge", "", "docs")) == "'docs' in process"


def test_secrets_that_a_server_repeats_are_hidden_in_the_note() -> None:
    with pytest.warns(UserWarning, match="insecure connection"):
        client = QdrantClient(url="http://there:1", api_key="topsecretkey", check_compatibility=False)
    error = UnexpectedResponse(403, "", b"the key topsecretkey isn't known" + b"." * 300, httpx.Headers())
    with pytest.raises(UnexpectedResponse), describe_failures(Place.of(client, "docs"), "searching"):
        raise error
    assert "the key *** isn't known" in notes(error)[0]


def test_local_mode_s_errors_say_where_too() -> None:
    client = QdrantClient(":memory:")
    client.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert("docs", [models.PointStruct(id=1, vector=[1.0, 0.0], payload={"x": 0.0})])
    with pytest.raises(ValueError, match="non-finite") as caught:
        Executor(client, "docs").retrieve(Formula(raw(models.LnExpression(ln="x"))).over(Nearest()), QUERY)
    assert notes(caught.value)[0].startswith("while searching 'docs' in local mode\nthe formula isn't finite")


def test_a_rate_limit_without_a_wait_says_a_while() -> None:
    error = UnexpectedResponse(429, "", b"slow down", httpx.Headers())
    with pytest.raises(UnexpectedResponse), describe_failures(Place("server", "", "docs"), "searching"):
        raise error
    assert "ask again after a while" in notes(error)[0]
    with pytest.raises(UnexpectedResponse), describe_failures(Place("server", "", "docs"), "searching"):
        raise error
    assert len(notes(error)) == 1
    plain = LookupError("what nobody knows")
    with pytest.raises(LookupError), describe_failures(Place("server", "", "docs"), "searching"):
        raise plain
    assert notes(plain) == ["while searching 'docs'"]
