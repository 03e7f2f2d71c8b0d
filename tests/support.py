"""What the tests share: scripted flows, a toy collection, deterministic encoders, clients that count."""

from __future__ import annotations

import datetime as dt
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, TypeVar

import pytest
from pydantic import BaseModel
from qdrant_client import QdrantClient, models

import qdrant_rerank
from qdrant_rerank import Mmr, Query, Strategy, expressions, feedback, stages
from qdrant_rerank._internals import Flow, Points, QueryVector, Step
from qdrant_rerank.models import Encoders
from qdrant_rerank.planning import Capabilities, Schema, Target, VectorInfo
from tests.engines import EngineClient, current

R = TypeVar("R")

COLLECTION = "toy"
QUERY = "quick brown fox"
NOW = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
CATEGORIES = ("news", "blog", "paper")
_WORDS = ["quick", "brown", "fox", "lazy", "dog", "night", "river", "stone", "paper", "light", "quiet", "storm"]

SCHEMA = Schema(
    collection=COLLECTION,
    vectors={
        "dense": VectorInfo("dense", 4, models.Distance.COSINE),
        "colbert": VectorInfo("multi", 3, models.Distance.COSINE),
        "bm25": VectorInfo("sparse", idf=True),
    },
    points=19,  # too few for their payload to be sampled
)
"""The toy collection's schema, for plans without a client."""


class Script(NamedTuple):
    """What a scripted flow asked for, and what it returned."""

    steps: list[Step]
    result: Any


def script(flow: Flow[Any], *answers: Any) -> Script:
    """Drive `flow` with these answers, one for each step; an exception among them is thrown into the flow."""
    steps: list[Step] = []
    waiting = iter(answers)
    try:
        step = next(flow)
        while True:
            steps.append(step)
            answer = next(waiting, _NOTHING)
            assert answer is not _NOTHING, f"the script has no answer to {step}"
            step = flow.throw(answer) if isinstance(answer, BaseException) else flow.send(answer)
    except StopIteration as done:
        left = list(waiting)
        assert not left, f"the flow ended before these answers: {left}"
        return Script(steps, done.value)


_NOTHING = object()


def target(version: str = "1.20.0", engine: Any = "server", schema: Schema = SCHEMA) -> Target:
    """The toy collection on a server of some version."""
    return Target(schema, Capabilities.of(version, engine))


def dense(text: str) -> list[float]:
    """A unit vector of four numbers that depends on the text alone."""
    return _unit(text, 4)


def colbert(text: str) -> list[list[float]]:
    """A unit vector of three numbers for each word."""
    return [_unit(word, 3) for word in text.split()]


def bm25(text: str) -> models.SparseVector:
    """How often each word occurs."""
    counts = sorted(Counter(zlib.crc32(word.encode()) % 1000 for word in text.split()).items())
    return models.SparseVector(indices=[index for index, _ in counts], values=[float(count) for _, count in counts])


def encoders() -> Encoders:
    """Encoders for every vector of the toy collection."""
    return Encoders.of({"dense": dense, "colbert": colbert, "bm25": bm25})


def query_vectors(text: str = QUERY) -> dict[str, QueryVector]:
    """A text's vectors for every vector of the toy collection."""
    return {"dense": dense(text), "colbert": colbert(text), "bm25": bm25(text)}


def question(text: str = QUERY, **features: Any) -> Query:
    """A query at a fixed time."""
    return Query(text, params=features, now=NOW)


def fill_toy(client: QdrantClient, name: str = COLLECTION) -> QdrantClient:
    """Make the toy collection: 24 points, some payload values missing or null."""
    create_toy(client, name)
    client.upsert(name, toy_points())
    return client


def create_toy(client: QdrantClient, name: str = COLLECTION) -> None:
    """Make the toy collection, empty."""
    client.create_collection(name, **toy_config())


