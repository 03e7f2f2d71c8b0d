"""Rankers as JSON and back.

The file's `strategy` is what `qdrant_rerank.load` reads of it; the rest says where it came from and how good it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError
from qdrant_client import models

from .. import from_json as strategy_of
from .. import to_json as strategy_json
from .._internals import did_you_mean, line_of, parse_json
from ..errors import FormatError
from ..expressions import Expression
from ..report import Calibration
from ..stages import ClientFormula, Formula
from .calibrating import ScoreMap
from .coefficients import FeatureWeight
from .definitions import feature_json, features_of
from .feature_log import Reference
from .ranker import LearnedRanker, Training
from .reliability import OperatingPoint

__all__ = ["KIND", "from_json", "to_json"]

KIND: Final = "learned_ranker"
_VERSION: Final = 1
_PARTS: Final[Mapping[str, Any]] = {
    "kind": Literal["learned_ranker"],
    "version": Literal[1],
    "strategy": dict[str, Any],
    "margin": Any,
    "features": dict[str, Any],
    "required_indexes": dict[str, models.PayloadSchemaType],
    "calibration": ScoreMap,
    "training": Training,
    "weights": tuple[FeatureWeight, ...],
    "intercept": float,
    "metrics": dict[str, float],
    "reliability": Calibration | None,
    "before": Calibration | None,
    "points": tuple[OperatingPoint, ...],
    "quantiles": dict[str, Reference],
    "reference": dict[str, Reference],
    "notes": tuple[str, ...],
}

_ELSEWHERE: Final = ("kind", "version", "strategy", "margin", "features", "required_indexes")


def to_json(ranker: LearnedRanker, indent: int | None = 1) -> str:
    """The JSON text of a ranker."""
    parts: dict[str, Any] = {
        "kind": KIND,
        "version": _VERSION,
        "strategy": json.loads(strategy_json(ranker.whole)),
        "margin": json.loads(strategy_json(ranker.margin)),
        "features": {name: feature_json(feature) for name, feature in ranker.features.items()},
        "required_indexes": {key: kind.value for key, kind in ranker.indexes.items()},
    }
    for name in (name for name in _PARTS if name not in parts):
        parts[name] = TypeAdapter(_PARTS[name]).dump_python(getattr(ranker, name), mode="json")
    return json.dumps(parts, indent=indent, ensure_ascii=False, allow_nan=False)


def from_json(text: str, path: str | PathLike[str] | None = None) -> LearnedRanker:
    """The ranker that JSON text holds.

    Raises:
        FormatError: it holds none; carries the line.
    """
    value = parse_json(text, path)
    if not isinstance(value, dict) or value.get("kind") != KIND:
        there = f"its kind is {value.get('kind')!r}" if isinstance(value, dict) else f"it is a {type(value).__name__}"
        raise FormatError(f'not a learned ranker, an object with "kind": "{KIND}": {there}', path, 1)
    for name in value:
        if name not in _PARTS:
            hint = did_you_mean(name, _PARTS)
            raise FormatError(f"a learned ranker has no {name!r}{hint}", path, line_of(text, (name,)))
    parts = {name: _part(name, value, text, path) for name in _PARTS}
    loaded = strategy_of(text, path)  # with the line of whatever is wrong in the strategy
    on_client = isinstance(loaded, ClientFormula)
    whole = loaded.formula if isinstance(loaded, ClientFormula) else loaded
    if not isinstance(whole, Formula):
        raise FormatError(
            f"the strategy of a learned ranker is a formula, not a {type(whole).__name__}", path, line_of(text, ("strategy",))
        )
    inside = ("strategy", "formula") if on_client else ("strategy",)
    ranker = LearnedRanker(
        margin=_margin(parts["margin"], text, path),
        candidates=whole.candidates,
        features=features_of(parts["features"], path),
        on_client=on_client,
        **{name: parts[name] for name in _PARTS if name not in _ELSEWHERE},
    )
    if ranker.expression != whole.expression:
        raise FormatError(
            "the strategy's formula isn't the calibration of the margin: the file was changed by hand; fit and save it again",
            path,
            line_of(text, (*inside, "expression")),
        )
    if whole.trained != ranker.formula.trained:
        raise FormatError(
            "the strategy's record of training isn't that of the features and reference below: the file was changed by hand; "
            "save(strategy.unchecked(), path) writes a strategy that plans don't check",
            path,
            line_of(text, (*inside, "trained")),
        )
    return ranker


def _part(name: str, value: Mapping[str, Any], text: str, path: str | PathLike[str] | None) -> Any:
    if name not in value:
        raise FormatError(f"a learned ranker needs {name!r}", path, 1)
    try:
        return TypeAdapter(_PARTS[name]).validate_json(json.dumps(value[name]), strict=True)
    except ValidationError as error:  # what our own classes refuse is in it, too: a StrategyError is a ValueError
        first = error.errors()[0]
        where = (name, *(part for part in first["loc"] if isinstance(part, str | int)))
        got = json.dumps(first["input"], default=str)[:100]
        raise FormatError(f"{'.'.join(map(str, where))}: {first['msg']}, got {got}", path, line_of(text, where)) from None


def _margin(value: Any, text: str, path: str | PathLike[str] | None) -> Expression:
    try:
        made = strategy_of(json.dumps({"kind": "formula", "expression": value}))
    except FormatError as error:
        raise FormatError(f"margin: {error.message}", path, line_of(text, ("margin",))) from error
    assert isinstance(made, Formula)
    return made.expression
