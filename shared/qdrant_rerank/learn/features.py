"""A model's columns as Qdrant has them: expressions, numbers that may be missing, categories; how to keep and compute them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import StrategyError, from_json, to_json
from .._internals import (
    Constant,
    Field,
    Now,
    PayloadKey,
    Raw,
    Table,
    brief,
    candidate_scores,
    check_key,
    compute,
    expression_from_json,
    find_missing,
    payload_keys,
    placeholder_params,
    read_codes,
    reads_model,
    walk,
)
from ..errors import FormatError
from ..expressions import Expression, ExpressionLike, as_expression
from ..stages import Stage

__all__ = [
    "Category",
    "Feature",
    "FeatureLike",
    "Features",
    "as_features",
    "candidates_from_json",
    "candidates_json",
    "check_features",
    "compute_features",
    "feature_json",
    "features_from_json",
    "is_payload_only",
    "keys_read",
    "selector",
    "share_lacking",
]


@dataclass(frozen=True, init=False)
class Feature:
    """One column of a model: the expression that computes it.

    Args:
        expression: what the model was trained on, e.g. `field("price", default=0)`, `score("dense")`, `param("budget")`.
        missing: `"nan"` if the model was trained with NaN where the payload lacks the field; the expression is then
            `field(key)` without a default, and the model (or the pipeline's imputer) says what a missing value means.

    Raises:
        StrategyError: a payload key is read without a default and without `missing="nan"`, or with both.
    """

    expression: Expression
    missing: Literal["nan"] | None = None

    def __init__(self, expression: ExpressionLike, missing: Literal["nan"] | None = None) -> None:
        object.__setattr__(self, "expression", as_expression(expression))
        object.__setattr__(self, "missing", missing)
        if missing not in (None, "nan"):
            raise StrategyError(f"missing is 'nan' or None, got {missing!r}")
        if missing == "nan":
            self._check_nullable()
        else:
            self._check_defaults()

    def _check_nullable(self) -> None:
        if not isinstance(self.expression, Field):
            raise StrategyError(
                f"missing='nan' is for field(key) alone, not for {brief(self.expression)}: give its fields defaults"
            )
        if self.expression.default is not None:
            raise StrategyError(
                f"{brief(self.expression)} has a default, so that it is never missing: "
                f"write Feature(field({self.expression.key!r}), missing='nan')"
            )

    def _check_defaults(self) -> None:
        if reads_model(self.expression):
            raise StrategyError("rerank_score() can't be a feature: Qdrant can't know the score of a model that reads the text")
        for key in payload_keys(self.expression):
            if not key.has_default:
                raise StrategyError(
                    f"{brief(self.expression)} has no default, so that one point without {key.key!r} would fail the whole "
                    "query: "
                    f"write field({key.key!r}, default=…) if the model was trained with that value there, "
                    f"or Feature(field({key.key!r}), missing='nan') if it was trained with NaN"
                )


@dataclass(frozen=True, init=False)
class Category:
    """One categorical column of a tree model: a payload key that holds one text or one whole number.

    Points without a category, with one that isn't listed, or with several, count as missing.

    Args:
        key: the payload key.
        values: the category that the model knows as code 0, 1, 2, …; None if the model itself knows its categories (it
            was trained on a pandas categorical, or is a HistGradientBoosting), or if the payload holds the codes.
    """

    key: str
    values: tuple[str | int, ...] | None = None

    def __init__(self, key: str, values: Sequence[str | int] | None = None) -> None:
        check_key(key)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "values", None if values is None else tuple(values))
        for value in self.values or ():
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise StrategyError(f"the categories of {key!r} must be text or whole numbers, got {value!r}")


FeatureLike: TypeAlias = "Feature | Category | ExpressionLike"
"""A column of a model."""
Features: TypeAlias = "Mapping[str, FeatureLike] | Sequence[FeatureLike]"
"""The columns of a model, by its names for them or in its order."""
Known: TypeAlias = "Mapping[str, Feature | Category]"
"""Features by name, checked."""
RESERVED: Final = ("topic", "document", "grade", "judged", "weight")
"""The other columns of a log."""


def as_features(features: Features, names: Sequence[str] | None, count: int) -> dict[str, Feature | Category]:
    """The features by name, in the order of the model's columns.

    Args:
        features: by name, or in the model's order.
        names: the model's own names of its columns, if it has any.
        count: how many columns the model has.

    Raises:
        StrategyError: they aren't the model's columns; the message lists both.
    """
    if not isinstance(features, Mapping):
        if isinstance(features, str | Category | Feature) or not isinstance(features, Sequence):
            raise StrategyError(f"features is a map of name to expression, or a list of expressions; got {brief(features)}")
        own = names if names is not None and len(names) == len(features) else [f"column {n}" for n in range(len(features))]
        features = dict(zip(own, features, strict=True))
    given = ", ".join(map(repr, features)) or "none"
    if len(features) != count:
        there = f" ({', '.join(map(repr, names))})" if names else ""
        raise StrategyError(f"the model has {count} columns{there}, but {len(features)} features are given: {given}")
    if names is not None and set(names) != set(features):
        raise StrategyError(
            f"the features are not the model's columns: the model has {', '.join(map(repr, names))}; given are {given}"
        )
    return {name: _as_feature(name, features[name]) for name in (names or features)}


def _as_feature(name: str, feature: FeatureLike, raw: bool = True) -> Feature | Category:
    try:
        made = feature if isinstance(feature, Feature | Category) else Feature(feature)
        if not raw and isinstance(made, Feature) and any(isinstance(node, Raw) for node in walk(made.expression)):
            raise StrategyError("a raw expression can be computed by an engine only: write it with this package's functions")
    except StrategyError as error:
        raise StrategyError(f"the feature {name!r}: {error}") from None
    return made


def feature_json(feature: Feature | Category) -> Any:
    """A feature as plain JSON values."""
    if isinstance(feature, Category):
        return {"category": feature.key, "values": None if feature.values is None else list(feature.values)}
    found: dict[str, Any] = {"expression": json.loads(to_json(feature.expression)), "text": repr(feature.expression)}
    return found if feature.missing is None else found | {"missing": feature.missing}


def features_from_json(value: Mapping[str, Any], path: str | PathLike[str] | None = None) -> dict[str, Feature | Category]:
    """The features by name, each as `feature_json` wrote it.

    Raises:
        FormatError: one isn't a feature.
    """
    return {name: _read_feature(name, item, path) for name, item in value.items()}


def _read_feature(name: str, value: Any, path: str | PathLike[str] | None) -> Feature | Category:
    try:
        match value:
            case {"category": str(key)}:
                return Category(key, value.get("values"))
            case {"expression": expression}:
                return Feature(expression_from_json(json.dumps(expression)), value.get("missing"))
            case _:
                raise StrategyError(f"neither an expression nor a category: {json.dumps(value)[:100]}")
    except (FormatError, StrategyError, TypeError) as error:
        raise FormatError(f"the feature {name!r}: {error}", path) from error


def candidates_json(candidates: tuple[Stage, ...]) -> list[Any]:
    """Candidates as plain JSON values."""
    return [json.loads(to_json(candidate)) for candidate in candidates]


def candidates_from_json(value: Any, path: str | PathLike[str] | None = None) -> tuple[Stage, ...]:
    """The candidates that `candidates_json` wrote.

    Raises:
        FormatError: they aren't stages.
    """
    if not isinstance(value, list):
        raise FormatError(f"candidates must be a list of stages, got {json.dumps(value)[:100]}", path)
    candidates: list[Stage] = []
    for item in value:
        try:
            made = from_json(json.dumps(item))
        except FormatError as error:
            raise FormatError(f"a candidate: {error.message}", path) from error
        if not isinstance(made, Stage):
            raise FormatError(f"a candidate must be a stage, which Qdrant runs alone, got {brief(made)}", path)
        candidates.append(made)
    return tuple(candidates)


def check_features(features: Features) -> dict[str, Feature | Category]:
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
        found[name] = _as_feature(name, feature, raw=False)
    return found


def compute_features(features: Known, table: Table) -> NDArray[np.float64]:
    """The features of the table's n points: shape (n, number of features); NaN for missing values."""
    if not len(table):
        return np.empty((0, len(features)))
    return np.column_stack([_compute_column(feature, table) for feature in features.values()])


def _compute_column(feature: Feature | Category, table: Table) -> NDArray[np.float64]:
    if isinstance(feature, Category):
        return read_codes(feature.key, feature.values, table.payloads)
    if feature.missing == "nan" and isinstance(feature.expression, Field):
        return table.numbers(feature.expression.key)
    return compute(feature.expression, table)


def keys_read(feature: Feature | Category) -> list[PayloadKey]:
    """The payload keys that a feature reads, with what must be there."""
    return [PayloadKey(feature.key, None)] if isinstance(feature, Category) else payload_keys(feature.expression)


def selector(features: Known, more: Sequence[str] = ()) -> bool | list[str]:
    """The payload that the features and `more` keys need, as root keys; all of it where a key is quoted."""
    keys = [*(key.key for feature in features.values() for key in keys_read(feature)), *more]
    if any('"' in key for key in keys):
        return True
    return list(dict.fromkeys(key.partition(".")[0].partition("[")[0] for key in keys))


def is_payload_only(feature: Feature | Category) -> bool:
    """Whether a point's value is the same for every query."""
    if isinstance(feature, Category):
        return True
    expression, nodes = feature.expression, list(walk(feature.expression))
    asked = candidate_scores(expression) or placeholder_params(expression) or any(isinstance(node, Now) for node in nodes)
    return not asked and not all(isinstance(node, Constant) for node in nodes)


def share_lacking(feature: Feature | Category, payloads: Sequence[Mapping[str, Any]]) -> float:
    """The share of points that lack a payload value that the feature reads; 0 without points."""
    return find_missing(keys_read(feature), payloads)
