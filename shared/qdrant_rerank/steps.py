"""The things a flow may ask for, and the drivers that answer them. No other file drives a query's flow.

`together` runs many flows as one.

A *flow* is a generator: it yields steps (`Embed`, `Search`, `Score`, `Scores`), is sent each answer, and returns its result.
It does no I/O, so every multi-step retrieval is written once and can be tested with a script of answers.

Laws (tested):

* `run(flow, executor)` and `await arun(flow, async_executor)` return the same for executors that answer the same.
* An exception in a step is thrown into the flow at its `yield`, so a strategy may catch it and degrade.
* Cancellation is not caught; it closes the flow.
* Where the call has a deadline (`calls.within`), no step is waited for beyond it, and none begins after it: sync steps run
  in worker threads, and are left to themselves at the deadline, async ones are cancelled. A search gets the time that is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, assert_never

from qdrant_client import models

from .calls import DEADLINE, Deadline
from .threads import WORKERS, call_worker, carry

Q = TypeVar("Q")
T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S", bound="_Asks[Any]")

QueryVector: TypeAlias = (
    "list[float] | list[list[float]] | models.SparseVector | models.Document | models.Image | models.InferenceObject"
)
"""What Qdrant compares: dense numbers, token vectors, a sparse vector, or an object that the server embeds."""
Vectors: TypeAlias = Mapping[str, QueryVector]
"""Query vectors by vector name; the unnamed vector is `""`."""
Points: TypeAlias = list[models.ScoredPoint]
"""Ranked points, best first: the rank is the position (scores need not descend, e.g. after MMR)."""
Request: TypeAlias = "models.QueryRequest | models.QueryGroupsRequest"


class Shared(list[T]):
    """A list that `copy.deepcopy` hands back as it is: query vectors, the terms of compiled formulas.

    qdrant-client deep-copies every request of a batch, and local mode every query, though neither changes them. For one
    vector of 384 numbers that takes longer than all else that happens to a small query; for a large formula, much longer.
    """

    def __deepcopy__(self, memo: object) -> Shared[T]:
        return self


class _Asks(Generic[R]):
    """Makes `answer = yield from step` carry the type of the answer."""

    def __iter__(self: S) -> Generator[S, Any, R]:
        answer: R = yield self
        return answer


@dataclass(frozen=True)
class Embed(_Asks[list[Vectors]]):
    """Asks for the query vectors of `texts`, for the vectors named in `using`; one mapping for each text."""

    texts: Sequence[str]
    using: frozenset[str]


@dataclass(frozen=True)
class Search(_Asks[list[Points]]):
    """Asks Qdrant for the points of each request.

    All plain requests of one step go out in one round trip. A group request has an endpoint of its own, so each
    is one more round trip; its groups come back flattened, best group first.

    `schema` is the `Schema` that the requests were made for, if what is made of their scores depends on it: answers are checked
    against it.
    With `keys_alone` an executor's fixed filter doesn't hold, and of the points it finds only the names of payload keys and the
    types of their values come back (see `payload_schema.hide_values`).
    """

    requests: Sequence[Request]
    consistency: models.ReadConsistency | None = None
    timeout: float | None = None
    schema: Any = field(default=None, compare=False, repr=False)  # whose module reads it with these drivers
    keys_alone: bool = False


@dataclass(frozen=True)
class Score(_Asks[list[float]]):
    """Asks the reranker for one score for each text; higher is better."""

    query: str
    texts: Sequence[str]


@dataclass(frozen=True)
class Scores(_Asks["list[list[float] | Exception]"]):
    """Asks for several `Score`s at once; answered by the scores of each, or the exception that it ended in."""

    asked: Sequence[Score]


Step: TypeAlias = Embed | Search | Score | Scores
Flow: TypeAlias = Generator[Step, Any, R]
Calls: TypeAlias = Generator[Callable[[], Any], Any, R]
"""A generator that yields calls, all sync or all async, and is sent what each returns: what both need is written once."""


class Services(Protocol):
    """What answers steps, synchronously.

    If it has `workers` (`threads.Workers`), what blocks runs in these, both here and in `AsyncServices`.
    """

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]: ...
    def search(self, step: Search) -> list[Points]: ...
    def score(self, query: str, texts: Sequence[str]) -> list[float]: ...


class AsyncServices(Protocol):
    """What answers steps, without blocking the event loop."""

    async def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]: ...
    async def search(self, step: Search) -> list[Points]: ...
    async def score(self, query: str, texts: Sequence[str]) -> list[float]: ...


def drive(flow: Generator[Q, Any, R], answer: Callable[[Q], Any]) -> R:
    """Drive a generator to its result: send it the answer to each thing it yields, or throw in what `answer` raises."""
    # no context managers here and in `run`: each query passes, and two of them take as long as all else that happens here
    try:
        asked = next(flow)
        while True:
            try:
                answered = answer(asked)
            except Exception as error:
                asked = flow.throw(carry(error))
            else:
                asked = flow.send(answered)
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        flow.close()


async def adrive(flow: Generator[Q, Any, R], answer: Callable[[Q], Awaitable[Any]]) -> R:
    """`drive` with one `await`."""
    try:
        asked = next(flow)
        while True:
            try:
                answered = await answer(asked)
            except Exception as error:
                asked = flow.throw(carry(error))
            else:
                asked = flow.send(answered)
    except StopIteration as done:
        result: R = done.value
        return result
    finally:
        flow.close()


def run_calls(calls: Calls[R]) -> R:
    """Make the calls that a generator yields, and return its result."""
    return drive(calls, lambda call: call())


async def arun_calls(calls: Calls[R]) -> R:
    """As `run_calls`, for calls that are awaited."""
    return await adrive(calls, lambda call: call())


def run(flow: Flow[R], services: Services) -> R:
    """Drive `flow` to its result, answering each step with `services`."""
    token = WORKERS.set(getattr(services, "workers", None) or WORKERS.get())
    try:
        return drive(flow, partial(_answer, services))
    finally:
        WORKERS.reset(token)


async def arun(flow: Flow[R], services: AsyncServices) -> R:
    """Drive `flow` to its result, awaiting each step."""
    token = WORKERS.set(getattr(services, "workers", None) or WORKERS.get())
    try:
        return await adrive(flow, partial(_aanswer, services))
    finally:
        WORKERS.reset(token)


def watch(flow: Flow[R], look: Callable[[Step], object], hear: Callable[[Step, Any], object] | None = None) -> Flow[R]:
    """`flow`, of which `look` sees each step before it is asked, and `hear` its answer; what they raise ends it."""
    with closing(flow):
        try:
            step = next(flow)
            while True:
                look(step)
                try:
                    answer = yield step
                except Exception as error:
                    step = flow.throw(error)
                else:
                    if hear is not None:
                        hear(step, answer)
                    step = flow.send(answer)
        except StopIteration as done:
            result: R = done.value
            return result


def _answer(services: Services, step: Step) -> Any:
    """What answers `step`, within the call's deadline if it has one."""
    if isinstance(step, Scores):
        return _each(step, services)
    deadline = DEADLINE.get()
    if deadline is None:
        return _ask(step, services)
    return call_worker(partial(_ask, _set_timeout(step, deadline), services), deadline, _describe(step))


