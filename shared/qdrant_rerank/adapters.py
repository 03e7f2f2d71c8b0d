"""What the adapters of both frameworks share: executors kept between calls, checks of settings, and how a call is answered.

Adapters reach it through `_internals`. Checks raise errors of ours, which are `ValueError`s, so that pydantic takes them too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import fields
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from qdrant_client import QdrantClient, models

from .calls import Retries
from .capabilities import Capabilities
from .errors import ClientError, QueryError, StrategyError, did_you_mean
from .executor import AsyncExecutor, Executor
from .models.encoders import Encoders
from .models.wrappers import as_reranker
from .payload import PayloadMapping
from .query import SearchOptions, not_a_filter
from .strategies import Strategy
from .values import brief, is_whole

E = TypeVar("E", Executor, AsyncExecutor)

_KEPT: Final = 32
_NO_EFFECT: Final = ("with_vectors", "page", "most")  # what a document or a node has no place for, or plans fill in


class Executors:
    """Executors by what they are made of, each made when it is first needed.

    Copies of a retriever share it, so that they share connections and what was read of the collection. Retrievers that a
    framework makes for each call find the executor of the last call, and another where the client or an encoder differs.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[object, Executor | AsyncExecutor]] = OrderedDict()
        self._owned: list[QdrantClient] = []
        self.closed = False
        self.latest: tuple[tuple[object, ...], dict[object, Any]] = (), {}
        """What an adapter last made of its settings, by what it is, with the settings that it was made of."""
        self._lock = Lock()

    def own(self, client: QdrantClient) -> Executors:
        """These, which from now on close a client that was made for them."""
        self._owned.append(client)
        return self

    def get(self, kind: type[E], parts: Iterable[object], make: Callable[[type[E]], E]) -> E:
        """The executor of these parts, or a new one of that kind by `make`. Raises ClientError after `close` or `aclose`."""
        parts = list(parts)
        key = kind, *map(_identify, parts)
        with self._lock:
            if self.closed:
                raise ClientError("this is closed: nothing can be asked after close() or aclose(); make another")
            if key not in self._kept:
                self._kept[key] = parts, make(kind)  # holding the parts keeps their ids from being reused
                while len(self._kept) > _KEPT:  # not closed: a call may be under way
                    self._kept.popitem(last=False)
            executor = self._kept[key][1]
        assert isinstance(executor, kind)
        return executor

    def refresh(self) -> None:
        """Have every executor forget its collection's schema."""
        with self._lock:
            for _, executor in self._kept.values():
                executor.refresh()

    def close(self) -> None:
        """Close every executor, and the clients that were made for these; never one that a user passed."""
        for executor in self._take():
            executor.close()
        self._close_owned()

    async def aclose(self) -> None:
        """As `close`; what belongs to the running event loop is closed when this returns."""
        for executor in self._take():
            await executor.aclose()
        self._close_owned()

    def _take(self) -> list[Executor | AsyncExecutor]:
        with self._lock:
            self.closed = True
            self.latest = (), {}
            kept = [executor for _, executor in self._kept.values()]
            self._kept.clear()
            return kept

    def _close_owned(self) -> None:
        while self._owned:
            self._owned.pop().close()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Executors)  # what is kept is no part of a retriever's value

    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return Executors, ()  # connections are neither pickled nor deep-copied


class KeepsExecutors:
    """What a retriever of either framework does with its executors: it closes them, or has them read the schema again."""

    if TYPE_CHECKING:

        @property
        def _executors(self) -> Executors: ...

    def refresh(self) -> None:
        """Forget what was read of the collection, e.g. after a payload index was made; the next query reads it again."""
        self._executors.refresh()

    def close(self) -> None:
        """Close the clients that this retriever made, and its threads, for all its copies; never a client that it was given.

        Calls after it end in a `ClientError`. Clients of event loops that run in other threads are closed by these.
        """
        self._executors.close()

    async def aclose(self) -> None:
        """As `close`, and the client of the running event loop is closed when this returns."""
        await self._executors.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _identify(part: object) -> Hashable:
    """The same for the same object, and for equal values of the kinds that have no state."""
    if isinstance(part, Mapping):
        return tuple((key, _identify(value)) for key, value in part.items())
    if isinstance(part, Encoders):
        return _identify(part.named), _identify(part.by_kind)
    if isinstance(part, models.Filter):
        return part.model_dump_json()
    return part if isinstance(part, str | int | float | Capabilities | PayloadMapping | Retries) else id(part)


def find_unknown(given: Iterable[str], known: Iterable[str], own: Mapping[str, str]) -> tuple[str, str] | None:
    """The first name that isn't known, and a hint at what is meant; None if all are. `own` is as for `check_options`."""
    known = list(known)
    unknown = next((name for name in given if name not in known), None)
    if unknown is None:
        return None
    if "options" in known and unknown in {each.name for each in fields(SearchOptions)} - set(_NO_EFFECT):
        return unknown, f": pass {own.get(unknown, f'options=SearchOptions({unknown}=…)')}"
    return unknown, did_you_mean(unknown, known)


def check_count(name: str, value: object) -> None:
    """Refuse a number of results that isn't a whole one of at least 1. Raises QueryError."""
    if not is_whole(value, 1):
        raise QueryError(f"{name} must be a whole number of at least 1, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """Refuse a setting that is no bool. Raises QueryError."""
    if not isinstance(value, bool):
        raise QueryError(f"{name} must be True or False, got {value!r}")


def check_filter(value: object) -> None:
    """Refuse what is neither a `models.Filter` nor None. Raises QueryError."""
    if value is not None and not isinstance(value, models.Filter):
        raise QueryError(not_a_filter(value))


def check_reranker(value: object) -> None:
    """Refuse what can't score texts, or is a class. Raises StrategyError."""
    if isinstance(value, type):
        raise StrategyError(f"reranker must be a reranker; this is the class {value.__name__}: pass an object of it")
    as_reranker(value)  # type: ignore[arg-type]


def check_use(reranker: object, strategy: Strategy) -> None:
    """Refuse a reranker that the strategy doesn't ask: results would be those without it. Raises StrategyError."""
    if reranker is not None and strategy.model_use == "none" and not strategy.cost.reads:
        found = brief(strategy)
        raise StrategyError(
            f"the reranker would read nothing: the strategy {found} asks none. Pass strategy=Rerank(reads=50).over({found})"
        )


def check_options(options: object, own: Mapping[str, str], without_effect: Iterable[str] = ()) -> SearchOptions:
    """The options that an adapter was given. Raises QueryError where they are none, a value can't be, or a field isn't for it.

    `own` says for which fields the adapter has an argument of its own, and how it is passed, as each has one place;
    `without_effect` are fields that have no effect where these options go.
    """
    if not isinstance(options, SearchOptions):
        raise QueryError(f"options must be a qdrant_rerank.SearchOptions, got {type(options).__name__} {brief(options)}")
    for name in (each.name for each in fields(options) if getattr(options, each.name) != each.default):
        if name in own:
            raise QueryError(f"{name} has an argument of its own: pass {own[name]} instead of options=SearchOptions({name}=…)")
        if name in (*_NO_EFFECT, *without_effect):
            raise QueryError(f"{name} has no effect here: leave it out of options=SearchOptions(…)")
    if options.group_by is None and options.group_size != 1:
        raise QueryError("group_size has no effect without group_by: pass the payload key to group by as well")
    if problems := list(options.problems()):
        raise QueryError("; ".join(problems))
    return options
