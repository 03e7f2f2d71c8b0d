"""The `Reranker` protocol, the check of what a reranker returns, and where models run.

Rerankers rerank (`Rerank`) and steer relevance feedback. Higher is better, always: a model whose own scores are
distances turns them around.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from threading import BoundedSemaphore, Lock
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

from ..errors import ScoringError
from ..threads import PerLoop, Workers, carrying, in_worker
from ..values import check_counts


@runtime_checkable
class Reranker(Protocol):
    """Scores (query, text) pairs; higher is better.

    A model may also have `async def ascore(query, texts)`; without it, `score` runs in a thread under async. Where a text's
    score depends on the other texts, `independent = False` says so: such scores aren't kept, nor computed in portions.
    """

    @property
    def fingerprint(self) -> str | None:
        """A short text that is the same exactly for models that give the same scores: name, version, settings; no secrets.

        None where nothing tells: caches and files of results refuse such a model.
        """
        ...

    def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One finite score for each text, in the order of the texts."""
        ...


@runtime_checkable
class AsyncReranker(Reranker, Protocol):
    """A reranker that can score without blocking."""

    async def ascore(self, query: str, texts: Sequence[str]) -> Sequence[float]: ...


@runtime_checkable
class CompressesDocuments(Protocol):
    """LangChain's `BaseDocumentCompressor`, by the methods that are used."""

    def compress_documents(self, documents: Any, query: str) -> Sequence[Any]: ...

    async def acompress_documents(self, documents: Any, query: str) -> Sequence[Any]: ...


@runtime_checkable
class PostprocessesNodes(Protocol):
    """LlamaIndex's `BaseNodePostprocessor`, by the methods that are used."""

    def postprocess_nodes(self, nodes: Any, *, query_str: str) -> Sequence[Any]: ...

    async def apostprocess_nodes(self, nodes: Any, *, query_str: str) -> Sequence[Any]: ...


RerankerLike: TypeAlias = (
    "Reranker | Callable[[str, Sequence[str]], Sequence[float]] | CompressesDocuments | PostprocessesNodes"
)
"""A reranker, a plain function from a query and texts to scores, or another framework's reranker (`framework_models`)."""


_EMBEDS: Final = " (an embedding model scores texts within EncoderSimilarity)"


def check_scores(scores: Sequence[Any], wanted: int, model: object | None) -> list[float]:
    """The scores as floats; `model` is named in errors by its type, None as "the model".

    Raises ScoringError: there are more or fewer than `wanted`, or one is no finite number.
    """
    shape = getattr(scores, "shape", None)
    # a mapping, a set, text and bytes have a length too, but no number for each text in the texts' order
    in_order = hasattr(scores, "__len__") and len(shape) == 1 if shape is not None else isinstance(scores, Sequence)
    if not in_order or isinstance(scores, str | bytes | bytearray | memoryview):
        raise ScoringError(f"{describe_model(model)} returned {_what(scores)} instead of a number for each of {wanted} texts")
    if len(scores) != wanted:
        raise ScoringError(f"{describe_model(model)} returned {len(scores)} scores for {wanted} texts")
    for place, score in enumerate(scores):
        if getattr(score, "shape", ()) != () or isinstance(score, list | tuple | bool | np.bool_):
            what = f"{_what(score)} for text {place}"
            raise ScoringError(f"{describe_model(model)} returned scores that aren't numbers: {what}{_EMBEDS}")
    try:
        numbers = [float(score) for score in scores]
    except (TypeError, ValueError) as error:
        raise ScoringError(f"{describe_model(model)} returned scores that aren't numbers: {error}") from error
    except OverflowError as error:
        raise ScoringError(f"{describe_model(model)} returned scores that are too large: {error}") from error
    if odd := [place for place, number in enumerate(numbers) if not math.isfinite(number)]:
        first = f"{numbers[odd[0]]!r} for text {odd[0]}"
        raise ScoringError(f"{describe_model(model)} returned scores that aren't finite: {first} ({len(odd)} of {wanted})")
    return numbers


def check_whole(owner: object, **values: object) -> None:
    """As `check_counts`, of an owner's settings, at least 1; None passes."""
    check_counts(1, **{f"the {name} of {type(owner).__name__}": one for name, one in values.items() if one is not None})


