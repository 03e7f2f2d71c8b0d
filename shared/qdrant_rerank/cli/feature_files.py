"""Features of a formula in a JSON file: as `--feature` writes them, or in what `features` and `fit` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import parse_expression
from ..errors import FormatError
from ..learn.definitions import features_of
from ..learn.features import Feature, FeatureLike

__all__ = ["read_features"]

_FORM = 'an object of name to formula, e.g. {"rating": "field(\'rating\', 3)"}, or what features or fit wrote'


def read_features(path: Path) -> dict[str, FeatureLike]:
    """The features in a file, by name.

    Raises:
        FormatError: it isn't JSON, holds no features, or a formula of it can't be read.
        OSError: there is no such file.
    """
    try:
        value: Any = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise FormatError(f"not JSON ({error}): a file of features is {_FORM}", path) from error
    if isinstance(value, Mapping) and "kind" in value and isinstance(value.get("features"), Mapping):
        value = value["features"]
    if not isinstance(value, Mapping) or not value:
        raise FormatError(f"a file of features is {_FORM}; got {json.dumps(value)[:100]}", path)
    return {name: _feature(name, item, path) for name, item in value.items()}


def _feature(name: str, value: Any, path: Path) -> FeatureLike:
    if not isinstance(value, str):
        return features_of({name: value}, path)[name]
    try:
        return Feature(parse_expression(value))
    except ValueError as error:  # what can't be parsed, or has no default
        raise FormatError(f"the feature {name!r}: {error}", path) from error
