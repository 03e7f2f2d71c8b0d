"""Features computed for points with numpy: what a row of a log holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .. import StrategyError
from .._internals import brief
from .._internals import lacking as lacking_keys
from ..expressions import columns
from ..expressions._internals import (
    Constant,
    Field,
    Now,
    PayloadKey,
    Raw,
    Table,
    candidate_scores,
    evaluate,
    payload_keys,
    placeholder_params,
    walk,
)
from .features import Category, Feature, FeatureLike, Features

__all__ = ["computed", "featured", "is_payload_only", "keys_of", "lacking", "reads_of", "selector"]

Known = Mapping[str, Feature | Category]
RESERVED: Final = ("topic", "document", "grade", "judged", "weight")


def featured(features: Features) -> dict[str, Feature | Category]:
    """The features by name, checked.

    Raises:
        StrategyError: there are none, they have no names, or one can't be logged.
    """
    if not isinstance(features, Mapping) or not features:
        raise StrategyError(f"features is a map of name to expression, e.g. {{'dense': score('dense')}}; got {brief(features)}")
    found: dict[str, Feature | Category] = {}
    for name, feature in features.items():
        if not isinstance(name, str) or not name or name in RESERVED or any(sign in name for sign in ",\n\r"):
            raise StrategyError(
                f"a feature's name must be text without commas, and none of {', '.join(RESERVED)}; got {name!r}"
            )
        try:
            found[name] = _checked(feature)
        except StrategyError as error:
            raise StrategyError(f"the feature {name!r}: {error}") from None
    return found


def _checked(feature: FeatureLike) -> Feature | Category:
    made = feature if isinstance(feature, Feature | Category) else Feature(feature)
    if isinstance(made, Feature) and any(isinstance(node, Raw) for node in walk(made.expression)):
        raise StrategyError("a raw expression can be computed by an engine only: write it with this package's functions")
    return made


def computed(features: Known, table: Table) -> NDArray[np.float64]:
    """The features of the table's n points: shape (n, number of features); NaN for what may be missing and is."""
    found = [_column(feature, table) for feature in features.values()]
    return np.column_stack(found) if len(table) else np.empty((0, len(features)))


def _column(feature: Feature | Category, table: Table) -> NDArray[np.float64]:
    if isinstance(feature, Category):
        return columns.codes(feature.key, feature.values, table.payloads)
    if feature.missing == "nan" and isinstance(feature.expression, Field):
        return table.numbers(feature.expression.key)
    return evaluate(feature.expression, table)


def reads_of(feature: Feature | Category) -> list[PayloadKey]:
    """The payload keys that a feature reads, with what must be there."""
    return [PayloadKey(feature.key, None)] if isinstance(feature, Category) else payload_keys(feature.expression)


def keys_of(features: Known) -> list[str]:
    """The payload keys that the features read."""
    return list(dict.fromkeys(key.key for feature in features.values() for key in reads_of(feature)))


def selector(features: Known, more: Sequence[str]) -> bool | list[str]:
    """What of the payload the features need, as root keys; all of it where a key is quoted."""
    keys = [*keys_of(features), *more]
    if any('"' in key for key in keys):
        return True
    return list(dict.fromkeys(key.partition(".")[0].partition("[")[0] for key in keys))


def is_payload_only(feature: Feature | Category) -> bool:
    """Whether the feature is the same for a point whatever is asked."""
    if isinstance(feature, Category):
        return True
    expression = feature.expression
    asked = candidate_scores(expression) or placeholder_params(expression)
    constant = all(isinstance(node, Constant) for node in walk(expression))
    return not asked and not constant and not any(isinstance(node, Now) for node in walk(expression))


def lacking(feature: Feature | Category, payloads: Sequence[Mapping[str, Any]]) -> float:
    """The share of points that lack a payload value that the feature reads; 0 without points."""
    return lacking_keys(reads_of(feature), payloads)
