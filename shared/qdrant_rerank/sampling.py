"""A sample of a collection's payload, drawn once when a learned formula is planned for it, and what it shows.

One request for each collection and list of payload keys, kept with what is known of the collection; one more where no sampled
point has some key, to make sure that no other point has it either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from qdrant_client import models

from .errors import Lint, did_you_mean
from .expressions.inspect import PayloadKey, payload_keys
from .expressions.lowering import holds_datetime, holds_number
from .expressions.nodes import Expression
from .expressions.view import View
from .points import root_keys
from .query import SearchOptions, Target, both
from .schema import Schema
from .steps import Flow, Search
from .trained import FAR, MOVED, Sample, Trained, by_chance, has, instead, kind_of, leaves

__all__ = ["SIZE", "drift_warnings", "field_problems", "names_points", "random_points", "sample_payloads"]

SIZE: Final = 500
"""How many points are drawn; an index of 0.1 is then beyond chance if the training's sample was of 250 or more."""

_KEPT: Final = 64  # samples: calls may have a filter each
_SHOWN: Final = 5  # points whose keys an error lists


def sample_payloads(
    expression: Expression,
    trained: Trained,
    own: models.Filter | None,
    key: tuple[str, ...],
    target: Target,
    options: SearchOptions,
) -> Flow[Target]:
    """`target`, with a sample of the payload that a learned formula reads, of points that the call may see.

    Args:
        expression: the formula's.
        trained: its training.
        own: the formula's filter.
        key: what the sample depends on, beside the call.
        target: the collection, which may have the sample already.
        options: the call's.
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
    [points] = yield from Search([_asked(random_points(SIZE, payload, within, target.schema), options)])
    payloads = [point.payload or {} for point in points]
    known = set(_known_missing(trained))
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
    some = models.QueryRequest(filter=within, limit=_SHOWN, with_payload=True)
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


def _known_missing(trained: Trained) -> Iterator[str]:
    """Keys that no point had in training either."""
    for one in trained.features:
        if one.reference.missing == 1.0:
            yield from one.keys


def _with(key: PayloadKey) -> models.Filter:
    """A filter for points that have the key."""
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
    most = strict.max_query_limit if strict is not None and strict.enabled else None
    random = models.SampleQuery(sample=models.Sample.RANDOM)
    return models.QueryRequest(query=random, filter=filter, limit=min(count, most or count), with_payload=with_payload)
