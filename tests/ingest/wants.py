"""A strategy that reads payload of every type."""

from __future__ import annotations

import datetime as dt

from qdrant_client import models

from qdrant_rerank import Formula, Nearest, datetime_field, decay_exp, field, geo_distance, now, score, when


def match(key: str, value: str | int | bool) -> models.FieldCondition:
    """The payload has this value."""
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


EVERYTHING = Formula(
    score()
    + 0.1 * field("rating", default=3)
    + decay_exp(now() - datetime_field("published", default=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)), scale=86400)
    + 0.001 * geo_distance((47.0, 8.0), "place", default=1e5)
    + when(match("category", "news"))
    + when(models.Filter(must=[match("open", True), match("year", 2020)]))
).over(
    Nearest(
        "dense",
        limit=20,
        filter=models.Filter(must=[models.FieldCondition(key="summary", match=models.MatchText(text="boat"))]),
    )
)
