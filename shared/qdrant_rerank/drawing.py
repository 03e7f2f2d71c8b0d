"""The request for random points of a collection."""

from __future__ import annotations

from qdrant_client import models

from .schema import Schema

__all__ = ["random_points"]


def random_points(
    count: int,
    with_payload: models.WithPayloadInterface,
    filter: models.Filter | None = None,
    schema: Schema | None = None,
) -> models.QueryRequest:
    """What draws up to `count` random points; no more than the strict mode of `schema` allows, if it is given."""
    strict = None if schema is None else schema.strict
    most = strict.max_query_limit if strict is not None and strict.enabled else None
    random = models.SampleQuery(sample=models.Sample.RANDOM)
    return models.QueryRequest(query=random, filter=filter, limit=min(count, most or count), with_payload=with_payload)
