"""What engines say when they refuse or fail comes to the same small value, whichever says it, and however it travels."""

from __future__ import annotations

import builtins
import json
from enum import Enum
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
from pydantic import BaseModel, ValidationError
from qdrant_client import models
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from qdrant_rerank import QueryError, TimeoutError
from qdrant_rerank._internals import Failure, Kind, read_failure, tell_error
from qdrant_rerank.errors import ClientError, EngineError
from tests.engines import open_client


class Call(Exception):
    """As grpc's errors: what a method returns tells what happened."""

    def __init__(self, code: Any, details: str | None) -> None:
        super().__init__("<_InactiveRpcError of RPC that terminated>")
        self._code, self._details = code, details

    def code(self) -> Any:
        return self._code

    def details(self) -> str | None:
        return self._details


class CodeOnly(Exception):
    """An error with a status code and nothing else."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


def async_call(code: grpc.StatusCode, details: str | None) -> Exception:
    """grpc's own, of the async client."""
    error: Exception = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
    return error


class Said(NamedTuple):
    """Words that a server said over REST and gRPC, and what they come to."""

    words: str
    status: int
    code: grpc.StatusCode
    kind: Kind
    key: str | None = None


G = grpc.StatusCode
NUMBER = "Wrong input: Expected number value for x in the payload and/or in the formula defaults. Error: "
SAID = [
    Said(NUMBER + "Value is not a number", 400, G.INVALID_ARGUMENT, "not a number", "x"),
    Said(NUMBER + "No value found in a payload nor defaults", 400, G.INVALID_ARGUMENT, "no value", "x"),
    Said(
        NUMBER.replace(" x ", ' meta."a b"[].c ') + "Value is not a number",
        400,
        G.INVALID_ARGUMENT,
        "not a number",
        'meta."a b"[].c',
    ),
    Said(
        NUMBER.replace("number value for x", "datetime value for d") + "Value is not a datetime",
        400,
        G.INVALID_ARGUMENT,
        "not a date",
        "d",
    ),
    Said(
        NUMBER.replace("number value for x", "geo point value for loc") + "latitude out of range",
        400,
        G.INVALID_ARGUMENT,
        "not a place",
        "loc",
    ),
    Said("Wrong input: The expression 1/0 = inf produced a non-finite number", 400, G.INVALID_ARGUMENT, "not finite"),
    Said(
        'Bad request: Limit exceeded 5000 > 100 for "limit". Help: Reduce the "limit" parameter to or below 100.',
        400,
        G.INVALID_ARGUMENT,
        "strict mode",
    ),
    Said(
        'Forbidden: Index required but not found for "x". Help: Create an index for this key or use a different filter.',
        403,
        G.PERMISSION_DENIED,
        "strict mode",
    ),
    Said("Wrong input: Vector dimension error: expected dim: 384, got 768", 400, G.INVALID_ARGUMENT, "wrong dimension"),
    Said("Wrong input: Not existing vector name error: colbret", 400, G.INVALID_ARGUMENT, "wrong vector"),
    Said("Not found: Collection `docs` doesn't exist!", 404, G.NOT_FOUND, "not found"),
    Said("Wrong input: Collection `docs` already exists!", 409, G.ALREADY_EXISTS, "already there"),
    Said("Must provide an API key or an Authorization bearer token", 401, G.UNAUTHENTICATED, "unauthorized"),
    Said("Invalid API key or JWT", 403, G.PERMISSION_DENIED, "unauthorized"),
    Said("Forbidden: Access to collection docs is required", 403, G.PERMISSION_DENIED, "forbidden"),
    Said("Timeout: Operation 'Search' timed out after 1s", 408, G.DEADLINE_EXCEEDED, "timeout"),
    Said("Service internal error: search timed out", 500, G.INTERNAL, "timeout"),
    Said("Service internal error: process cancelled by service", 500, G.INTERNAL, "cancelled"),
    Said(
        "Service internal error: Failed to connect to http://127.0.0.1:6335/, error: transport error",
        500,
        G.INTERNAL,
        "passing",
    ),
    Said("Shard temporarily unavailable: The shard 0 does not have enough active replicas", 503, G.UNAVAILABLE, "passing"),
    Said("Service internal error: 1 of 1 read operations failed: " + NUMBER + "nope", 500, G.INTERNAL, "not a number", "x"),
    Said(
        "Wrong input: InvalidArgument: code: 'Client specified an invalid argument', message: \""
        + NUMBER.replace(" x ", r" \"a b\" ")
        + 'Value is not a number"',
        400,
        G.INVALID_ARGUMENT,
        "not a number",
        '"a b"',
    ),
    Said(
        "Service internal error: 1 of 1 read operations failed:\n  Service internal error: Tonic status error: "
        "code: 'Unknown error', "
        'message: "transport error", source: tonic::transport::Error(Transport, hyper::Error(Io, Kind(ConnectionReset)))',
        500,
        G.INTERNAL,
        "passing",
    ),
    Said(
        "Service internal error: 2 out of 4 shards failed to apply operation. First error captured: Service internal error: "
        "Tonic status error: code: 'The service is currently unavailable', message: \"tcp connect error\"",
        500,
        G.INTERNAL,
        "passing",
    ),
    Said(
        "Service internal error: Waiting for consensus operation commit failed. Timeout set at: 3 seconds",
        500,
        G.INTERNAL,
        "timeout",
    ),
    Said("InvalidSignature", 403, G.PERMISSION_DENIED, "unauthorized"),
    Said("ExpiredSignature", 403, G.PERMISSION_DENIED, "unauthorized"),
    Said("Forbidden: Global manage access is required", 403, G.PERMISSION_DENIED, "forbidden"),
    Said("Service internal error: task panicked", 500, G.UNKNOWN, "unknown"),
    Said("Rate limit exceeded", 400, G.INVALID_ARGUMENT, "rate limit"),
    Said("Wrong input: filter makes no sense", 400, G.INVALID_ARGUMENT, "bad request"),
    Said("Wrong input: the variable isn't found", 422, G.FAILED_PRECONDITION, "bad request"),
]


