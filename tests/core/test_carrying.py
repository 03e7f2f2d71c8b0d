"""Exceptions of the user's functions that mean something else to Python: they come out as errors that carry them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Nearest,
    PlanWarning,
    QdrantRerankError,
    Query,
    QueryError,
    Rerank,
    ScoringError,
    SearchOptions,
)
from qdrant_rerank._internals import as_mapping, carry, carrying
from qdrant_rerank.errors import PayloadError
from qdrant_rerank.models import Encoders, LlmPointwise
from tests.support import COLLECTION, QUERY, encoders, ids

STRANGE = (StopIteration, StopAsyncIteration, GeneratorExit, asyncio.CancelledError)
strange = pytest.mark.parametrize("kind", STRANGE)
Raise = Callable[..., Any]


def raising(kind: type[BaseException]) -> Raise:
    def fail(*_: Any) -> Any:
        raise kind("no more")

    return fail


class AwaitedModel:
    """A model whose own coroutine fails."""

    fingerprint = "awaited"

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        raise NotImplementedError

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        await asyncio.sleep(0)
        raise self.kind("no more")

    def encode_query(self, text: str) -> list[float]:
        raise NotImplementedError

    async def aencode_query(self, text: str) -> list[float]:
        await asyncio.sleep(0)
        raise self.kind("no more")

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        raise NotImplementedError


async def both(toy: QdrantClient, strategy: Any, **arguments: Any) -> list[Any]:
    """What the sync and the async executor answer, errors as they are."""
    used = {"encoders": encoders()} | arguments
    found: list[Any] = []
    for ask in (Executor(toy, COLLECTION, **used).retrieve, AsyncExecutor(toy, COLLECTION, **used).retrieve):
        try:
            answer: Any = ask(strategy, Query(QUERY), SearchOptions(3))
            found.append(await asyncio.wait_for(answer, 10) if asyncio.iscoroutine(answer) else answer)
        except QdrantRerankError as error:
            found.append(error)
    return found


def check(errors: list[Any], expected: type[QdrantRerankError], kind: type[BaseException], whose: str) -> None:
    for error in errors:
        assert isinstance(error, expected), error
        assert whose in str(error)
        assert f"raised {kind.__name__}: no more" in str(error)
        assert isinstance(error.__cause__, kind)


RERANKED = Rerank(reads=5).over(Nearest("dense"))


@strange
async def test_out_of_a_reranker_it_is_a_scoring_error_sync_and_async(toy: QdrantClient, kind: type[BaseException]) -> None:
    check(await both(toy, RERANKED, reranker=raising(kind)), ScoringError, kind, "the model")


@strange
async def test_out_of_an_encoder_it_is_a_query_error_sync_and_async(toy: QdrantClient, kind: type[BaseException]) -> None:
    failing = Encoders.of({"dense": raising(kind)})
    check(await both(toy, Nearest("dense"), encoders=failing), QueryError, kind, "the encoder for the vector 'dense'")


@pytest.mark.parametrize("kind", [StopAsyncIteration, GeneratorExit])
async def test_out_of_a_coroutine_of_a_model_it_is_the_same(toy: QdrantClient, kind: type[BaseException]) -> None:
    executor = AsyncExecutor(toy, COLLECTION, encoders=encoders(), reranker=AwaitedModel(kind))
    with pytest.raises(ScoringError, match=r"AwaitedModel.* raised (Stop|GeneratorExit)"):
        await executor.retrieve(RERANKED, Query(QUERY), SearchOptions(3))
    executor = AsyncExecutor(toy, COLLECTION, encoders=Encoders({"dense": AwaitedModel(kind)}))
    with pytest.raises(QueryError, match="encoder for the vector 'dense' raised"):
        await executor.retrieve(Nearest("dense"), Query(QUERY), SearchOptions(3))


async def test_what_a_coroutine_makes_of_a_stop_iteration_is_told_as_what_it_was(toy: QdrantClient) -> None:
    executor = AsyncExecutor(toy, COLLECTION, encoders=encoders(), reranker=AwaitedModel(StopIteration))
    with pytest.raises(ScoringError, match="raised StopIteration: no more, as a bare next"):
        await executor.retrieve(RERANKED, Query(QUERY), SearchOptions(3))


@strange
async def test_with_keep_order_the_search_s_order_comes_with_a_warning(toy: QdrantClient, kind: type[BaseException]) -> None:
    kept = Rerank(reads=5, on_error="keep_order").over(Nearest("dense"))
    expected = ids(Executor(toy, COLLECTION, encoders=encoders()).retrieve(Nearest("dense"), Query(QUERY), SearchOptions(3)))
    with pytest.warns(PlanWarning, match="the model failed"):
        found = await both(toy, kept, reranker=raising(kind))
    assert [ids(points) for points in found] == [expected, expected]


@strange
async def test_out_of_a_payload_function_it_is_a_payload_error(toy: QdrantClient, kind: type[BaseException]) -> None:
    errors = await both(toy, RERANKED, reranker=lambda query, texts: [0.0] * len(texts), payload=raising(kind))
    check(errors, PayloadError, kind, "the payload function tests.core.test_carrying.raising")


@pytest.mark.parametrize(
    "answer", [None, "text", ("text",), ("text", {}, 1), (None, {}), ("text", None), ("text", 3), 7, {1, 2}]
)
async def test_a_payload_function_that_returns_something_else_is_refused(toy: QdrantClient, answer: Any) -> None:
    def payload(point: Mapping[str, Any]) -> Any:
        return answer

    for error in await both(toy, RERANKED, reranker=lambda query, texts: [0.0] * len(texts), payload=payload):
        assert isinstance(error, PayloadError)
        assert "it must return (text, metadata)" in str(error)


def test_a_list_of_text_and_metadata_will_do() -> None:
    mapping: Any = as_mapping(lambda payload: ["text", payload])  # type: ignore[arg-type]
    assert mapping.content({"a": 1}) == ("text", {"a": 1})


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration, GeneratorExit])
async def test_out_of_an_llm_it_is_a_scoring_error(kind: type[BaseException]) -> None:
    model = LlmPointwise(raising(kind), name="stopping")
    with pytest.raises(ScoringError, match=f"the LLM stopping raised {kind.__name__}"):
        model.score("q", ["a", "b"])
    with pytest.raises(ScoringError, match=f"{kind.__name__}"):
        await asyncio.wait_for(model.ascore("q", ["a", "b"]), 10)


async def test_cancellation_passes_through_what_awaits_a_model(toy: QdrantClient) -> None:
    begun = asyncio.Event()

    class Waiting(AwaitedModel):
        async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
            begun.set()
            await asyncio.sleep(30)
            return []

    executor = AsyncExecutor(toy, COLLECTION, encoders=encoders(), reranker=Waiting(Exception))
    asking = asyncio.create_task(executor.retrieve(RERANKED, Query(QUERY), SearchOptions(3)))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


def test_a_coroutine_that_is_closed_in_the_middle_just_ends() -> None:
    async def awaiting() -> None:
        with carrying(ScoringError, "the model", awaits=True):
            await asyncio.sleep(30)

    async def begin() -> Any:
        coroutine = awaiting()
        coroutine.send(None)
        return coroutine

    left = asyncio.run(begin())
    left.close()  # no loop runs: nobody's task
    assert left.cr_frame is None


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(KeyError), carrying(ScoringError, "the model"):
        raise KeyError("mine")
    error = RuntimeError("mine")
    assert carry(error) is error
    with carrying(ScoringError, "the model"):
        pass


def test_an_exception_without_words_is_named() -> None:
    assert "raised GeneratorExit" in str(carry(GeneratorExit()))
