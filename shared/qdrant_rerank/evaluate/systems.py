"""Systems to evaluate, what to ask of them, and which documents their results are.

A system is a strategy on an executor, a retriever of LangChain or LlamaIndex, a function, or a finished run. The frameworks
are recognised by the attributes of what they return; none is imported.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeAlias

from qdrant_client import models

from .. import AsyncExecutor, Executor, SearchOptions, Strategy, StrategyError
from .._internals import (
    Points,
    Search,
    identify,
    in_batches,
    in_worker,
    path_problem,
    point_ids,
    qualname_of,
    root_keys,
    value_at,
)
from ..errors import FormatError
from ..ingest import point_id
from .data import Qrels, Ranked, Topic


@dataclass(frozen=True)
class BoundStrategy:
    """A strategy with the executor that it runs on, to measure under a name of its own.

    Attributes:
        strategy: what is measured.
        executor: on the collection; an `AsyncExecutor` in `aevaluate`.
        name: what tables call it; the strategy's repr if empty.
    """

    strategy: Strategy
    executor: Executor | AsyncExecutor
    name: str = ""

    @property
    def description(self) -> str:
        """The same text for what gives the same results, together with what `Target.identify` says: strategy and collection."""
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
class BlackBox:
    """A system of which only the results can be seen.

    `ask` returns them, or what is to be awaited in an async evaluation. It takes the topic's text, or if `takes_topic` all of
    the topic. `identity` tells the system from others: its name, if the user gave one; None where nothing does.
    """

    name: str
    description: str
    ask: Callable[[Any], Any]
    takes_topic: bool = False
    identity: str | None = None


System: TypeAlias = BoundStrategy | BlackBox


def as_system(system: Any, executor: Executor | AsyncExecutor | None, name: str, awaits: bool) -> System:
    """`system` as something that answers topics, awaited or not.

    Raises StrategyError: it can't, it can't in this way, or a strategy comes without an executor.
    """
    if isinstance(system, tuple) and len(system) == 2 and isinstance(system[0], Strategy):
        system, executor = system
    if isinstance(system, BoundStrategy):
        return _bind(system.strategy, system.executor, name or system.name, awaits)
    if isinstance(system, Strategy):
        if not isinstance(executor, Executor | AsyncExecutor):
            raise StrategyError(
                "a strategy needs an executor to run on: evaluate(strategy, topics, qrels, executor=Executor(client, …))"
            )
        return _bind(system, executor, name, awaits)
    if executor is not None:
        raise StrategyError(f"executor= is for strategies; {type(system).__name__} brings its own way to search")
    return _wrap_black_box(system, name, awaits)


def _bind(strategy: Strategy, executor: Executor | AsyncExecutor, name: str, awaits: bool) -> BoundStrategy:
    if awaits and isinstance(executor, Executor):
        raise StrategyError("an Executor would block the event loop: use evaluate(…), or an AsyncExecutor")
    if not awaits and isinstance(executor, AsyncExecutor):
        raise StrategyError("an AsyncExecutor can't be used in a sync call: use `await aevaluate(…)`, or an Executor")
    return BoundStrategy(strategy, executor, name or repr(strategy))


def _wrap_black_box(system: Any, name: str, awaits: bool) -> BlackBox:
    if isinstance(system, Executor | AsyncExecutor):
        raise StrategyError("an executor alone doesn't say how to search: pass a strategy, and the executor as executor=")
    takes_topic = isinstance(system, TopicFunction)
    whose = system.function if takes_topic else system
    ask = _prepare_function(whose, awaits) if takes_topic else _find_search(system, awaits)
    described = qualname_of(whose)
    return BlackBox(name or described, described, ask, takes_topic=takes_topic, identity=name or identify(whose))


def _find_search(system: Any, awaits: bool) -> Callable[[Any], Any]:
    """What finds results by text, to call or to await."""
    for method, amethod in (("invoke", "ainvoke"), ("retrieve", "aretrieve")):
        if callable(getattr(system, method, None)):
            later = getattr(system, amethod, None) if awaits else None
            return later if callable(later) else _prepare_function(getattr(system, method), awaits)
    if callable(system):
        return _prepare_function(system, awaits)
    raise StrategyError(
        f"can't evaluate a {type(system).__name__}: pass a strategy with executor=, a LangChain retriever (invoke), "
        "a LlamaIndex retriever (retrieve), or a function from text to results"
    )


def _prepare_function(function: Callable[[Any], Any], awaits: bool) -> Callable[[Any], Any]:
    """The function as one to call, or as one to await: what blocks is then run in a thread."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
        if not awaits:
            raise StrategyError("the function is async: use `await aevaluate(…)`")
        return function

    def ask(asked: Any) -> Any:
        found = function(asked)
        return list(found) if isinstance(found, Iterator) else found  # a generator's work belongs to its time, and its thread

    return (lambda asked: in_worker(partial(ask, asked))) if awaits else ask


