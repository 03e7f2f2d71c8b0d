"""Executors: what they embed and score with; and that sync and async agree on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Nearest, Query, ScoringError, ServerInference, StrategyError
from qdrant_rerank._internals import Embed, Flow, Score, Search, Vectors, arun, run
from qdrant_rerank.errors import ClientError
from qdrant_rerank.models import Encoders
from qdrant_rerank.planning import plan
from tests.support import (
    COLLECTION,
    QUERY,
    SCHEMA,
    bm25,
    colbert,
    dense,
    encoders,
    ids,
    refused,
    script,
    target,
)

SHORT = Nearest("dense", limit=5)


def texts_scored(*texts: str) -> Flow[list[float]]:
    return (yield from Score("q", texts))


@dataclass
class Model:
    """A reranker that returns what it is told to."""

    answers: Any

    fingerprint = "fake"

    def score(self, query: str, texts: Sequence[str]) -> Any:
        return self.answers


class AwaitedModel(Model):
    """A reranker that can be awaited."""

    async def ascore(self, query: str, texts: Sequence[str]) -> Any:
        return self.answers[::-1]


def both(toy: QdrantClient, **options: Any) -> tuple[Executor, AsyncExecutor]:
    return Executor(toy, COLLECTION, **options), AsyncExecutor(toy, COLLECTION, **options)


async def test_a_model_that_is_needed_but_absent_says_what_to_pass(toy: QdrantClient) -> None:
    sync, asynchronous = both(toy)
    with refused(ClientError, "needs a reranker, but there is none", "reranker=…"):
        run(texts_scored("a"), sync)
    with refused(ClientError, "there is none"):
        await arun(texts_scored("a"), asynchronous)


@pytest.mark.parametrize("answers", [[0.5], [1, 2, 3], []])
async def test_as_many_scores_as_texts_are_demanded(toy: QdrantClient, answers: list[float]) -> None:
    sync, asynchronous = both(toy, reranker=Model(answers))
    with refused(ScoringError, f"the model returned {len(answers)} scores for 2 texts"):
        run(texts_scored("a", "b"), sync)
    with refused(ScoringError, f"the model returned {len(answers)} scores for 2 texts"):
        await arun(texts_scored("a", "b"), asynchronous)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
async def test_scores_that_are_no_numbers_are_refused(toy: QdrantClient, wrong: float) -> None:
    sync, asynchronous = both(toy, reranker=Model([0.5, wrong]))
    with refused(ScoringError, "finite", f"{wrong}"):
        run(texts_scored("a", "b"), sync)
    with refused(ScoringError, "finite"):
        await arun(texts_scored("a", "b"), asynchronous)


async def test_scores_become_plain_numbers(toy: QdrantClient) -> None:
    sync, asynchronous = both(toy, reranker=Model(np.array([1, 2], dtype=np.float32)))
    for scores in (run(texts_scored("a", "b"), sync), await arun(texts_scored("a", "b"), asynchronous)):
        assert [type(number) for number in scores] == [float, float]


async def test_a_model_that_can_be_awaited_is(toy: QdrantClient) -> None:
    sync, asynchronous = both(toy, reranker=AwaitedModel([1.0, 2.0]))
    assert run(texts_scored("a", "b"), sync) == [1.0, 2.0]
    assert await arun(texts_scored("a", "b"), asynchronous) == [2.0, 1.0]


class Native:
    """An encoder that can be awaited, and notes in which thread it ran."""

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def encode_query(self, text: str) -> list[float]:
        self.threads.add(threading.current_thread().name)
        return dense(text)

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return [dense(text) for text in texts]


class Awaited(Native):
    """The same with a coroutine."""

    async def aencode_query(self, text: str) -> list[float]:
        await asyncio.sleep(0)
        return self.encode_query(text)


async def test_only_encoders_without_a_coroutine_go_to_a_thread(toy: QdrantClient) -> None:
    threaded, awaited = Native(), Awaited()
    here = threading.current_thread().name
    for encoder in (threaded, awaited):
        executor = AsyncExecutor(toy, COLLECTION, encoders=Encoders.of({"dense": encoder}))
        assert await executor.retrieve(SHORT, Query(QUERY))
    assert here not in threaded.threads
    assert awaited.threads == {here}


def both_embed(texts: list[str], using: frozenset[str]) -> Flow[list[Vectors]]:
    return (yield from Embed(texts, using))


async def test_sync_and_async_embed_alike(toy: QdrantClient) -> None:
    sync, asynchronous = both(toy, encoders=encoders())
    using = frozenset({"dense", "colbert", "bm25"})
    expected = [{"bm25": bm25(text), "colbert": colbert(text), "dense": dense(text)} for text in ("a b", "c")]
    assert run(both_embed(["a b", "c"], using), sync) == expected
    assert await arun(both_embed(["a b", "c"], using), asynchronous) == expected


async def test_mixed_requests_come_back_in_their_order(toy: QdrantClient) -> None:
    plain = [models.QueryRequest(query=dense(text), using="dense", limit=1) for text in ("fox", "stone")]
    groups = [
        models.QueryGroupsRequest(query=dense(t), using="dense", limit=2, group_by="doc", group_size=1) for t in ("fox", "n1")
    ]
    sync, asynchronous = both(toy)
    step = Search([groups[0], plain[0], groups[1], plain[1]])
    found = sync.search(step)
    assert [len(points) for points in found] == [2, 1, 2, 1]
    assert [ids(points) for points in await asynchronous.search(step)] == [ids(points) for points in found]
    assert [ids(points) for points in [*sync.search(Search([plain[0]])), *sync.search(Search([plain[1]]))]] == [
        ids(found[1]),
        ids(found[3]),
    ]
    assert await asynchronous.search(Search([])) == sync.search(Search([])) == []


def test_the_server_embeds_where_it_is_told_to() -> None:
    inference = ServerInference("qdrant/bm25", {"language": "none"})
    strategy = Nearest("bm25")
    steps, _ = script(
        plan(strategy, SCHEMA, target().capabilities).flow(Query("fox")),
        [{"bm25": inference.encode_query("fox")}],
        [[]],
    )
    search = steps[1]
    assert isinstance(search, Search)
    document = models.Document(text="fox", model="qdrant/bm25", options={"language": "none"})
    assert search.requests[0].query == models.NearestQuery(nearest=document)
    assert ServerInference("m").encode_documents(["a"]) == [models.Document(text="a", model="m")]


def test_a_plain_function_embeds_queries_and_documents() -> None:
    encoder = Encoders.of(dense=dense).encoder("dense", SCHEMA)
    assert encoder.encode_query("fox") == dense("fox")
    assert encoder.encode_documents(["fox", "river"]) == [dense("fox"), dense("river")]


def test_an_encoder_of_its_own_goes_before_one_for_the_kind() -> None:
    mine, any_dense = Native(), Native()
    found = Encoders.of({"dense": mine}, dense=any_dense, sparse=None)
    assert found.encoder("dense", SCHEMA) is mine
    assert Encoders.of(dense=any_dense).encoder("dense", SCHEMA) is any_dense


def test_an_unknown_kind_of_encoder_is_refused() -> None:
    with refused(StrategyError, "dense, sparse or multi", "not for dence"):
        Encoders.of(dence=dense)