def score_texts(model: Reranker, query: str, texts: Sequence[str]) -> Sequence[float]:
    """The model's scores. Raises ScoringError: it raised what means something else to Python, such as a StopIteration."""
    with carrying(ScoringError, lambda: describe_model(model)):
        return model.score(query, texts)


async def ascore_texts(model: Reranker, query: str, texts: Sequence[str]) -> Sequence[float]:
    """The model's scores without blocking: by its `ascore`, or by its `score` in a thread."""
    ascore = getattr(model, "ascore", None)  # isinstance would read the fingerprint, and with it maybe a model's folder
    if ascore is None:
        return await in_worker(lambda: score_texts(model, query, texts))
    with carrying(ScoringError, lambda: describe_model(model), awaits=True):
        scores: Sequence[float] = await ascore(query, texts)
        return scores


def _what(value: object) -> str:
    """A wrong answer of a model, without its contents."""
    shape, kind = getattr(value, "shape", None), type(value).__name__
    if shape is not None:
        return f"an array of shape {tuple(shape)}"
    return f"a {kind} of {len(value)}" if isinstance(value, list | tuple) else f"a {kind}"


def describe_model(model: object | None) -> str:
    """A model's name in errors: its type, as its settings may be long."""
    return "the model" if model is None else f"the model ({type(model).__name__.lstrip('_')})"


# Where models run: made once, in turns on this machine's processor, which many scorings at once don't make faster, or many
# calls of a service at once, which answers them side by side

T = TypeVar("T")


class Once(Generic[T]):
    """Makes a value at first use, in one thread while others wait; copies and unpickled ones make it again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: list[T] = []

    def get(self, make: Callable[[], T]) -> T:
        """The value, which `make` makes unless it is there."""
        if not self._made:
            with self._lock:
                if not self._made:  # another thread may have been faster
                    self._made.append(make())
        return self._made[0]

    def __reduce__(self) -> tuple[type[Once[T]], tuple[()]]:
        return type(self), ()  # a loaded model doesn't travel between processes


Stopped = threading.Event
"""Set when nobody waits for the result any more, so that long work may end early."""


class Gate:
    """Lets at most `limit` jobs run at once in all threads, and as many in each event loop; the others wait in line.

    Work that is awaited runs in threads of its own, and waits without one: asyncio's pool is small (six threads on two cores),
    and threads that wait would leave none to the rest of the program. Copies and unpickled gates count from zero.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = BoundedSemaphore(limit)
        self._loops: PerLoop[asyncio.Semaphore] = PerLoop()
        self._workers = Workers(limit, "qdrant-rerank-model")

    def run(self, job: Callable[[Stopped], T]) -> T:
        """The result of a job, run in this thread."""
        return self._one(partial(job, Stopped()))

    async def arun(self, job: Callable[[Stopped], T]) -> T:
        """The result of a job that blocks, in a thread. Cancelled while it waits, it never runs; later, it is asked to stop."""
        stopped = Stopped()
        try:
            return await self._workers.acall(partial(self._one, partial(job, stopped)))
        except asyncio.CancelledError:
            stopped.set()
            raise

    def each(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """The jobs' results, in order. Each runs in a copy of the caller's context, where tracers keep the parent.

        If one fails, those that wait are dropped, those that run end, and the error is raised as it is.
        """
        if len(jobs) <= 1 or self.limit == 1:
            return [self._one(job) for job in jobs]
        futures = [self._workers.submit(partial(self._one, job)) for job in jobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for failed in (future for future in done if future.exception() is not None):
                failed.result()  # raises
            return [future.result() for future in futures]
        finally:
            wait([future for future in futures if not future.cancel()])

    async def aeach(self, jobs: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """As `each`, in tasks of the running loop: if one fails the others are cancelled, and none outlives this call."""
        gate = self._loops.get(lambda: asyncio.Semaphore(self.limit))

        async def one(job: Callable[[], Awaitable[T]]) -> T:
            async with gate:
                return await job()

        tasks = [asyncio.ensure_future(one(job)) for job in jobs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _one(self, job: Callable[[], T]) -> T:
        with self._free:
            return job()

    def __reduce__(self) -> tuple[type[Gate], tuple[int]]:
        return type(self), (self.limit,)  # locks and threads stay in their process