DocId: TypeAlias = "str | Callable[[Any], object] | None"
"""How a document's id is read from a result: a key of its payload or metadata (or an attribute), a function, or None.

None takes `_id` of the payload or metadata, else `Document.id`, `node.node_id` or the point's id.
"""
_ABSENT: Final = object()


def read_ranking(results: Any, doc_id: DocId, names: Mapping[str, str]) -> tuple[tuple[Ranked, ...], int]:
    """The ranking in `results`, each document at its first place only, and how many results were left out for that.

    `names` are other ids of documents → their ids in the qrels; see `aliases`.

    Raises StrategyError: they are no results, or a result has no such id.
    """
    if isinstance(results, str | bytes | Mapping) or not isinstance(results, Iterable):
        raise StrategyError(
            f"a system must return its results in a list, best first: points, documents, nodes, ids or (id, score) pairs; "
            f"got {type(results).__name__} {results!r}"[:300]
        )
    ranking: dict[str, Ranked] = {}
    count = 0
    for result in results:
        count += 1
        found = str(_id(result, doc_id))
        found = names.get(found, found)
        ranking.setdefault(found, Ranked(found, _score(result)))
    return tuple(ranking.values()), count - len(ranking)


def aliases(qrels: Qrels) -> dict[str, str]:
    """The id of the point that `ingest` makes of a document → the document's id, for all judged documents.

    LangChain's and LlamaIndex's stores may show the point's id only.
    """
    names: dict[str, str] = {}
    for document in qrels.documents:
        try:
            names[str(point_id(document))] = document
        except FormatError:
            continue  # an id that ingest can't store needs no other name
    return {other: name for other, name in names.items() if other not in qrels.documents}


def _id(result: Any, doc_id: DocId) -> object:
    if isinstance(result, tuple | list) and len(result) == 2 and not callable(doc_id):
        return _id(result[0], doc_id)
    holders, metadata = (result, getattr(result, "node", None)), _metadata(result)
    if doc_id is None:
        if isinstance(result, str | int):
            return result
        there = [metadata.get("_id"), *(getattr(one, name, None) for one in holders for name in ("id", "node_id"))]
        if (found := next((each for each in there if each is not None), None)) is not None:
            return found
        raise StrategyError(
            f"no document id in the result {_describe(result)}: say where it is with doc_id='key of the metadata' "
            "or doc_id=a function from result to id"
        )
    if callable(doc_id):
        found, how = doc_id(result), "your function"
    else:
        found, how = value_at(metadata, doc_id, _ABSENT), repr(doc_id)
        if found is _ABSENT:
            found = next((getattr(one, doc_id) for one in holders if hasattr(one, doc_id)), None)
    if found is None:
        raise StrategyError(f"doc_id={how} gives no document id for the result {_describe(result)}")
    return found


def _metadata(result: Any) -> Mapping[str, Any]:
    """Payload of a point, metadata of a document or node, or the mapping itself."""
    if isinstance(result, Mapping):
        return result
    holders = result, getattr(result, "node", None)
    there = [getattr(holder, name, None) for holder in holders for name in ("payload", "metadata")]
    return next((found for found in there if isinstance(found, Mapping)), {})


def _score(result: Any) -> float:
    """The score that a result carries; 0.0 without one. It orders nothing: rank is position."""
    found: Any
    if isinstance(result, tuple | list) and len(result) == 2:
        found = result[1]
    else:
        metadata = _metadata(result)
        own = result.get("score") if isinstance(result, Mapping) else getattr(result, "score", None)
        there = own, metadata.get("relevance_score"), metadata.get("score")
        found = next((value for value in there if value is not None), None)
    try:
        score = float(found)
    except (TypeError, ValueError):
        return 0.0
    return score if math.isfinite(score) else 0.0


def _describe(result: Any) -> str:
    metadata = _metadata(result)
    there = f" with {', '.join(sorted(map(repr, metadata))[:12])}" if metadata else ""  # gRPC's have no order
    kind = "point" if isinstance(result, models.ScoredPoint) else type(result).__name__
    return f"{kind}{there}"


