"""What an expression reads: payload keys with the index each wants, candidate scores, request-time values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel
from qdrant_client import models

from ..values import as_list
from . import nodes
from .nodes import Expression

_CONDITIONS: Final[tuple[type[Any], ...]] = get_args(models.Condition)


@dataclass(frozen=True)
class PayloadKey:
    """A payload key that a formula reads.

    Attributes:
        key: the (dotted) key.
        index: the payload index that makes reading it fast and never hides a value: `float` for numbers (an
            integer index hides floats), `datetime`, `geo`; None for conditions, whose values decide.
        has_default: whether points that lack the key still get a score.
        is_read: whether the value itself is read; else a condition on it is decided.
    """

    key: str
    index: models.PayloadSchemaType | None
    has_default: bool = True
    is_read: bool = True


_READERS: Final = {"float": "field", "integer": "field", "datetime": "datetime_field", "geo": "geo_distance"}


def write_reader(kind: str, key: str, *, with_default: bool = True) -> str:
    """How a formula is written that reads a key's values, which are of this type of index; "" where no function reads them."""
    if kind not in _READERS:
        return ""
    place, default = "…, " if kind == "geo" else "", ", default=…" if with_default else ""
    return f"{_READERS[kind]}({place}{key!r}{default})"


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and everything in it, outermost first."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.operands))


def payload_keys(expression: Expression) -> list[PayloadKey]:
    """The payload keys that the expression reads, each once, in order of first appearance."""
    found: dict[PayloadKey, None] = {}
    for node in walk(expression):
        found.update(dict.fromkeys(_keys(node)))
    return list(found)


def number_defaults(expression: Expression) -> dict[str, float | None]:
    """The payload keys that are read as numbers, with the default of those that are never read otherwise; else None."""
    read = [key for key in payload_keys(expression) if key.is_read]
    others = {key.key for key in read if key.index != models.PayloadSchemaType.FLOAT or not key.has_default}
    found: dict[str, set[float]] = {}
    for node in walk(expression):
        if isinstance(node, nodes.Field) and node.default is not None:
            found.setdefault(node.key, set()).add(float(node.default))
    return {key: values.pop() if len(values) == 1 and key not in others else None for key, values in found.items()}


def _keys(node: Expression) -> Iterator[PayloadKey]:
    match node:
        case nodes.Field(key, default):
            yield PayloadKey(key, models.PayloadSchemaType.FLOAT, default is not None)
        case nodes.DatetimeField(key, moment):
            yield PayloadKey(key, models.PayloadSchemaType.DATETIME, moment is not None)
        case nodes.GeoDistance(_, key, metres):
            yield PayloadKey(key, models.PayloadSchemaType.GEO, metres is not None)
        case nodes.Affinity(key):
            yield PayloadKey(key, models.PayloadSchemaType.KEYWORD)
        case nodes.When(condition):
            yield from _condition_keys(condition)
        case nodes.Raw(inner):
            yield from _raw_keys(inner)
        case _:
            pass


def _raw_keys(raw: Any) -> Iterator[PayloadKey]:
    """What a raw expression reads; it has no defaults that would be known here."""
    match raw:
        case str() if not raw.startswith("$"):
            yield PayloadKey(raw, None, has_default=False)
        case models.DatetimeKeyExpression():
            yield PayloadKey(raw.datetime_key, models.PayloadSchemaType.DATETIME, has_default=False)
        case models.GeoDistance():
            yield PayloadKey(raw.geo_distance.to, models.PayloadSchemaType.GEO, has_default=False)
        case models.DatetimeExpression():
            pass
        case list():
            for part in raw:
                yield from _raw_keys(part)
        case _ if isinstance(raw, _CONDITIONS):
            yield from _condition_keys(raw)
        case BaseModel():
            for part in raw.__dict__.values():
                yield from _raw_keys(part)
        case _:
            pass


def _condition_keys(condition: models.Condition, prefix: str = "") -> Iterator[PayloadKey]:
    match condition:
        case models.FieldCondition():
            yield PayloadKey(prefix + condition.key, _index_for(condition), is_read=False)
        case models.NestedCondition():
            yield from _condition_keys(condition.nested.filter, f"{prefix}{condition.nested.key.removesuffix('[]')}[].")
        case models.Filter():
            for inner in clauses(condition):
                yield from _condition_keys(inner, prefix)
        case _:  # ids, vectors and emptiness need no index of their own
            pass


def clauses(filter: models.Filter) -> Iterator[models.Condition]:
    """The conditions of a filter, of whatever clause."""
    least = None if filter.min_should is None else filter.min_should.conditions
    for clause in (filter.must, filter.should, filter.must_not, least):
        yield from as_list(clause)


