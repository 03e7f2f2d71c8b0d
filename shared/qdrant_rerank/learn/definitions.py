"""Features and candidates as JSON and back: what makes a log or a ranker usable without the program that wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

from .. import StrategyError, from_json, to_json
from .._internals import brief
from ..errors import FormatError
from ..expressions import Expression
from ..stages import Formula, Stage
from .features import Category, Feature

__all__ = ["candidates_json", "candidates_of", "feature_json", "features_of"]


def feature_json(feature: Feature | Category) -> Any:
    """A feature as plain JSON values."""
    if isinstance(feature, Category):
        return {"category": feature.key, "values": None if feature.values is None else list(feature.values)}
    found: dict[str, Any] = {"expression": json.loads(to_json(feature.expression)), "text": repr(feature.expression)}
    return found if feature.missing is None else found | {"missing": feature.missing}


def features_of(value: Mapping[str, Any], path: str | PathLike[str] | None = None) -> dict[str, Feature | Category]:
    """The features by name that `feature_json` wrote of each.

    Raises:
        FormatError: they aren't features.
    """
    return {str(name): _feature(str(name), item, path) for name, item in value.items()}


def _feature(name: str, value: Any, path: str | PathLike[str] | None) -> Feature | Category:
    try:
        match value:
            case {"category": str(key)}:
                return Category(key, value.get("values"))
            case {"expression": expression}:
                return Feature(_expression(expression), value.get("missing"))
            case _:
                raise StrategyError(f"neither an expression nor a category: {json.dumps(value)[:100]}")
    except (FormatError, StrategyError, TypeError) as error:
        raise FormatError(f"the feature {name!r}: {error}", path) from error


def _expression(value: Any) -> Expression:
    made = from_json(json.dumps({"kind": "formula", "expression": value}))
    assert isinstance(made, Formula)
    return made.expression


def candidates_json(candidates: tuple[Stage, ...]) -> list[Any]:
    """Candidates as plain JSON values."""
    return [json.loads(to_json(candidate)) for candidate in candidates]


def candidates_of(value: Any, path: str | PathLike[str] | None = None) -> tuple[Stage, ...]:
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
