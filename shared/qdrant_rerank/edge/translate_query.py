"""Queries with their prefetches, from `qdrant_client.models` to the engine's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import qdrant_edge as engine
from pydantic import BaseModel
from qdrant_client import models

from ..checks import to_whole
from ..errors import ClientError, QueryError
from .arguments import check_extras
from .binding import made
from .describe import Vector
from .dispatch import by_type, translator
from .ids import is_id
from .translate_expression import Formulas
from .translate_filter import filter_of, without_ids
from .vectors import average, to_engine

__all__ = ["LIMIT", "Stored", "order_by", "prefetches_of", "request_of", "selected", "whole"]

LIMIT: Final = 10
"""How many points a query or prefetch without a limit returns, as on a server."""


class Stored(Protocol):
    """What translating a query needs to know of the collection."""

    @property
    def vectors(self) -> dict[str, Vector]: ...
    @property
    def formulas(self) -> Formulas: ...
    def vector_of(self, point: Any, using: str) -> Any: ...


@dataclass
class _Level:
    """One query of a request: the root's, or a prefetch's.

    Attributes:
        mentioned: the points that it names as examples, which aren't results.
    """

    stored: Stored
    using: str | None
    limit: int
    mentioned: list[Any] = field(default_factory=list)

    def vector(self, value: Any) -> Any:
        """A vector as the engine takes it; a point's id stands for its vector."""
        if not is_id(value):
            return to_engine(value, f"the query's vector for {self.using or ''!r}")
        self.mentioned.append(value)
        return self.stored.vector_of(value, self.using or "")

    def query(self, value: Any, threshold: float | None) -> Any:
        """The engine's query; vectors and ids alone ask for what is nearest to them."""
        if threshold is not None and (value is None or isinstance(value, models.OrderByQuery)):
            raise QueryError(f"score_threshold={threshold!r} needs a query that gives scores")
        if value is None:
            return None
        translate = translator(_QUERIES, type(value))
        if translate is not None:
            return translate(value, self)
        if isinstance(value, BaseModel) and not isinstance(value, _VECTORS):
            raise ClientError(f"qdrant-edge is not asked by {type(value).__name__} through this client: {value!r}"[:300])
        return engine.Query.Nearest(self.vector(value), using=self.using)


def request_of(request: models.QueryRequest, stored: Stored) -> engine.QueryRequest:
    """The engine's request for `request`.

    Raises:
        ClientError: the engine can't do what it asks for; names it.
        QueryError: a limit, vector, id or condition is wrong in itself.
    """
    check_extras(shard_key_selector=request.shard_key, lookup_from=request.lookup_from)
    level = _Level(stored, request.using, _limit(request.limit, "limit"))
    offset = _offset(request.offset)
    if isinstance(request.query, models.SampleQuery):
        offset = None  # as on a server: there is no order whose beginning could be skipped
    with made("qdrant-edge refused the query"):
        query = level.query(request.query, request.score_threshold)
        return engine.QueryRequest(
            limit=level.limit,
            offset=offset,
            query=query,
            prefetches=[_prefetch(one, stored) for one in prefetches_of(request)],
            with_vector=request.with_vector or False,
            with_payload=selected(request.with_payload),
            filter=without_ids(level.mentioned, filter_of(request.filter)),
            score_threshold=request.score_threshold,
            params=_params(request.params),
        )


def prefetches_of(request: models.QueryRequest | models.Prefetch) -> list[models.Prefetch]:
    """The candidates of a request or of a prefetch."""
    found = request.prefetch or []
    return found if isinstance(found, list) else [found]


def selected(with_payload: Any) -> Any:
    """Which payload to return, as the engine takes it."""
    if isinstance(with_payload, models.PayloadSelectorInclude):
        return with_payload.include
    if isinstance(with_payload, models.PayloadSelectorExclude):
        return engine.PayloadSelector.Exclude(with_payload.exclude)
    return False if with_payload is None else with_payload


def order_by(value: models.OrderByInterface) -> engine.OrderBy:
    """The engine's order for a payload key, or for one with a direction and a start."""
    order = models.OrderBy(key=value) if isinstance(value, str) else value
    directions = {models.Direction.ASC: engine.Direction.Asc, models.Direction.DESC: engine.Direction.Desc}
    start = order.start_from
    return engine.OrderBy(
        order.key,
        None if order.direction is None else directions[order.direction],
        start.isoformat() if isinstance(start, dt.date) else start,
    )


def _prefetch(prefetch: models.Prefetch, stored: Stored) -> engine.Prefetch:
    check_extras(lookup_from=prefetch.lookup_from)
    level = _Level(stored, prefetch.using, _limit(prefetch.limit, "the limit of a prefetch"))
    query = level.query(prefetch.query, prefetch.score_threshold)
    return engine.Prefetch(
        limit=level.limit,
        query=query,
        prefetches=[_prefetch(one, stored) for one in prefetches_of(prefetch)],
        params=_params(prefetch.params),
        filter=without_ids(level.mentioned, filter_of(prefetch.filter)),
        score_threshold=prefetch.score_threshold,
    )


def whole(value: Any, what: str, least: int) -> int:
    """A whole number, numpy's too, that the engine can hold.

    Raises:
        QueryError: it is none, or too small or large.
    """
    number = to_whole(value)
    if number is None or number < least:
        raise QueryError(f"{what} must be a whole number of at least {least}, got {value!r}"[:300])
    if number >= _END:
        raise QueryError(f"{what} must be less than 2**63, got {value!r}"[:300])
    return number


_END: Final = 2**63


def _limit(value: int | None, what: str) -> int:
    return LIMIT if value is None else whole(value, what, 1)


def _offset(value: int | None) -> int | None:
    return None if value is None else whole(value, "offset", 0)