def rest(status: int, content: bytes, **headers: str) -> UnexpectedResponse:
    return UnexpectedResponse(status, "Reason", content, httpx.Headers(headers))


def as_json(words: str) -> bytes:
    return json.dumps({"status": {"error": words}, "time": 0.0}).encode()


@pytest.mark.parametrize("said", SAID, ids=[f"{said.kind}: {said.words[:40]}" for said in SAID])
def test_what_a_server_says_comes_to_the_same_over_rest_and_grpc(said: Said) -> None:
    whole = said.words + " " + "…" * 300  # beyond what str() of qdrant-client's error shows
    errors: list[Exception] = [
        rest(said.status, as_json(whole)),
        rest(said.status, whole.encode()),  # keys are refused in plain text
        Call(said.code, whole),
        async_call(said.code, whole),
    ]
    for error in errors:
        found = read_failure(error)
        assert (found.kind, found.key, found.message, found.engine) == (said.kind, said.key, whole, "server")
        assert found.status == (said.status if isinstance(error, UnexpectedResponse) else said.code.name)


EXCEEDED = "Rate limiting exceeded: Read rate limit exceeded"
LIMIT = f"{EXCEEDED}: Operation requires 2 tokens but only 0.3 were available. Retry after 51s"
CAPACITY = f"{EXCEEDED}, request larger than rate limiter capacity, please try to split your request"


@pytest.mark.parametrize(
    ("error", "kind", "wait"),
    [
        (ResourceExhaustedResponse(LIMIT, 51), "rate limit", 51.0),
        (ResourceExhaustedResponse("", 7), "rate limit", 7.0),
        (ResourceExhaustedResponse(CAPACITY, 7), "too large", None),
        (rest(429, as_json(LIMIT)), "rate limit", None),
        (rest(429, as_json(LIMIT), **{"Retry-After": "3"}), "rate limit", 3.0),
        (rest(429, as_json(LIMIT), **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), "rate limit", None),
        (rest(429, as_json(CAPACITY)), "too large", None),
        (Call(G.RESOURCE_EXHAUSTED, LIMIT), "rate limit", None),
        (async_call(G.RESOURCE_EXHAUSTED, CAPACITY), "too large", None),
        (Call(G.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)"), "too large", None),
        (
            Call(G.OUT_OF_RANGE, "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes"),
            "too large",
            None,
        ),
        (
            rest(400, as_json("JSON payload (33554433 bytes) is larger than allowed (limit: 33554432 bytes).")),
            "too large",
            None,
        ),
        (rest(413, b"Request Entity Too Large"), "too large", None),
        (QdrantException("Retry-After header value is not a valid integer: Wed, 21 Oct 2026 07:28:00 GMT"), "rate limit", None),
    ],
)
def test_a_rate_limit_says_how_long_to_wait_and_what_is_too_large_never_passes(
    error: Exception, kind: str, wait: float | None
) -> None:
    found = read_failure(error)
    assert (found.kind, found.wait, found.passes) == (kind, wait, kind == "rate limit")


def invalid() -> ValidationError:
    class Answer(BaseModel):
        score: float

    with pytest.raises(ValidationError) as caught:
        Answer.model_validate({})
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ResponseHandlingException(httpx.ConnectError("[Errno 111] Connection refused")), "unreachable"),
        (ResponseHandlingException(httpx.RemoteProtocolError("Server disconnected")), "unreachable"),
        (ResponseHandlingException(httpx.ReadTimeout("")), "timeout"),
        (ResponseHandlingException(OSError(104, "Connection reset by peer")), "unreachable"),
        (ResponseHandlingException(invalid()), "odd answer"),
        (ResponseHandlingException(httpx.ReadError("")), "unreachable"),
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.PoolTimeout(""), "timeout"),
        (httpx.TooManyRedirects("…"), "odd answer"),
        (ConnectionResetError("reset"), "unreachable"),
        (rest(502, b"<html>Bad Gateway</html>"), "passing"),
        (rest(504, b""), "passing"),
        (rest(302, b""), "bad request"),
        (rest(405, as_json("nope")), "bad request"),
        (Call(G.UNAVAILABLE, "failed to connect to all addresses; last error: UNKNOWN: Connection refused"), "unreachable"),
        (async_call(G.UNAVAILABLE, "Socket closed"), "unreachable"),
        (CodeOnly(), "passing"),
        (Call(G.DEADLINE_EXCEEDED, None), "timeout"),
        (Call(G.ABORTED, ""), "passing"),
        (Call(G.CANCELLED, "Locally cancelled"), "cancelled"),
        (Call(G.DATA_LOSS, "Checksum mismatch"), "unknown"),
        (Call(99, "odd"), "unknown"),
        (builtins.TimeoutError(), "timeout"),
        (TimeoutError("embedding the query took longer than 1 s"), "timeout"),
        (ValueError("Collection docs not found"), "not found"),
        (ValueError("Collection docs already exists"), "already there"),
        (ClientError("collection 'docs' not found in /folder"), "not found"),
        (QueryError("the query's text is empty"), "unknown"),
        (KeyError("x"), "unknown"),
    ],
)
def test_what_goes_wrong_elsewhere_is_told_apart(error: Exception, kind: str) -> None:
    found = read_failure(error)
    assert found.kind == kind
    assert not found.shows_values


