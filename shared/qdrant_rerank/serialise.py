"""Strategies as JSON and back: tagged by `kind`, only what differs from the defaults, unknown keys refused.

Expressions may also be written as text: `{"kind": "formula", "expression": "0.8 * score() + 0.2 * field('rating', 3)"}`.
Filters and other `qdrant_client.models` are Qdrant's own JSON. Pydantic checks every leaf by its field's type; the
recursion is written here because the nodes are plain dataclasses with abstract members, and because an error has to
name the line.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from os import PathLike
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from qdrant_client import models

from .errors import FormatError, StrategyError, did_you_mean
from .expressions import nodes
from .expressions.nodes import Constant, Expression
from .expressions.text import parse_expression
from .jsonlines import DEPTH, check_depth, line_of, parse_json, read_text, take_version, with_version
from .request_parts import models_within
from .strategies import KINDS, Strategy
from .trained import Trained, TrainedFeature
from .values import brief, clip_text

_NODES: Final[Mapping[str, type[Any]]] = {
    "constant": nodes.Constant,
    "score": nodes.CandidateScore,
    "rerank_score": nodes.RerankScore,
    "query_tokens": nodes.QueryTokens,
    "field": nodes.Field,
    "param": nodes.Param,
    "sum": nodes.Sum,
    "product": nodes.Product,
    "negative": nodes.Negative,
    "quotient": nodes.Quotient,
    "power": nodes.Power,
    "logarithm": nodes.Logarithm,
    "minimum": nodes.Minimum,
    "maximum": nodes.Maximum,
    "affinity": nodes.Affinity,
    "when": nodes.When,
    "decay": nodes.Decay,
    "now": nodes.Now,
    "instant": nodes.Instant,
    "datetime_field": nodes.DatetimeField,
    "geo_distance": nodes.GeoDistance,
    "raw": nodes.Raw,
}
"""Beside the functions, which are in `Function.all`."""
_TRAINED: Final[Mapping[str, type[Any]]] = {"trained": Trained}
_TRAINED_FEATURES: Final[Mapping[str, type[Any]]] = {"trained_feature": TrainedFeature}
_OTHERS: Final[Mapping[type[Any], str]] = {
    cls: kind for kinds in (_NODES, _TRAINED, _TRAINED_FEATURES) for kind, cls in kinds.items()
}
_PARTS: Final = (Strategy, Expression, Trained, TrainedFeature)
_RANKER: Final = "learned_ranker"
Path_ = tuple[str | int, ...]
T = TypeVar("T")


def list_kinds() -> Mapping[str, type[Strategy]]:
    """The kinds of strategies that have a JSON form, by the name that they have there; ours first."""
    _load_kinds()
    return dict(sorted(KINDS.items(), key=lambda kind: (not kind[1].__module__.startswith(f"{__package__}."), kind[0])))


@cache
def _load_kinds() -> None:
    """Load the modules that may define kinds of ours: a kind registers itself where it is defined."""
    import_module(".rerank", __package__)
    for package in ("stages", "feedback"):
        for module in iter_modules(import_module(f".{package}", __package__).__path__):
            import_module(f".{package}.{module.name}", __package__)


class _Misfit(Exception):
    """Something in a JSON value is wrong; `path` leads to it."""

    def __init__(self, path: Path_, message: str) -> None:
        self.path, self.message = path, message
        super().__init__(message)


def to_json(strategy: Strategy | Expression, indent: int | None = 2) -> str:
    """The JSON text of a strategy or expression.

    Raises:
        StrategyError: it has no JSON form, or is nested too deep to be read again.
    """
    try:
        text = json.dumps(_encode(strategy), indent=indent, ensure_ascii=False)
        check_depth(text)
    except (FormatError, RecursionError):
        raise StrategyError(
            f"{type(strategy).__name__} is nested too deep to be read again as JSON: more than {DEPTH} brackets within each "
            "other"
        ) from None
    return text


def from_json(text: str, path: str | PathLike[str] | None = None) -> Strategy:
    """The strategy that JSON text holds.

    Args:
        text: as `to_json` writes it.
        path: the file it is from, for error messages.

    Raises:
        FormatError: it isn't JSON, or isn't a strategy: a misspelt key, an unknown kind, a value of the wrong type.
            The message gives the line.
    """
    return _from_json(text, path, _strategy)


def expression_from_json(text: str) -> Expression:
    """The expression that JSON text holds: a number, text, or nodes as `to_json` writes them. Raises as `from_json`."""
    return _from_json(text, None, _expression)


def _from_json(text: str, path: str | PathLike[str] | None, read: Callable[[Any, Path_], T]) -> T:
    value = parse_json(text, path, infinities=True)
    take_version(value, text, path)
    try:
        return read(value, ())
    except _Misfit as misfit:
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in misfit.path).lstrip(".")
        message = f"{misfit.message} (at {where})" if where else misfit.message
        raise FormatError(message, path, line_of(text, misfit.path)) from misfit.__cause__


def load(path: str | PathLike[str]) -> Strategy:
    """The strategy in a JSON file. Raises FormatError as `from_json`, and OSError if the file can't be read."""
    return from_json(read_text(path), path)


def save(strategy: Strategy, path: str | PathLike[str]) -> None:
    """Write a strategy to a JSON file, which says its format's version too."""
    Path(path).write_text(with_version(to_json(strategy)), "utf-8")


