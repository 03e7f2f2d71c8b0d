"""Queries with their prefetches and formulas, from `qdrant_client.models` to the engine's own.

A learned formula has thousands of nodes and comes with every query, but `Formula` stages make its nodes once, or all that
no request-time value is in. So translations are kept by the identity of the models, which must not be changed after their
first query; a changed formula is a new one.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

import qdrant_edge as engine
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from qdrant_client import models

from ..errors import ClientError, QueryError
from ..values import to_whole
from .translate_config import Vector
from .translate_filter import condition, filter_of, without_ids
from .values import average, by_type, check_extras, describe_misfits, is_id, to_engine, translator

Node = engine.Expression
V = TypeVar("V")
Recur = Callable[[Any], Any]


class _Latest(Generic[V]):
    """Values by the identity of models, which are held so that their ids stay theirs; the oldest go first."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._by_id: OrderedDict[int, tuple[Any, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, model: Any) -> V | None:
        found = self._by_id.get(id(model))
        if found is None:
            return None
        self._by_id.move_to_end(id(model))
        return found[1]

    def put(self, model: Any, value: V) -> None:
        self._by_id[id(model)] = model, value
        if len(self._by_id) > self._kept:
            self._by_id.popitem(last=False)


class Formulas:
    """Translates formulas, and remembers; for one thread at a time.

    A query seen before is done; of a new one, a part seen for the second time is kept whole.
    """

    def __init__(self, queries: int = 32, parts: int = 4096, nodes: int = 20_000) -> None:
        self.queries: _Latest[Any] = _Latest(queries)
        self.parts: _Latest[Any] = _Latest(parts)
        self._seen: _Latest[bool] = _Latest(nodes)

    def translate(self, query: models.FormulaQuery) -> Any:
        """The engine's formula for `query`.

        Raises QueryError: it is nested too deep to be translated, or wrong in itself. Raises ClientError: it has a node that
        the engine doesn't know.
        """
        found = self.queries.get(query)
        if found is None:
            found = self._formula(query)
            self.queries.put(query, found)
        return found

    def _formula(self, query: models.FormulaQuery) -> Any:
        try:
            with describe_misfits("qdrant-edge refused the formula"):
                translated = self._part(query.formula)
                return engine.Formula(translated, to_jsonable_python(query.defaults) if query.defaults else None)
        except RecursionError:
            raise QueryError("the formula is nested too deep to be translated: a few hundred levels are possible") from None

    def _part(self, value: Any) -> Any:
        if isinstance(value, float | str):
            return expression(value)
        found = self.parts.get(value)
        if found is not None:
            return found
        if self._seen.get(value):
            found = expression(value)
            self.parts.put(value, found)
            return found
        self._seen.put(value, True)
        return _translate(value, self._part)


def expression(value: Any) -> Any:
    """The engine's expression for one node of a formula and all below it."""
    return _translate(value, expression)


def _translate(value: Any, recur: Recur) -> Any:
    translate = translator(_NODES, type(value))
    if translate is None or isinstance(value, bool):
        raise ClientError(f"qdrant-edge has no expression {type(value).__name__}: {value!r}")
    return translate(value, recur)


def _constant(value: Any, recur: Recur) -> Any:
    return Node.Constant(float(value))


def _condition(value: Any, recur: Recur) -> Any:
    return Node.Condition(condition(value))


def _distance(value: models.GeoDistance, recur: Recur) -> Any:
    origin = value.geo_distance.origin
    return Node.GeoDistance(engine.GeoPoint(lon=origin.lon, lat=origin.lat), value.geo_distance.to)


def _decay(kind: engine.DecayKind, params: models.DecayParamsExpression, recur: Recur) -> Any:
    target = None if params.target is None else recur(params.target)
    return Node.Decay(kind, recur(params.x), target, params.midpoint, params.scale)


def _of_one(name: str) -> Callable[[Any, Recur], Any]:
    return lambda value, recur: getattr(Node, name)(recur(getattr(value, name.lower())))


def _of_several(name: str) -> Callable[[Any, Recur], Any]:
    return lambda value, recur: getattr(Node, name)([recur(one) for one in getattr(value, name.lower())])


_CONDITIONS: Final = "Field IsEmpty IsNull HasId HasVector Slice Nested"

