"""What a learned formula was trained on, and whether a sample of a collection is like that.

The population stability index of a feature is `Σ (now − then) · ln(now / then)` over the shares of the bins that held a tenth
each in training (Siddiqi, "Credit Risk Scorecards", 2006; a symmetric Kullback-Leibler divergence). By custom, below 0.1
nothing has happened, from 0.25 on the model should be fitted again. Of the same values drawn twice, n and m at a time, it is
`(1/n + 1/m)` times a chi-squared number (Yurdakul, "Statistical Properties of Population Stability Index", 2018).

A sample takes one request for each collection and list of payload keys, kept with what is known of the collection; one more
where no sampled point has some key, to make sure that no other point has it either.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .errors import Lint, StrategyError, did_you_mean
from .expressions.evaluation import Table, compute, read_codes, read_numbers
from .expressions.inspect import PayloadKey, payload_keys
from .expressions.lowering import holds_datetime, holds_number
from .expressions.nodes import Expression, Field
from .expressions.view import View, reader
from .points import root_keys
from .query import Sample, SearchOptions, Target, both
from .schema import Schema
from .steps import Flow, Search
from .values import brief, find_changes

Array = NDArray[np.float64]
Payloads = Sequence[Mapping[str, Any]]

BINS: Final = 10
MOVED: Final = 0.1
FAR: Final = 0.25
_LEAST_SHARE: Final = 1e-4
_ONCE_IN_100: Final = 2.326  # standard deviations


@dataclass(frozen=True)
class Reference:
    """The distribution of a feature when it was logged, to find out later whether it has moved.

    Attributes:
        edges: rising bounds between bins; values at a bound belong to the bin below it.
        shares: of each bin (one more than `edges`); they sum to 1.
        missing: share of the values that were NaN, or of points that lack a payload value that the feature reads.
        size: of how many values; 0 if that isn't known.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    missing: float = 0.0
    size: int = 0

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.edges) + 1:
            raise StrategyError(
                f"a distribution has one share more than edges, got {len(self.shares)} shares and {len(self.edges)} edges"
            )

    @classmethod
    def of(cls, values: Array, missing: float = 0.0, weights: Array | None = None) -> Reference:
        """The distribution of `values`, in ten bins of about equal share (fewer where values repeat)."""
        known = ~np.isnan(values)
        kept = values[known]
        if not len(kept):
            return cls((), (1.0,), missing, len(values))
        inner = np.unique(np.quantile(kept, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
        edges = tuple(inner[inner < kept.max()].tolist())
        shares = cls._shares(kept, edges, None if weights is None else weights[known])
        return cls(edges, shares, missing, len(values))

    def shares_of(self, values: Array) -> tuple[float, ...]:
        """The share of other values in each of these bins."""
        kept = values[~np.isnan(values)]
        return self._shares(kept, self.edges, None) if len(kept) else tuple(0.0 for _ in self.shares)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @staticmethod
    def _shares(values: Array, edges: tuple[float, ...], weights: Array | None) -> tuple[float, ...]:
        counts = np.bincount(np.searchsorted(np.array(edges), values, side="left"), weights, minlength=len(edges) + 1)
        return tuple((counts / counts.sum()).tolist())


@dataclass(frozen=True, kw_only=True)
class TrainedFeature:
    """A feature that reads the payload alone, and how it was distributed over the stored points in training.

    Attributes:
        name: the feature's.
        expression: what computes it; `field(key)` without a default where missing values are NaN. None for a category.
        category: a category's payload key.
        values: the categories of code 0, 1, 2, …; None if whole numbers are their own codes.
        reference: how it was distributed.
    """

    name: str
    expression: Expression | None = None
    category: str | None = None
    values: tuple[str | int, ...] | None = None
    reference: Reference

    def __post_init__(self) -> None:
        if (self.expression is None) == (self.category is None):
            raise StrategyError(f"the trained feature {self.name!r} has an expression or a category, and not both")

    @property
    def keys(self) -> list[str]:
        """The payload keys that it reads."""
        return [key.key for key in self.reads]

    @property
    def reads(self) -> list[PayloadKey]:
        """The payload keys that it reads, with the kind of value that must be there."""
        return [PayloadKey(self.category or "", None)] if self.expression is None else payload_keys(self.expression)

    @property
    def is_nullable(self) -> bool:
        """Whether missing values stay missing; else they count as a default."""
        return self.expression is None or (isinstance(self.expression, Field) and self.expression.default is None)

    def of(self, payloads: Payloads, view: View | None = None) -> Array:
        """The feature of n payloads, shape (n,), as `view` sees them; NaN where it is missing."""
        seen = view or View()
        if self.expression is None:
            return read_codes(self.category or "", self.values, payloads)
        if isinstance(self.expression, Field) and self.expression.default is None:
            return read_numbers(self.expression.key, payloads, seen)
        return compute(self.expression, Table(payloads, range(len(payloads)), view=seen))

    def shift(self, payloads: Payloads, view: View | None = None) -> float:
        """The population stability index of these payloads against those of the training."""
        return shift(self.reference, self.of(payloads, view), find_missing(self.reads, payloads), self.is_nullable)


@dataclass(frozen=True, kw_only=True)
class TrainedVector:
    """A vector by which the candidates of the training were found; scores by another distance or model mean something else.

    Attributes:
        name: the vector's.
        size: numbers in it; None for sparse vectors.
        distance: how it was compared, e.g. "Cosine"; None for sparse vectors.
        encoder: the fingerprint of the model that embedded the queries; None where nothing tells it from others.
    """

    name: str
    size: int | None = None
    distance: str | None = None
    encoder: str | None = None

    @classmethod
    def of(cls, name: str, target: Target) -> TrainedVector:
        """The vector of this name as it is in a collection, and the model that embeds queries for it."""
        info = target.schema.vectors[name]
        return cls(name=name, size=info.size, distance=info.distance_name, encoder=target.fingerprints.encoder(name))

    def find_changes(self, target: Target) -> Iterator[tuple[str, object, object]]:
        """What of it is otherwise in a collection, or with the models here; see `values.find_changes`."""
        info = target.schema.vectors.get(self.name)
        yield from find_changes(
            [
                ("size", self.size, lambda: info and info.size),
                ("distance", self.distance, lambda: info and info.distance_name),
                ("embedding model", self.encoder, lambda: target.fingerprints.encoder(self.name)),
            ]
        )


@dataclass(frozen=True)
class Trained:
    """What a formula was trained on: plans compare it with the collection, and with a sample of its points.

    A plan refuses a collection of which no point has a payload key that the formula reads, one whose vectors have
    another size or distance, and another embedding model; it warns where values have moved.

    Attributes:
        features: those that read the payload alone, with their distributions.
        calibrated: whether the score is a probability of relevance, fitted to topics of its own.
        vectors: those by which the candidates were found.
    """

    features: tuple[TrainedFeature, ...] = ()
    calibrated: bool = dataclasses.field(default=False, compare=False)  # older files are without it, and as good
    vectors: tuple[TrainedVector, ...] = ()


def psi(then: Sequence[float], now: Sequence[float], least: float = _LEAST_SHARE) -> float:
    """The population stability index of two lists of shares; smaller shares and empty bins count as `least`."""
    pairs = ((max(one, least), max(two, least)) for one, two in zip(then, now, strict=True))
    return sum((two - one) * math.log(two / one) for one, two in pairs)


def shift(then: Reference, values: Array, missing: float, nullable: bool) -> float:
    """The population stability index of `values`, shape (n,), NaN for missing ones.

    `missing` is the share of points that lack a payload value that the feature reads: a bin of its own, if `nullable`.
    """
    now = then.shares_of(values)
    least = max(_LEAST_SHARE, 0.5 / max(1, len(values)))  # half a value: a bin may be empty by chance
    if not nullable:
        return psi(then.shares, now, least)
    before = [*(share * (1 - then.missing) for share in then.shares), then.missing]
    return psi(before, [*(share * (1 - missing) for share in now), missing], least)


def by_chance(then: Reference, count: int) -> float:
    """The index that `count` values of the same distribution exceed once in a hundred times."""
    freedom = max(1, len(then.shares) - 1)
    part = 2 / (9 * freedom)
    # Wilson and Hilferty's approximation of the chi-squared quantile (PNAS 17, 1931)
    return (1 / max(1, count) + 1 / (then.size or max(1, count))) * freedom * (1 - part + _ONCE_IN_100 * math.sqrt(part)) ** 3


_TYPES: Final[Mapping[models.PayloadSchemaType | None, tuple[str, tuple[type, ...]]]] = {
    models.PayloadSchemaType.FLOAT: ("number", (int, float)),
    models.PayloadSchemaType.DATETIME: ("date-time", (str,)),
    models.PayloadSchemaType.GEO: ("geo point", (dict,)),
}
_CALLED: Final[Mapping[type, str]] = {str: "text", bool: "a bool", dict: "an object", list: "a list", int: "a number"}
_SHOWN: Final = 60


def kind_of(key: PayloadKey) -> str:
    """The kind of value to read there: `number`, `date-time`, `geo point`, or `value` where anything will do."""
    return _TYPES[key.index][0] if key.index in _TYPES else "value"


def has(payload: Mapping[str, Any], key: PayloadKey) -> bool:
    """Whether the payload has a value of the right kind there."""
    values = reader(key.key)(payload) or []
    if key.index not in _TYPES:
        return any(value is not None for value in values)
    return any(isinstance(value, _TYPES[key.index][1]) and not isinstance(value, bool) for value in values)


def find_missing(keys: Iterable[PayloadKey], payloads: Payloads) -> float:
    """The share of payloads that lack a value of the right kind under one of the keys; 0 without payloads."""
    wanted = list(keys)
    lack = [not all(has(payload, key) for key in wanted) for payload in payloads]
    return float(np.mean(lack)) if lack else 0.0


def instead(key: PayloadKey, payloads: Payloads) -> str:
    """The value there instead, for a message: `"text, e.g. 'four'"`; "" where the key is absent everywhere."""
    for payload in payloads:
        for value in reader(key.key)(payload) or []:
            if value is not None:
                return f"{_CALLED.get(type(value), type(value).__name__)}, e.g. {brief(value, _SHOWN)}"
    return ""


def leaves(payload: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of everything in a payload."""
    for key, value in payload.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


SAMPLE_SIZE: Final = 500
"""How many points are drawn; an index of 0.1 is then beyond chance if the training's sample was of 250 or more."""

_KEPT: Final = 64  # samples: calls may have a filter each
_LISTED: Final = 5  # points whose keys an error lists


def sample_payloads(
    expression: Expression,
    trained: Trained,
    own: models.Filter | None,
    key: tuple[str, ...],
    target: Target,
    options: SearchOptions,
) -> Flow[Target]:
    """`target`, with a sample of the payload that a learned formula reads, of points that the call may see.

    `own` is the formula's filter; the sample depends on `key`, beside the call, and may be there already.
    """
    if target.schema.points == 0:
        return target
    known, place = target.quirks.samples, (repr(options.filter), repr(options.shard_key_selector), *key)
    if place not in known:
        known[place] = yield from _draw(expression, trained, own, target, options)
        while len(known) > _KEPT:
            del known[next(iter(known))]
    return replace(target, samples={**target.samples, key: known[place]})


def _draw(
    expression: Expression, trained: Trained, own: models.Filter | None, target: Target, options: SearchOptions
) -> Flow[Sample]:
    keys = payload_keys(expression)
    if not keys:
        return Sample((), {})
    within = both(own, options.filter)
    payload = root_keys([key.key for key in keys])
    [points] = yield from Search([_asked(random_points(SAMPLE_SIZE, payload, within, target.schema), options)])
    payloads = [point.payload or {} for point in points]
    known = {each for one in trained.features if one.reference.missing == 1.0 for each in one.keys}  # in training too
    gone = [key for key in keys if payloads and key.key not in known and not any(has(payload, key) for payload in payloads)]
    if not gone:
        return Sample(payloads, {}, chosen=names_points(within))
    return (yield from _made_sure(gone, payloads, own, options))


def _made_sure(
    gone: Sequence[PayloadKey], payloads: Sequence[Mapping[str, Any]], own: models.Filter | None, options: SearchOptions
) -> Flow[Sample]:
    """The sample, with those of the keys that really no point has, whatever the call's filter; what there is, within it."""
    within = both(own, options.filter)
    asked = [models.QueryRequest(filter=both(own, _with(key)), limit=1, with_payload=False) for key in gone]
    some = models.QueryRequest(filter=within, limit=_LISTED, with_payload=True)
    try:
        *found, points = yield from Search([_asked(each, options) for each in (*asked, some)])
    except Exception:  # strict mode forbids filters without an index: the sample has to do
        found, points = [[] for _ in gone], []
    absent = [key for key, hits in zip(gone, found, strict=True) if not hits]
    there = tuple(sorted({name for point in points for name in leaves(point.payload or {})}))  # gRPC's have no order
    others = {key.key: text for key in absent if (text := instead(key, payloads))}
    return Sample(payloads, {key.key: kind_of(key) for key in absent}, there, others, names_points(within))


def _asked(request: models.QueryRequest, options: SearchOptions) -> models.QueryRequest:
    """The request, of the shards that the call searches."""
    return request.model_copy(update={"shard_key": options.shard_key_selector})


def names_points(filter: models.Filter | None) -> bool:
    """Whether a filter names points by their ids: those were chosen, and are no sample of the collection."""
    if filter is None:
        return False
    must = filter.must if isinstance(filter.must, list) else [filter.must]
    return any(
        isinstance(each, models.HasIdCondition) or (isinstance(each, models.Filter) and names_points(each)) for each in must
    )


def field_problems(sample: Sample, collection: str) -> Iterator[str]:
    """Payload keys that a learned formula reads and no point has a value of the right kind at."""
    for key, kind in sample.gone.items():
        there = [name for name in sample.there if name != key]
        listed = f"; there are {', '.join(map(repr, there))}{did_you_mean(key, there)}" if there else ""
        if other := sample.instead.get(key, ""):
            listed, other = "", f" but {other}"
        yield (
            f"the learned formula reads {key!r}, but no point of {collection!r} has a {kind} there{other} "
            f"({len(sample.payloads)} random points were looked at{listed}): it was trained on another collection, or the "
            "payload has changed. strategy.uncheck(), or Formula.load(path, checked=False), runs it all the same"
        )


def vector_problems(trained: Trained, used: Iterable[str], target: Target) -> Iterator[str]:
    """Vectors among those `used` that aren't as in training, of what both sides know."""
    names = set(used)
    for then in trained.vectors:
        for what, was, here in then.find_changes(target) if then.name in names else ():
            yield (
                f"the learned formula was trained with the {what} {was!r} for the vector {then.name!r}, and here it is "
                f"{here!r}: scores mean something else, and so do probabilities. Fit it again; strategy.uncheck(), or "
                "Formula.load(path, checked=False), runs it all the same"
            )


def drift_warnings(trained: Trained, expression: Expression, sample: Sample, view: View) -> Iterator[Lint]:
    """Features whose values are no longer distributed as in training, beyond what chance does."""
    read, count = {key.key for key in payload_keys(expression)}, len(sample.payloads)
    for one in trained.features if count and not sample.chosen else ():
        if not read.issuperset(one.keys) or sample.gone.keys() & set(one.keys):
            continue
        index = one.shift(sample.payloads, view)
        if index >= max(MOVED, by_chance(one.reference, count)):
            verdict = "is far from what it was trained on: fit it again" if index >= FAR else "has moved since it was trained"
            yield Lint(
                "feature-drift",
                f"the learned formula's feature {one.name!r} {verdict} (PSI {index:.2f} over {count} random points; below "
                f"{MOVED} is as in training): `qdrant-rerank drift` tells more",
            )


def _with(key: PayloadKey) -> models.Filter:
    if key.index == models.PayloadSchemaType.FLOAT:
        return models.Filter(must=[holds_number(key.key, thorough=False)])
    if key.index == models.PayloadSchemaType.DATETIME:
        return models.Filter(must=[holds_datetime(key.key, thorough=False)])
    return models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key.key))])


def random_points(
    count: int,
    with_payload: models.WithPayloadInterface,
    filter: models.Filter | None = None,
    schema: Schema | None = None,
) -> models.QueryRequest:
    """A request for up to `count` random points, no more than the strict mode of `schema` allows."""
    strict = None if schema is None else schema.strict
    most = strict.max_query_limit if strict is not None else None
    random = models.SampleQuery(sample=models.Sample.RANDOM)
    return models.QueryRequest(query=random, filter=filter, limit=min(count, most or count), with_payload=with_payload)
