from __future__ import annotations

from enum import Enum

import httpx
import pytest
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from qdrant_rerank.ingest import ingest
from qdrant_rerank.ingest.retrying import persistently
from tests.ingest.stub import FillableStub, client_of
from tests.ingest.tiny import Letters, documents


class Flaky:
    """Raises the errors, one at a call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class Code(Enum):
    UNAVAILABLE = 14
    INVALID_ARGUMENT = 3


class RpcError(Exception):
    """As grpc's: the status code is what a method returns."""

    def __init__(self, code: Code) -> None:
        self._code = code

    def code(self) -> Code:
        return self._code


def status(code: int) -> UnexpectedResponse:
    return UnexpectedResponse(code, "", b"", httpx.Headers())


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr("qdrant_rerank.ingest.retrying.time.sleep", made.append)
    return made


@pytest.mark.parametrize(
    "error",
    [status(429), status(503), ResponseHandlingException(httpx.ConnectError("refused")), RpcError(Code.UNAVAILABLE)],
)
def test_a_server_that_is_briefly_away_is_asked_again_after_growing_pauses(error: Exception, pauses: list[float]) -> None:
    call = Flaky(error, error, error)

    assert persistently(call) == "done"
    assert pauses == [0.5, 1.0, 2.0]


def test_a_server_that_says_when_to_come_back_is_obeyed(pauses: list[float]) -> None:
    assert persistently(Flaky(ResourceExhaustedResponse("slow down", 7))) == "done"
    assert pauses == [7]


@pytest.mark.parametrize(
    "error",
    [status(400), status(401), RpcError(Code.INVALID_ARGUMENT), ValueError("x"), ResponseHandlingException(ValueError("odd"))],
)
def test_what_will_not_pass_by_itself_is_raised_at_once(error: Exception, pauses: list[float]) -> None:
    call = Flaky(error)

    with pytest.raises(type(error)):
        persistently(call)
    assert (call.calls, pauses) == (1, [])


def test_the_last_error_passes_when_the_server_stays_away(pauses: list[float]) -> None:
    call = Flaky(*(status(503) for _ in range(9)))

    with pytest.raises(UnexpectedResponse):
        persistently(call)
    assert call.calls == 4


def test_an_ingest_outlives_a_short_outage(stub: FillableStub, pauses: list[float]) -> None:
    stub.refusals = [(503, {"status": {"error": "starting"}}), (500, {"status": {"error": "timeout"}})]

    report = ingest(client_of(stub), "docs", documents(2), {"dense": Letters()})

    assert report.written == 2
    assert len(stub.stored) == 2
    assert pauses == [0.5, 1.0]


def test_what_a_server_refuses_is_its_own_error_with_the_documents_noted(stub: FillableStub, pauses: list[float]) -> None:
    stub.refusals = [(400, {"status": {"error": "Wrong input"}})]

    with pytest.raises(UnexpectedResponse, match="Wrong input") as refused:
        ingest(client_of(stub), "docs", documents(2), {"dense": Letters()})

    assert refused.value.__notes__ == ["while storing a batch of 2 documents: 'd0', 'd1'"]
    assert pauses == []


def test_a_server_that_is_not_there_is_an_error_without_a_pause(pauses: list[float]) -> None:
    with pytest.raises(ResponseHandlingException):
        ingest(QdrantClient(url="http://127.0.0.1:9", check_compatibility=False), "docs", documents(1), {"dense": Letters()})
    assert pauses == []