async def _aanswer(services: AsyncServices, step: Step) -> Any:
    if isinstance(step, Scores):
        return await asyncio.gather(*(_aanswer(services, one) for one in step.asked), return_exceptions=True)
    deadline = DEADLINE.get()
    if deadline is None:
        return await _ask(step, services)
    return await deadline.hold(partial(_ask, _set_timeout(step, deadline), services), _describe(step))


def _ask(step: Embed | Search | Score, services: Services | AsyncServices) -> Any:
    """The service call that answers `step`; a coroutine when the services are async."""
    match step:
        case Embed():
            return services.embed(step.texts, step.using)
        case Search():
            return services.search(step)
        case Score():
            return services.score(step.query, step.texts)
    assert_never(step)


def _set_timeout(step: Embed | Search | Score, deadline: Deadline) -> Embed | Search | Score:
    """`step`; a search gets the time that is left."""
    return replace(step, timeout=deadline.left) if isinstance(step, Search) else step


def _describe(step: Embed | Search | Score) -> str:
    """What is done while `step` is asked, for errors."""
    match step:
        case Embed():
            what = "the query" if len(step.texts) == 1 else f"{len(step.texts)} texts"
            return f"embedding {what} for {', '.join(map(repr, sorted(step.using)))}"
        case Search():
            return "searching" if len(step.requests) == 1 else f"searching ({len(step.requests)} requests)"
        case Score():
            return f"scoring {len(step.texts)} texts"
    assert_never(step)