def other_ids(found: Iterable[str], judged: Iterable[str]) -> str:
    """The beginning of a message that no document found was judged, with some ids of results and some of judgments."""
    different = list(dict.fromkeys(found))
    return (
        f"none of the {len(different)} documents found is in the judgments: the results' ids are "
        f"{', '.join(map(repr, different[:3]))}, the judgments' {', '.join(map(repr, sorted(judged)[:3]))}; say with doc_id="
    )


def with_stable_ties(strategy: Strategy, options: SearchOptions) -> SearchOptions:
    """`options` with points of equal score in the order of their ids, so that a measurement gives the same figures again.

    Engines return ties in random order, and fusion makes many. Qdrant puts groups together, and MMR's results aren't in the
    order of their scores: their order stays.
    """
    by_score = next((stage.ranks_by_score for stage in strategy.stages()), True)
    return replace(options, stable_ties=options.group_by is None and by_score)


def prepare_options(strategy: Strategy, options: SearchOptions, doc_id: DocId) -> SearchOptions:
    """What to ask of `strategy` to measure it: `options`, with stable ties, and the payload that ids are read from.

    Strategies that this package doesn't know, and models that read texts, get the payload that the options ask for.
    """
    options = with_stable_ties(strategy, options)
    if strategy.fetches_payload:
        return replace(options, with_payload=id_payload(doc_id))
    return options


def id_payload(doc_id: DocId) -> models.WithPayloadInterface:
    """The payload that a document's id is read from; a function may read all of it."""
    return True if callable(doc_id) else root_keys(["_id" if doc_id is None else doc_id])


def describe_doc_id(doc_id: DocId) -> str | None:
    """The same for what files of results call the same, together with `identify_doc_id`."""
    return "function" if callable(doc_id) else doc_id


def identify_doc_id(doc_id: DocId) -> dict[str, str | None]:
    """What tells a function that reads ids from others, as `Target.identify` says it."""
    return {"the function doc_id": identify(doc_id)} if callable(doc_id) else {}


_AT_ONCE = 256


def unknown_documents(qrels: Qrels, executor: Executor, doc_id: str = "_id") -> tuple[str, ...]:
    """The judged documents that the collection doesn't hold, in the order of their ids.

    It searches for the id of their point (as it stands, or as `ingest` makes it), then for the payload key `doc_id`, 256 at a
    time. Server collections in strict mode need an index on that key.

    Args:
        qrels: the judgments.
        executor: the collection.
        doc_id: the payload key that holds a document's id.

    Raises:
        StrategyError: the key is no payload path.
    """
    if problem := path_problem(doc_id):
        raise StrategyError(problem)
    missing = set(qrels.documents)
    at_once = _at_once(executor)
    for share in in_batches(sorted(missing), at_once):
        ids: dict[Any, str] = {id: document for document in share for id in point_ids(document)}
        points = _search_points(executor, models.Filter(must=[models.HasIdCondition(has_id=list(ids))]), len(ids), False)
        missing.difference_update(ids[point.id] for point in points if point.id in ids)
    for share in in_batches(sorted(missing), at_once):
        left = set(share)
        while left:  # many points may belong to one document, so one answer need not show all documents
            points = _search_points(executor, models.Filter(should=list(_any_of(doc_id, sorted(left)))), at_once, [doc_id])
            found = left.intersection(str(value_at(point.payload or {}, doc_id)) for point in points)
            if not found:
                break
            left -= found
            missing -= found
    return tuple(sorted(missing))


def _any_of(key: str, documents: list[str]) -> Iterator[models.Condition]:
    """Conditions for payload values that are these ids, as texts or numbers."""
    yield models.FieldCondition(key=key, match=models.MatchAny(any=documents))
    numbers = [int(document) for document in documents if document.isdecimal() and int(document) < 2**63]
    if numbers:
        yield models.FieldCondition(key=key, match=models.MatchAny(any=numbers))


def _search_points(executor: Executor, filter: models.Filter, limit: int, payload: bool | list[str]) -> Points:
    """Points that meet the filter, in no order."""
    [points] = executor.search(Search([models.QueryRequest(filter=filter, limit=limit, with_payload=payload)]))
    return points


def _at_once(executor: Executor) -> int:
    """How many documents to search for at once: no more than strict mode allows points and values of a condition."""
    strict = executor.target().schema.strict
    limits = [strict.max_query_limit, strict.condition_max_size] if strict is not None else []
    return max(1, min([_AT_ONCE, *(limit // 2 for limit in limits if limit is not None)]))  # a document may have two ids