def _params(params: Any) -> Any:
    if params is None:
        return None
    if isinstance(params, Mapping):  # as a server's client takes them
        try:
            params = models.SearchParams(**params)
        except (TypeError, ValueError) as error:
            raise QueryError(f"search parameters are those of qdrant_client.models.SearchParams: {error}"[:500]) from error
    if not isinstance(params, models.SearchParams):
        raise QueryError(f"search parameters must be a qdrant_client.models.SearchParams, got {params!r}")
    quantization: Any = params.quantization
    acorn = getattr(params, "acorn", None)
    return engine.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        indexed_only=bool(params.indexed_only),
        quantization=quantization
        and engine.QuantizationSearchParams(bool(quantization.ignore), quantization.rescore, quantization.oversampling),
        acorn=acorn and engine.AcornSearchParams(bool(acorn.enable), acorn.max_selectivity),
        idf=_idf(getattr(params, "idf", None)),
    )


def _idf(options: Any) -> Any:
    """Over which points inverse document frequencies are counted: those of a filter, or all."""
    return None if options is None else engine.IdfParams(filter_of(getattr(options, "corpus", None)))


def _nearest(query: models.NearestQuery, level: _Level) -> Any:
    if query.mmr is None:
        return engine.Query.Nearest(level.vector(query.nearest), using=level.using)
    info = level.stored.vectors.get(level.using or "")
    if info is not None and info.kind == "sparse":
        raise ClientError(f"qdrant-edge has no maximal marginal relevance by a sparse vector, which {level.using!r} is")
    diversity = 0.5 if query.mmr.diversity is None else query.mmr.diversity
    if not 0 <= diversity <= 1:
        raise QueryError(f"the diversity of MMR must be between 0 and 1, got {diversity!r}")
    among = level.limit if query.mmr.candidates_limit is None else query.mmr.candidates_limit
    return engine.Mmr(level.vector(query.nearest), 1.0 - diversity, among, using=level.using)


def _fusion(query: models.FusionQuery, level: _Level) -> Any:
    _check_fusion(level)
    return engine.Fusion.Rrf(2) if query.fusion == models.Fusion.RRF else engine.Fusion.Dbsf()


def _rrf(query: models.RrfQuery, level: _Level) -> Any:
    _check_fusion(level)
    k = 2 if query.rrf.k is None else query.rrf.k
    return engine.Fusion.Rrf(whole(k, "the k of reciprocal rank fusion", 1), query.rrf.weights)


def _check_fusion(level: _Level) -> None:
    if level.using:
        raise QueryError(f"a fusion compares no vectors: leave out using={level.using!r}")


def _feedback(query: models.RelevanceFeedbackQuery, level: _Level) -> Any:
    given = query.relevance_feedback
    naive = given.strategy.naive
    if naive.b < 0:
        raise QueryError(f"the coefficient b of relevance feedback must be at least 0, got {naive.b!r}")
    items = [engine.FeedbackItem(level.vector(item.example), item.score) for item in given.feedback]
    strategy = engine.NaiveFeedbackStrategy(naive.a, naive.b, naive.c)
    return engine.Query.FeedbackNaive(engine.FeedbackNaiveQuery(level.vector(given.target), items, strategy), using=level.using)


def _recommend(query: models.RecommendQuery, level: _Level) -> Any:
    given = query.recommend
    positive = [level.vector(one) for one in given.positive or []]
    negative = [level.vector(one) for one in given.negative or []]
    strategy = given.strategy or models.RecommendStrategy.AVERAGE_VECTOR
    if strategy == models.RecommendStrategy.AVERAGE_VECTOR:
        if not positive:
            raise QueryError("a recommendation by an average needs a positive example")
        return engine.Query.Nearest(_average(positive, negative), using=level.using)
    if not positive and not negative:
        raise QueryError("a recommendation needs an example, positive or negative")
    examples = engine.RecommendQuery(positive, negative)
    if strategy == models.RecommendStrategy.BEST_SCORE:
        return engine.Query.RecommendBestScore(examples, using=level.using)
    return engine.Query.RecommendSumScores(examples, using=level.using)


def _average(positive: list[Any], negative: list[Any]) -> Any:
    try:
        return average(positive, negative)
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise QueryError(f"the examples of a recommendation must be vectors of one kind and size: {error}") from error


def _discover(query: models.DiscoverQuery, level: _Level) -> Any:
    given = query.discover
    asked = engine.DiscoverQuery(level.vector(given.target), _pairs(given.context, level))
    return engine.Query.Discover(asked, using=level.using)


def _context(query: models.ContextQuery, level: _Level) -> Any:
    return engine.Query.Context(engine.ContextQuery(_pairs(query.context, level)), using=level.using)


def _pairs(context: Any, level: _Level) -> list[engine.ContextPair]:
    pairs = [] if context is None else context if isinstance(context, list) else [context]
    return [engine.ContextPair(level.vector(pair.positive), level.vector(pair.negative)) for pair in pairs]


_VECTORS: Final = (models.SparseVector, models.Document, models.Image, models.InferenceObject)

_QUERIES: Final[dict[type[Any], Callable[..., Any]]] = by_type(
    {
        "NearestQuery": _nearest,
        "FusionQuery": _fusion,
        "RrfQuery": _rrf,
        "RecommendQuery": _recommend,
        "DiscoverQuery": _discover,
        "ContextQuery": _context,
        "FormulaQuery": lambda query, level: level.stored.formulas.translated(query),
        "RelevanceFeedbackQuery": _feedback,
        "OrderByQuery": lambda query, level: order_by(query.order_by),
        "SampleQuery": lambda query, level: engine.Sample.Random,
    }
)