def _each(step: Scores, services: Services) -> list[Any]:
    """The answer to each of several scorings, one after the other."""
    answers: list[Any] = []
    for one in step.asked:
        try:
            answers.append(_answer(services, one))
        except Exception as error:
            answers.append(carry(error))
    return answers


def together(flows: Sequence[Flow[R]]) -> Flow[list[R]]:
    """Run many flows side by side as one flow: what they ask for at the same time is asked for once.

    Embeddings for the same vectors become one `Embed`, searches with the same options one `Search` (one round
    trip), scorings one `Scores`, which async services answer side by side. A step's exception is thrown into each flow that
    shares the step; one that a flow doesn't catch ends them all.
    """
    results: dict[int, R] = {}
    waiting: dict[int, Step] = {}

    def advance(number: int, resume: Callable[[Any], Step], answer: Any) -> None:
        try:
            waiting[number] = resume(answer)
        except StopIteration as done:
            results[number] = done.value

    try:
        for number, flow in enumerate(flows):
            advance(number, flow.send, None)
        while waiting:
            # embeddings first, so that flows that bring their vectors search together with those that have to wait for them
            asked = {number: step for number, step in waiting.items() if isinstance(step, Embed)} or waiting
            waiting = {number: step for number, step in waiting.items() if number not in asked}
            for step, numbers in _merge(asked):
                try:
                    answers: list[Any] = yield from step
                except Exception as error:
                    for number in numbers:
                        advance(number, flows[number].throw, error)
                    continue
                if len(numbers) == 1:  # a step of its own
                    advance(numbers[0], flows[numbers[0]].send, answers)
                    continue
                shares = _deal_out(answers, [asked[number] for number in numbers])
                for number, share in zip(numbers, shares, strict=True):
                    advance(number, flows[number].throw if isinstance(share, BaseException) else flows[number].send, share)
    finally:
        for flow in flows:
            flow.close()
    return [results[number] for number in range(len(flows))]


def _merge(asked: Mapping[int, Step]) -> Iterator[tuple[Step, list[int]]]:
    """Steps that ask for all of `asked`, each with the numbers of the flows it asks for."""
    alike: dict[object, list[int]] = {}
    for number, step in asked.items():
        alike.setdefault(_company(step), []).append(number)
    for numbers in alike.values():
        yield _join([asked[number] for number in numbers]), numbers


def _company(step: Step) -> object:
    """Equal for steps that one step may ask for."""
    match step:
        case Embed():
            return Embed, step.using
        case Search():
            return Search, repr(step.consistency), step.timeout, step.keys_alone
        case Score() | Scores():
            return Scores
    assert_never(step)


def _join(steps: Sequence[Step]) -> Step:
    """One step that asks what these ask, which are of one kind."""
    first = steps[0]
    if len(steps) == 1:
        return first
    match first:
        case Embed():
            return replace(first, texts=[text for step in steps if isinstance(step, Embed) for text in step.texts])
        case Search():
            return replace(first, requests=[request for step in steps if isinstance(step, Search) for request in step.requests])
        case Score() | Scores():
            alike = [step for step in steps if isinstance(step, Score | Scores)]
            return Scores([one for step in alike for one in (step.asked if isinstance(step, Scores) else [step])])
    assert_never(first)


def _deal_out(answers: list[Any], steps: Sequence[Step]) -> Iterator[Any]:
    """Deal the answers of a merged step out to the steps that it was merged from."""
    start = 0
    for step in steps:
        size = _size(step)
        share = answers[start : start + size]
        yield share[0] if isinstance(step, Score) else share
        start += size


def _size(step: Step) -> int:
    match step:
        case Embed():
            return len(step.texts)
        case Search():
            return len(step.requests)
        case Score():
            return 1
        case Scores():
            return len(step.asked)
    assert_never(step)
