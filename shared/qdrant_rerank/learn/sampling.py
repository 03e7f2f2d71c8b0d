"""Stored points drawn at random, and how features are distributed over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qdrant_client import models

from .. import Executor, Retries
from .._internals import NO_RETRIES, Points, Search, random_points
from ..evaluate._internals import RetryingServices
from ..expressions._internals import Table, View
from .feature_log import Reference
from .features import Category, Feature
from .log_columns import computed, is_payload_only, lacking

__all__ = ["reference_of", "stored_points"]


def stored_points(
    executor: Executor, payload: Any, count: int, filter: models.Filter | None = None, retries: Retries = NO_RETRIES
) -> Points:
    """Up to `count` stored points, drawn at random by Qdrant."""
    [points] = RetryingServices(executor, retries).search(
        Search([random_points(count, payload, filter, executor.target().schema)])
    )
    return points


def reference_of(features: Mapping[str, Feature | Category], points: Points, view: View) -> dict[str, Reference]:
    """How each feature that only reads the payload is distributed over the points, as the engine sees them."""
    known = {name: feature for name, feature in features.items() if is_payload_only(feature)}
    if not known or not points:
        return {}
    payloads = [point.payload or {} for point in points]
    values = computed(known, Table(payloads, [point.id for point in points], view=view))
    return {
        name: Reference.of(values[:, number], lacking(feature, payloads))
        for number, (name, feature) in enumerate(known.items())
    }
