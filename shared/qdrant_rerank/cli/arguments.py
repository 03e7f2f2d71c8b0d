"""JSON in options: `--filter` and `--params`, as text or `@FILE`."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ValidationError
from qdrant_client import models

from .._internals import line_of, parse_json, read_text, shortened
from ..errors import FormatError
from .failures import CommandError

__all__ = ["filter_of", "listed", "params_of"]


def filter_of(text: str | None) -> models.Filter | None:
    """The filter that `--filter` holds.

    Raises:
        CommandError: it isn't JSON, or isn't a filter of Qdrant's.
    """
    if text is None:
        return None
    source, where = _source("--filter", text)
    value = _parsed(source, where)
    try:
        return models.Filter.model_validate(value)
    except ValidationError as error:
        problem = max(error.errors(), key=lambda problem: len(problem["loc"]))  # the deepest reading came closest
        path = tuple(part for part in problem["loc"] if isinstance(part, int) or part in source)
        place = ".".join(map(str, path)) or "the top"
        raise CommandError(
            f"{where}:{line_of(source, path)} isn't a filter of Qdrant's: at {place}: {problem['msg']}; a filter looks like "
            '{"must": [{"key": "town", "match": {"value": "Orvena"}}]}'
        ) from None


def params_of(text: str | None) -> dict[str, Any]:
    """The request-time values that `--params` holds, by name.

    Raises:
        CommandError: it isn't a JSON object.
    """
    if text is None:
        return {}
    source, where = _source("--params", text)
    value = _parsed(source, where)
    if not isinstance(value, dict):
        raise CommandError(f"{where} must be a JSON object, name → value, e.g. '{{\"budget\": 20}}'; got {json.dumps(value)}")
    return value


def listed(text: str | None) -> list[str]:
    """The parts of a comma-separated option."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _source(option: str, text: str) -> tuple[str, str]:
    """The JSON text, and what to call it in messages."""
    if not text.startswith("@"):
        return text, option
    return read_text(text[1:]), text[1:]


def _parsed(source: str, where: str) -> Any:
    if not source.strip():
        raise CommandError(f"{where} is empty: give a JSON object")
    try:
        return parse_json(source)
    except FormatError as error:
        line = error.line or 1
        message = re.sub(r" \((column \d+)\)$", r" at \1", error.message.removeprefix("not JSON: "))
        shown = shortened(source.split("\n")[line - 1], 200)
        raise CommandError(f"{where}:{line} isn't JSON: {message}: {shown}") from None
