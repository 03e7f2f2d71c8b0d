"""Features of a formula in a JSON file: as `--feature` writes them, or in what `features` and `fit` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import StrategyError
from .._internals import brief, parse_json, read_text
from ..errors import FormatError
from ..expressions import Expression, parse_expression
from ..expressions._internals import payload_keys
from ..learn import Feature, FeatureLike
from ..learn._internals import features_of

__all__ = ["read_features", "with_defaults"]

_FORM = 'an object of name to formula, e.g. {"rating": "field(\'rating\', 3)"}, or what features or fit wrote'


def read_features(path: Path) -> dict[str, FeatureLike]:
    """The features in a file, by name.

    Raises:
        FormatError: it isn't JSON, holds no features, or a formula of it can't be read.
        OSError: there is no such file.
    """
    try:
        value: Any = parse_json(read_text(path), path)
    except FormatError as error:
        raise FormatError(f"{error.message}: a file of features is {_FORM}", path, error.line) from error
    if isinstance(value, Mapping) and "kind" in value and isinstance(value.get("features"), Mapping):
        value = value["features"]
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if isinstance(kind, str) and kind.isidentifier():  # a feature called kind would be a formula
        raise FormatError(f"its kind is {kind!r}, which holds no features: a file of features is {_FORM}", path)
    if not isinstance(value, Mapping) or not value:
        raise FormatError(f"a file of features is {_FORM}; got {json.dumps(value)[:100]}", path)
    return {name: _feature(name, item, path) for name, item in value.items()}


def _feature(name: str, value: Any, path: Path) -> FeatureLike:
    if not isinstance(value, str):
        return features_of({name: value}, path)[name]
    try:
        return Feature(with_defaults(parse_expression(value)))
    except ValueError as error:  # what can't be parsed, or has no default
        raise FormatError(f"the feature {name!r}: {error}", path) from error


def with_defaults(expression: Expression) -> Expression:
    """A feature's formula, refused where a point without some payload key would have no value.

    Raises:
        StrategyError: it reads a key without a default; says how to write one.
    """
    for key in payload_keys(expression):
        if not key.has_default:
            raise StrategyError(
                f"{brief(expression)} says nothing of points without {key.key!r}: write the value that they are to have, e.g. "
                f"field({key.key!r}, 0)"
            )
    return expression