_NODES: Final[dict[type[Any], Callable[[Any, Recur], Any]]] = {
    float: _constant,
    int: _constant,
    str: lambda value, recur: Node.Variable(value),
} | by_type(
    {
        **{f"{name}Expression": _of_one(name) for name in ("Neg", "Abs", "Sqrt", "Exp", "Ln", "Log10", "Acosh")},
        **{f"{name}Expression": _of_several(name) for name in ("Mult", "Sum", "Max", "Min")},
        **{f"{name}Condition": _condition for name in _CONDITIONS.split()},
        "DivExpression": lambda value, recur: Node.Div(
            recur(value.div.left), recur(value.div.right), value.div.by_zero_default
        ),
        "PowExpression": lambda value, recur: Node.Pow(recur(value.pow.base), recur(value.pow.exponent)),
        "LinDecayExpression": lambda value, recur: _decay(engine.DecayKind.Lin, value.lin_decay, recur),
        "ExpDecayExpression": lambda value, recur: _decay(engine.DecayKind.Exp, value.exp_decay, recur),
        "GaussDecayExpression": lambda value, recur: _decay(engine.DecayKind.Gauss, value.gauss_decay, recur),
        "GeoDistance": _distance,
        "DatetimeExpression": lambda value, recur: Node.Datetime(value.datetime),
        "DatetimeKeyExpression": lambda value, recur: Node.DatetimeKey(value.datetime_key),
        "Filter": _condition,
    }
)


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
    """One query of a request: the root's, or a prefetch's; the points `mentioned` as examples aren't results."""

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

    Raises ClientError: the engine can't do what it asks for; names it. Raises QueryError: a limit, vector, id or condition is
    wrong in itself.
    """
    check_extras(shard_key_selector=request.shard_key, lookup_from=request.lookup_from)
    level = _Level(stored, request.using, _limit(request.limit, "limit"))
    offset = None if request.offset is None else whole(request.offset, "offset", 0)
    if isinstance(request.query, models.SampleQuery):
        offset = None  # as on a server: there is no order whose beginning could be skipped
    with describe_misfits("qdrant-edge refused the query"):
        return engine.QueryRequest(
            offset=offset,
            with_vector=request.with_vector or False,
            with_payload=payload_selector(request.with_payload),
            **_parts(request, level),
        )


def _parts(asked: models.QueryRequest | models.Prefetch, level: _Level) -> dict[str, Any]:
    """What requests and prefetches have in common, as the engine takes it."""
    return {
        "limit": level.limit,
        "query": level.query(asked.query, asked.score_threshold),
        "prefetches": [_prefetch(one, level.stored) for one in prefetches_of(asked)],
        "filter": without_ids(level.mentioned, filter_of(asked.filter)),  # which the query has mentioned
        "score_threshold": asked.score_threshold,
        "params": _params(asked.params),
    }


def prefetches_of(request: models.QueryRequest | models.Prefetch) -> list[models.Prefetch]:
    """The candidates of a request or of a prefetch."""
    found = request.prefetch or []
    return found if isinstance(found, list) else [found]


def payload_selector(with_payload: Any) -> Any:
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
    return engine.Prefetch(**_parts(prefetch, level))


def whole(value: Any, what: str, least: int) -> int:
    """A whole number, numpy's too, that the engine can hold. Raises QueryError: it is none, or too small or large."""
    number = to_whole(value)
    if number is None or number < least:
        raise QueryError(f"{what} must be a whole number of at least {least}, got {value!r}"[:300])
    if number >= _END:
        raise QueryError(f"{what} must be less than 2**63, got {value!r}"[:300])
    return number


_END: Final = 2**63


def _limit(value: int | None, what: str) -> int:
    return LIMIT if value is None else whole(value, what, 1)


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
    acorn, idf = getattr(params, "acorn", None), getattr(params, "idf", None)
    return engine.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        indexed_only=bool(params.indexed_only),
        quantization=quantization
        and engine.QuantizationSearchParams(bool(quantization.ignore), quantization.rescore, quantization.oversampling),
        acorn=acorn and engine.AcornSearchParams(bool(acorn.enable), acorn.max_selectivity),
        # over which points inverse document frequencies are counted: those of a filter, or all
        idf=None if idf is None else engine.IdfParams(filter_of(getattr(idf, "corpus", None))),
    )


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
        "ContextQuery": lambda query, level: engine.Query.Context(
            engine.ContextQuery(_pairs(query.context, level)), using=level.using
        ),
        "FormulaQuery": lambda query, level: level.stored.formulas.translate(query),
        "RelevanceFeedbackQuery": _feedback,
        "OrderByQuery": lambda query, level: order_by(query.order_by),
        "SampleQuery": lambda query, level: engine.Sample.Random,
    }
)
