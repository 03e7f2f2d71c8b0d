"""What can be evaluated: a strategy on an executor, a retriever of LangChain or LlamaIndex, a function, or a finished run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from .. import AsyncExecutor, Executor, Strategy, StrategyError
from .._internals import in_worker
from .topics import Topic

__all__ = ["Bound", "Foreign", "System", "TopicFunction", "as_system"]


@dataclass(frozen=True)
class Bound:
    """A strategy and the executor it runs on.

    Attributes:
        strategy: what to evaluate.
        executor: on which collection, with which encoders.
        name: what tables call it; the strategy's repr if empty.
    """

    strategy: Strategy
    executor: Executor | AsyncExecutor
    name: str = ""

    @property
    def description(self) -> str:
        """The same text for what gives the same results: strategy, collection and model."""
        model = getattr(self.executor.reranker, "fingerprint", None)
        return f"{self.strategy!r} on {self.executor.collection!r}" + (f" with {model}" if model else "")


@dataclass(frozen=True)
class TopicFunction:
    """A function that is given the whole topic, for systems that take filters or request-time values.

    Attributes:
        function: from `Topic` to results, best first; may be async, for `aevaluate`.
    """

    function: Callable[[Topic], Any]


@dataclass(frozen=True)
class Foreign:
    """A system of which only its results can be seen.

    Attributes:
        name: what tables call it.
        description: what it is; names no settings, which can't be seen.
        ask: from a topic to its results, synchronously.
        aask: the same, to be awaited.
        whole: whether it is given the whole topic, not just the text.
    """

    name: str
    description: str
    ask: Callable[[Topic], Any]
    aask: Callable[[Topic], Any]
    whole: bool = False


System: TypeAlias = Bound | Foreign


def as_system(system: Any, executor: Executor | AsyncExecutor | None, name: str) -> System:
    """`system` as something that topics can be put to.

    Raises:
        StrategyError: it can't be, or a strategy comes without an executor.
    """
    if isinstance(system, tuple) and len(system) == 2 and isinstance(system[0], Strategy):
        system, executor = system
    if isinstance(system, Bound):
        return Bound(system.strategy, system.executor, name or system.name or repr(system.strategy))
    if isinstance(system, Strategy):
        if not isinstance(executor, Executor | AsyncExecutor):
            raise StrategyError(
                "a strategy needs an executor to run on: evaluate(strategy, topics, qrels, executor=Executor(client, …))"
            )
        return Bound(system, executor, name or repr(system))
    if executor is not None:
        raise StrategyError(f"executor= is for strategies; {type(system).__name__} brings its own way to search")
    return _foreign(system, name)


def _foreign(system: Any, name: str) -> Foreign:
    if isinstance(system, TopicFunction):
        described = _described(system.function)
        ask, aask = _calls(system.function)
        return Foreign(name or described, described, ask, aask, whole=True)
    if isinstance(system, Executor | AsyncExecutor):
        raise StrategyError("an executor alone doesn't say how to search: pass a strategy, and the executor as executor=")
    described = _described(system)
    for method, amethod in (("invoke", "ainvoke"), ("retrieve", "aretrieve")):
        if callable(getattr(system, method, None)):
            ask = partial(_by_text, getattr(system, method))
            later = getattr(system, amethod, None)
            return Foreign(name or described, described, ask, partial(_by_text, later) if callable(later) else _threaded(ask))
    if callable(system):
        ask, aask = _calls(partial(_by_text, system), system)
        return Foreign(name or described, described, ask, aask)
    raise StrategyError(
        f"can't evaluate a {type(system).__name__}: pass a strategy with executor=, a LangChain retriever (invoke), "
        "a LlamaIndex retriever (retrieve), or a function from text to results"
    )


def _by_text(call: Callable[[str], Any], topic: Topic) -> Any:
    return call(topic.text)


def _calls(function: Callable[[Topic], Any], origin: Any = None) -> tuple[Callable[[Topic], Any], Callable[[Topic], Any]]:
    """A function as sync and as async; one that is async can't be called synchronously."""
    whose = origin or function
    if inspect.iscoroutinefunction(whose) or inspect.iscoroutinefunction(getattr(whose, "__call__", None)):  # noqa: B004
        return _refused, function
    return function, _threaded(function)


def _refused(topic: Topic) -> Any:
    raise StrategyError("the function is async: use `await aevaluate(…)`")


def _threaded(ask: Callable[[Topic], Any]) -> Callable[[Topic], Any]:
    async def later(topic: Topic) -> Any:
        return await in_worker(lambda: ask(topic))

    return later


def _described(system: Any) -> str:
    kind: Any = system if hasattr(system, "__qualname__") else type(system)
    return f"{kind.__module__}.{kind.__qualname__}"