def _encode(value: Any) -> Any:
    if isinstance(value, Constant):
        return value.value
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    cls: Any = type(value)
    kind = cls.kind if isinstance(value, Strategy | nodes.Function) else _OTHERS.get(cls)
    if kind is None:
        there = [*list_kinds(), *_OTHERS.values(), *nodes.Function.all]
        raise StrategyError(f"{brief(value)} has no JSON form; there are {', '.join(there)}")
    hints = _hints(cls)
    encoded = {"kind": kind}
    for attribute in sorted(
        dataclasses.fields(cls), key=lambda each: each.name.startswith("candidate")
    ):  # these read best last
        item = getattr(value, attribute.name)
        if item != attribute.default:
            hint = hints[attribute.name]
            encoded[attribute.name] = _encode(item) if _part(hint) else _dump(hint, item)
    return encoded


def _dump(hint: Any, value: Any) -> Any:
    return _adapter(hint).dump_python(value, mode="json", by_alias=True, exclude_none=True)


def _strategy(value: Any, path: Path_) -> Strategy:
    if not path and isinstance(value, dict) and value.get("kind") == _RANKER and "strategy" in value:
        return _strategy(value["strategy"], ("strategy",))  # what else is in the file, `learn.LearnedRanker.load` reads
    found: Strategy = _decode(value, path, list_kinds(), "strategy")
    return found


def _expression(value: Any, path: Path_) -> Expression:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _made(nodes.Constant, {"value": value}, path)
    if isinstance(value, str):
        return _made(parse_expression, {"text": value}, path)
    found: Expression = _decode(value, path, {**_NODES, **nodes.Function.all}, "expression")
    return found


def _decode(value: Any, path: Path_, kinds: Mapping[str, type[Any]], what: str) -> Any:
    if not isinstance(value, dict):
        raise _Misfit(path, f"expected a {what}, an object with a kind, got {clip_text(json.dumps(value))}")
    kind = value.get("kind")
    if "kind" not in value:
        coefficients = {"a", "b", "c"} <= value.keys()
        hint = "; coefficients of relevance feedback are read by RelevanceFeedback.load" if coefficients else ""
        raise _Misfit(path, f'it has no "kind", which says what {what} it is: one of {", ".join(kinds)}{hint}')
    if not isinstance(kind, str) or kind not in kinds:
        hint = did_you_mean(str(kind)[:100], kinds)
        raise _Misfit((*path, "kind"), f"unknown kind of {what} {brief(kind)}; there are {', '.join(kinds)}{hint}")
    cls: Any = kinds[kind]
    hints = _hints(cls)
    known = [attribute.name for attribute in dataclasses.fields(cls)]
    arguments = {}
    for key, item in value.items():
        if key == "kind":
            continue
        if key not in known:
            raise _Misfit(
                (*path, key), f"{kind} has no {brief(key)}; it has {', '.join(known)}{did_you_mean(key[:100], known)}"
            )
        arguments[key] = _argument(hints[key], item, (*path, key))
    if missing := [name for name in _required(cls) if name not in arguments]:
        raise _Misfit(path, f"{kind} lacks {', '.join(map(repr, missing))}")
    return _made(cls, arguments, path)


def _argument(hint: Any, value: Any, path: Path_) -> Any:
    part = _part(hint)
    if part is None:
        try:
            return _with_plain_ids(
                _adapter(hint).validate_json(json.dumps(value), strict=True)
            )  # strict: true is no 1, "5" no 5
        except ValidationError as error:
            first = error.errors()[0]
            got = clip_text(json.dumps(first["input"], default=str))
            raise _Misfit((*path, *_leading(value, first["loc"])), f"{first['msg']}, got {got}") from None
    if get_origin(hint) is not tuple:
        return _read_part(part, value, path)
    if not isinstance(value, list):
        raise _Misfit(path, f"expected a list, got {clip_text(json.dumps(value))}")
    return tuple(_read_part(part, each, (*path, number)) for number, each in enumerate(value))


def _read_part(part: type[Any], value: Any, path: Path_) -> Any:
    if issubclass(part, Expression):
        return _expression(value, path)
    if issubclass(part, Strategy):
        return _strategy(value, path)
    if issubclass(part, Trained):
        return _decode(value, path, _TRAINED, "record of training")
    return _decode(value, path, _TRAINED_FEATURES, "trained feature")


def _with_plain_ids(value: T) -> T:
    """The value, just made, with the ids of its conditions as texts, as they were written: pydantic reads UUIDs from JSON."""
    for part in models_within(value):
        if isinstance(part, models.HasIdCondition):
            part.has_id = [str(each) if isinstance(each, UUID) else each for each in part.has_id]
    return value


def _leading(value: Any, location: Iterable[Any]) -> Iterator[str | int]:
    """What of pydantic's location leads through the value; the rest of it names types."""
    for part in location:
        if (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int)):
            yield part
            value = value[part]


def _made(function: Callable[..., T], arguments: Mapping[str, Any], path: Path_) -> T:
    try:
        return function(**arguments)
    except StrategyError as error:
        raise _Misfit(path, str(error)) from error


def _required(cls: type[Any]) -> Iterable[str]:
    missing = dataclasses.MISSING
    return [a.name for a in dataclasses.fields(cls) if a.default is missing and a.default_factory is missing]


@cache
def _part(hint: Any) -> type[Any] | None:
    """The class of ours that a field holds one of, several of, or perhaps none; None for leaves."""
    inside = [each for each in get_args(hint) if each is not type(None) and each is not ...] or [hint]
    found = inside[0]
    return found if len(inside) == 1 and isinstance(found, type) and issubclass(found, _PARTS) else None


@cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls)


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)
