"""What a model's columns are in Qdrant: expressions, payload numbers that may be missing, payload categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .. import StrategyError
from .._internals import brief
from ..expressions import Expression, ExpressionLike, as_expression
from ..expressions._internals import Field, check_key, payload_keys, reads_model

__all__ = ["Category", "Feature", "FeatureLike", "Features", "as_features"]


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

    Args:
        key: the payload key.
        values: the category that the model knows as code 0, 1, 2, …; None if the model itself knows its categories (it
            was trained on a pandas categorical, or is a HistGradientBoosting), or if the payload holds the codes.

    Points with no such category, with one that isn't listed, or with several, count as missing.
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
"""What is taken for a column of a model."""
Features: TypeAlias = "Mapping[str, FeatureLike] | Sequence[FeatureLike]"
"""The columns of a model: by the model's names for them, or in the model's order."""


def as_features(features: Features, names: Sequence[str] | None, count: int) -> dict[str, Feature | Category]:
    """The features by name, in the order of the model's columns.

    Args:
        features: by name, or in the model's order.
        names: the model's own names of its columns, if it has any; features by name are put into their order.
        count: how many columns the model has.

    Raises:
        StrategyError: they aren't the model's columns; the message lists both.
    """
    if not isinstance(features, Mapping):
        if isinstance(features, str | Category | Feature) or not isinstance(features, Sequence):
            raise StrategyError(f"features is a map of name to expression, or a list of expressions; got {brief(features)}")
        features = dict(zip(_names(names, len(features)), features, strict=True))
    if len(features) != count:
        there = f" ({', '.join(map(repr, names))})" if names else ""
        given = ", ".join(map(repr, features)) or "none"
        raise StrategyError(f"the model has {count} columns{there}, but {len(features)} features are given: {given}")
    if names is not None and set(names) != set(features):
        raise StrategyError(
            f"the features are not the model's columns: the model has {', '.join(map(repr, names))}; "
            f"given are {', '.join(map(repr, features))}"
        )
    return {name: _as_feature(name, features[name]) for name in (names or features)}


def _names(names: Sequence[str] | None, count: int) -> list[str]:
    return list(names) if names is not None and len(names) == count else [f"column {number}" for number in range(count)]


def _as_feature(name: str, feature: FeatureLike) -> Feature | Category:
    try:
        return feature if isinstance(feature, Feature | Category) else Feature(feature)
    except StrategyError as error:
        raise StrategyError(f"the feature {name!r}: {error}") from None