def toy_config() -> dict[str, Any]:
    """The toy collection's vectors, as `create_collection` takes them."""
    maximum = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    return {
        "vectors_config": {
            "dense": models.VectorParams(size=4, distance=models.Distance.COSINE),
            "colbert": models.VectorParams(size=3, distance=models.Distance.COSINE, multivector_config=maximum),
        },
        "sparse_vectors_config": {"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    }


def toy_points() -> list[models.PointStruct]:
    """24 points of which no two score alike; ids 1 to 24."""
    return list(_points())


def _points() -> Iterator[models.PointStruct]:
    for number in range(1, 25):
        text = " ".join(_WORDS[(number * step) % 12] for step in (1, 2, 3, 5)) + f" n{number}"
        payload: dict[str, Any] = {
            "text": text,
            "category": CATEGORIES[number % 3],
            "doc": f"d{number // 3}",
            "popularity": number * 1.5,
            "published": f"2025-05-{number:02d}T12:00:00Z",
            "place": {"lat": number * 2.0, "lon": -number * 3.0},
            "meta": {"price": 10.0 + number},
        }
        if number % 4:  # missing in every fourth
            payload["rating"] = None if number % 5 == 0 else number % 7 / 2  # null in every fifth
        yield models.PointStruct(id=number, vector=_stored(text), payload=payload)


def _stored(text: str) -> dict[str, Any]:
    """The encoders' vectors, moved a little: points that share words would tie, and engines return ties in any order."""
    tokens = [
        [a + 0.02 * b for a, b in zip(colbert(word)[0], _unit(f"{text}: {word}", 3), strict=True)] for word in text.split()
    ]
    return {"dense": dense(text), "colbert": tokens, "bm25": stored_words(text)}


def stored_words(text: str) -> models.SparseVector:
    """How often each word of a stored text occurs, moved a little."""
    words = bm25(text)
    weights = [value * (1.0 + 0.001 * (zlib.crc32(text.encode()) % 100)) for value in words.values]
    return models.SparseVector(indices=words.indices, values=weights)


def _unit(text: str, size: int) -> list[float]:
    numbers = [zlib.crc32(f"{text}/{place}".encode()) / 2**32 - 0.5 for place in range(size)]
    length = math.hypot(*numbers)
    return [number / length for number in numbers]


@contextmanager
def refused(error: type[BaseException], *parts: str) -> Iterator[pytest.ExceptionInfo[BaseException]]:
    """Expects an error whose message has all these parts."""
    with pytest.raises(error) as caught:
        yield caught
    message = str(caught.value)
    assert not [part for part in parts if part not in message], message


class CountingClient(EngineClient):
    """A client that notes each call that is a round trip, or would be; also those of async clients made from it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        if self.collections is not None:  # a server's connections tell, of both kinds of client
            self.collections.listeners.append(self._note)

    def _note(self, name: str) -> None:
        if name in _ROUND_TRIPS:
            self.calls.append(name)


_ROUND_TRIPS = ("query_batch_points", "query_points", "query_points_groups", "get_collection", "info")


def _noting(name: str) -> Any:
    def call(self: CountingClient, *args: Any, **kwargs: Any) -> Any:
        if self.collections is None:
            self._note(name)
        return getattr(QdrantClient, name)(self, *args, **kwargs)

    return call


for _name in _ROUND_TRIPS:
    setattr(CountingClient, _name, _noting(_name))


def searches_of(strategy: Strategy) -> int:
    """How many searches, one after the other, a call takes: on several shards MMR asks for its candidates first."""
    return 2 if current().shards > 1 and isinstance(strategy, Mmr) else 1


class Services:
    """Answers steps from functions: a stand-in for an executor that has no collection."""

    def __init__(
        self,
        embed: Callable[..., Any] | None = None,
        search: Callable[..., Any] | None = None,
        score: Callable[..., Any] | None = None,
    ) -> None:
        self.asked: list[str] = []
        self._answers = {"embed": embed, "search": search, "score": score}

    def embed(self, texts: Any, using: Any) -> list[Mapping[str, QueryVector]]:
        return self._answer("embed", texts, using)  # type: ignore[no-any-return]

    def search(self, step: Any) -> list[Points]:
        return self._answer("search", step)  # type: ignore[no-any-return]

    def score(self, query: Any, texts: Any) -> list[float]:
        return self._answer("score", query, texts)  # type: ignore[no-any-return]

    def _answer(self, kind: str, *arguments: Any) -> Any:
        self.asked.append(kind)
        answer = self._answers[kind]
        assert answer is not None, f"nothing to {kind} with"
        return answer(*arguments)


class AsyncServices:
    """The same answers, awaited."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def embed(self, texts: Any, using: Any) -> list[Mapping[str, QueryVector]]:
        return self.services.embed(texts, using)

    async def search(self, step: Any) -> list[Points]:
        return self.services.search(step)

    async def score(self, query: Any, texts: Any) -> list[float]:
        return self.services.score(query, texts)


def ids(points: Points) -> list[Any]:
    """The points' ids, best first."""
    return [point.id for point in points]


class Near(float):
    """A number that equals every number that differs from it in the last digits only.

    NumPy's dot products differ in the eighth digit with the memory that they happen to be computed in.
    """

    def __eq__(self, other: object) -> bool:
        return math.isclose(self, other, rel_tol=1e-5, abs_tol=1e-6) if isinstance(other, int | float) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # what is near may not be the same


def near(value: Any) -> Any:
    """Points, explanations and the like as plain values whose numbers are `Near`: equal to another search's."""
    if isinstance(value, float):
        return Near(value)
    if isinstance(value, BaseModel):
        return near(value.model_dump())
    if is_dataclass(value):
        return {each.name: near(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: near(each) for key, each in value.items()}
    return [near(each) for each in value] if isinstance(value, list | tuple) else value


class Ranking(list[tuple[Any, Near | None]]):
    """Ids and scores, best first; equal to another search's but for the last digits of scores.

    Engines other than local mode return what ties in any order, and at the end others that tie.
    """

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list):
            return NotImplemented
        return list.__eq__(self, other) if current().kind == "local" else _alike(self, other)

    __hash__ = None  # what is near may not be the same


def ranking(points: Points) -> Ranking:
    """The points' ids and scores, best first, to be compared with another search's."""
    return Ranking((point.id, Near(point.score)) for point in points)


def alike(first: Points, second: Points) -> bool:
    """Whether two answers are the same but for the last digits of scores (as of `Near`) and the order of points that tie."""
    return _alike([(point.id, point.score) for point in first], [(point.id, point.score) for point in second])


def _alike(first: Sequence[tuple[Any, float | None]], second: Sequence[tuple[Any, float | None]]) -> bool:
    if len(first) != len(second) or any(not _close(a, b) for (_, a), (_, b) in zip(first, second, strict=True)):
        return False
    scores = {id: [score] for id, score in first}
    ends = [score for _, score in [*first[:1], *first[-1:]]]  # what ties with these may be on the page before or after
    return all(any(_close(one, score) for one in scores.get(id, ends)) for id, score in second)


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:  # LlamaIndex's nodes may have no score
        return one is other
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-5)


def public_names() -> dict[str, Any]:
    """What a program has that imports every name which strategies and expressions are written with."""
    packages: tuple[Any, ...] = (qdrant_rerank, stages, feedback, expressions)
    return {name: getattr(package, name) for package in packages for name in package.__all__}