def test_only_what_may_be_better_a_little_later_passes() -> None:
    passing = {"rate limit", "timeout", "unreachable", "passing"}
    kinds = Kind.__args__  # type: ignore[attr-defined]
    assert {kind for kind in kinds if Failure(kind).passes} == passing
    assert Failure("cancelled", engine="server").passes
    assert not Failure("cancelled", engine="edge").passes


def test_only_words_of_values_are_evidence_of_values() -> None:
    assert {said.kind for said in SAID if read_failure(Call(said.code, said.words)).shows_values} == {
        "no value",
        "not a number",
        "not a date",
        "not a place",
    }
    assert not read_failure(rest(500, as_json("Service internal error: process cancelled by service"))).shows_values
    cancelled = read_failure(EngineError("qdrant-edge refused query_points: … process cancelled by service"))
    assert (cancelled.kind, cancelled.shows_values, cancelled.is_formula_s) == ("cancelled", True, True)
    infinite = read_failure(ValueError("The expression 1/0 produced a non-finite number"))
    assert (infinite.shows_values, infinite.is_formula_s) == (False, True)


def test_a_code_that_is_no_enum_is_read_by_its_text() -> None:
    class Odd(Enum):
        UNAVAILABLE = 14

    assert read_failure(Call(Odd.UNAVAILABLE, "…")).kind == "passing"


@pytest.mark.parametrize(
    "content",
    [b'{"status": "ok"}', b'{"status": {"error": 5}}', b"[1, 2]", b"\xff\xfe", b"[" * 20_000],
)
def test_answers_of_any_shape_are_read(content: bytes) -> None:
    found = read_failure(rest(400, content))
    assert (found.kind, found.message) == ("bad request", content.decode("utf-8", "replace"))


# Local mode, which says it in words of its own


@pytest.mark.engines("local", reason="about local mode's own words, answers or warnings")
@pytest.mark.parametrize(
    ("value", "kind"), [(None, "no value"), ("text", "not a number"), ([1.0, 2.0], "not a number"), (0.0, "not finite")]
)
def test_local_mode_s_words_for_numbers_are_known(value: Any, kind: Kind) -> None:
    client = open_client()
    client.create_collection("docs", models.VectorParams(size=1, distance=models.Distance.DOT))
    client.upsert("docs", [models.PointStruct(id=1, vector=[1.0], payload={} if value is None else {"x": value})])
    formula = models.FormulaQuery(formula=models.DivExpression(div=models.DivParams(left=1.0, right="x")))
    with pytest.raises(ValueError, match=r"x|produced") as caught:
        client.query_points("docs", query=formula, prefetch=models.Prefetch(query=[1.0], limit=5))
    found = read_failure(caught.value)
    assert (found.kind, found.key) == (kind, None if kind == "not finite" else "x")


@pytest.mark.parametrize("said", SAID)
def test_an_error_that_is_kept_as_text_says_all_that_the_server_said_and_what_to_do(said: Said) -> None:
    """`str()` of qdrant-client's errors ends after 200 characters, and grpc's begins with its own account of the call."""
    long = said.words + " and so on" * 40
    body = json.dumps({"status": {"error": long}, "time": 0.0}).encode()
    over_rest = UnexpectedResponse(said.status, "reason", body, httpx.Headers())
    for error in (over_rest, Call(said.code, long)):
        assert tell_error(error).startswith(f"{type(error).__name__}: {long}")
    advised = said.kind not in ("not found", "already there", "rate limit", "bad request", "unknown")
    assert tell_error(over_rest).endswith(")") == advised


def test_errors_that_no_server_said_are_told_as_they_are() -> None:
    assert tell_error(QueryError("no vector")) == "QueryError: no vector"
    assert tell_error(UnexpectedResponse(502, "reason", b"", httpx.Headers())).startswith("UnexpectedResponse: Unexpected Resp")
    assert tell_error(KeyError("x")) == "KeyError: 'x'"
