"""A part of a payload, chosen here as Qdrant chooses it: where more was fetched than the caller wants to see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from qdrant_client import models

__all__ = ["root_keys", "selected", "with_keys"]

_PARTS: Final = re.compile(r'"([^"]+)"|(\[\d*\])|([^.\[\]"]+)')
_ALL: Final = "[]", "in a list"  # every element; Qdrant takes nothing by `[2]`, of which no element is called

Path: TypeAlias = "tuple[str | tuple[str, str], ...]"


def selected(payload: Mapping[str, Any] | None, selector: models.WithPayloadInterface) -> dict[str, Any] | None:
    """What a query with `with_payload=selector` returns of a payload.

    Args:
        payload: the whole of it; it isn't changed.
        selector: True, False, the (dotted) keys to return, or a `models.PayloadSelector`.
    """
    if selector is False or selector is None:
        return None
    if selector is True or payload is None:
        return None if payload is None else dict(payload)
    found: dict[str, Any]
    if isinstance(selector, models.PayloadSelectorExclude):
        found = _without(payload, list(map(_path, selector.exclude)))
    else:
        keys = selector.include if isinstance(selector, models.PayloadSelectorInclude) else selector
        found = _only(payload, list(map(_path, keys)))
    return found


def root_keys(keys: Sequence[str]) -> bool | list[str]:
    """What to ask of the payload to read these keys: root keys; all of it where a key is quoted."""
    if any('"' in key for key in keys):
        return True
    return list(dict.fromkeys(key.partition(".")[0].partition("[")[0] for key in keys))


def with_keys(selector: models.WithPayloadInterface, keys: Sequence[str]) -> models.WithPayloadInterface:
    """What to fetch of the payload to have what `selector` asks for and to read these keys."""
    roots = root_keys(keys)
    match selector:
        case models.PayloadSelectorInclude(include=asked) | list(asked):
            return True if isinstance(roots, bool) else [*dict.fromkeys([*asked, *roots])]
        case False:
            return roots or False
        case _:
            return True


def _path(key: str) -> Path:
    """The steps to a value: names, and what stands in brackets."""
    return tuple((bracket, _ALL[1]) if bracket else quoted or plain for quoted, bracket, plain in _PARTS.findall(key))


def _below(paths: Sequence[Path], step: str | tuple[str, str]) -> list[Path]:
    """The rest of the paths that lead through `step`."""
    return [path[1:] for path in paths if path and path[0] == step]


def _only(value: Any, paths: Sequence[Path]) -> Any:
    """What the paths lead to; where one leads on through a value that has no parts, that value."""
    if isinstance(value, list):
        rest = _below(paths, _ALL)
        return [_kept(item, rest) for item in value] if rest else []
    if isinstance(value, Mapping):
        below = {key: _below(paths, key) for key in value}
        return {key: _kept(value[key], rest) for key, rest in below.items() if rest}
    return value


def _kept(value: Any, rest: Sequence[Path]) -> Any:
    return value if () in rest else _only(value, rest)


def _without(value: Any, paths: Sequence[Path]) -> Any:
    if isinstance(value, list):
        rest = _below(paths, _ALL)
        return [] if () in rest else [_without(item, rest) for item in value]
    if isinstance(value, Mapping):
        below = {key: _below(paths, key) for key in value}
        return {key: _without(value[key], rest) for key, rest in below.items() if () not in rest}
    return value