def field_conditions(condition: Any) -> Iterator[models.FieldCondition]:
    """The conditions on payload keys within a condition or filter; not those within nested objects, which no index answers."""
    match condition:
        case models.FieldCondition():
            yield condition
        case models.Filter():
            for inner in clauses(condition):
                yield from field_conditions(inner)
        case _:
            pass


def raw_conditions(raw: Any) -> Iterator[models.Condition]:
    """The conditions within a raw expression."""
    if isinstance(raw, _CONDITIONS):
        yield raw
    elif isinstance(raw, list | BaseModel):
        for part in raw if isinstance(raw, list) else raw.__dict__.values():
            yield from raw_conditions(part)


def conditions(expression: Expression) -> Iterator[models.Condition]:
    """The conditions that the expression decides."""
    for node in walk(expression):
        if isinstance(node, nodes.When):
            yield node.condition
        elif isinstance(node, nodes.Raw):
            yield from raw_conditions(node.expression)


def _index_for(condition: models.FieldCondition) -> models.PayloadSchemaType | None:
    """The index type that answers a condition, where its values leave no doubt."""
    types = models.PayloadSchemaType
    if isinstance(condition.range, models.DatetimeRange):
        return types.DATETIME
    if condition.range is not None:
        return types.FLOAT
    if condition.geo_radius or condition.geo_bounding_box or condition.geo_polygon:
        return types.GEO
    match condition.match:
        case models.MatchText() | models.MatchTextAny() | models.MatchPhrase():
            return types.TEXT
        case models.MatchValue(value=value):
            values: list[object] = [value]
        case models.MatchAny(any=listed) | models.MatchExcept(except_=listed):
            values = list(listed)
        case _:
            return None
    if all(isinstance(value, bool) for value in values):
        return types.BOOL
    if all(isinstance(value, str) for value in values):
        return types.KEYWORD
    return types.INTEGER if all(isinstance(value, int) for value in values) else None


def candidate_scores(expression: Expression) -> list[nodes.CandidateScore]:
    """The candidates' scores that the expression reads."""
    return [node for node in walk(expression) if isinstance(node, nodes.CandidateScore)]


def feature_names(expression: Expression) -> dict[str, bool]:
    """The request-time numbers that the expression reads, and whether each must be given."""
    return _requirements((node.name, node.default) for node in walk(expression) if isinstance(node, nodes.Param))


def map_names(expression: Expression) -> dict[str, bool]:
    """The request-time maps, category to weight, that the expression reads, and whether each must be given."""
    return _requirements((node.param, node.default) for node in walk(expression) if isinstance(node, nodes.Affinity))


def _requirements(read: Iterable[tuple[str, float | None]]) -> dict[str, bool]:
    """Whether each name must be given: it must if it is read without a default anywhere."""
    names: dict[str, bool] = {}
    for name, default in read:
        names[name] = names.get(name, False) or default is None
    return names


def place_names(expression: Expression) -> list[str]:
    """The request-time places, `(lat, lon)`, that the expression reads."""
    distances = (node for node in walk(expression) if isinstance(node, nodes.GeoDistance))
    return list(dict.fromkeys(node.origin for node in distances if isinstance(node.origin, str)))


def placeholder_params(expression: Expression) -> dict[str, Any]:
    """Zeros, empty maps and the place (0, 0) for the request-time values that the expression reads."""
    numbers: dict[str, Any] = dict.fromkeys(feature_names(expression), 0.0)
    maps: dict[str, Any] = {name: {} for name in map_names(expression)}
    return numbers | maps | dict.fromkeys(place_names(expression), (0.0, 0.0))


def reads_model(expression: Expression) -> bool:
    """Whether the expression reads the score of a model."""
    return any(isinstance(node, nodes.RerankScore) for node in walk(expression))


def find_fixed_nodes(expression: Expression) -> dict[int, Expression]:
    """By identity, the nodes that mean the same in every query: nothing in them is request-time."""
    fixed: dict[int, Expression] = {}
    for node in reversed(list(walk(expression))):  # operands come before what is computed from them
        given = nodes.Param | nodes.Affinity | nodes.Now | nodes.QueryTokens
        is_given = isinstance(node.origin, str) if isinstance(node, nodes.GeoDistance) else isinstance(node, given)
        if not is_given and all(id(operand) in fixed for operand in node.operands):
            fixed[id(node)] = node
    return fixed


def depth(expression: Expression) -> int:
    """The length of the longest path from the expression to a leaf, in nodes."""
    deepest = 0
    waiting = [(expression, 1)]
    while waiting:
        node, level = waiting.pop()
        deepest = max(deepest, level)
        waiting.extend((operand, level + 1) for operand in node.operands)
    return deepest
