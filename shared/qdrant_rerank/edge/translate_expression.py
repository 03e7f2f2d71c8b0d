"""Formulas, from `qdrant_client.models` to the engine's own expressions.

A learned formula has thousands of nodes and comes with every query, but `Formula` stages make its nodes once: all of
them, or all that no request-time value is in. So translations are kept by the identity of the models, which must
therefore not be changed after their first query; a changed formula is a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import qdrant_edge as engine
from pydantic_core import to_jsonable_python
from qdrant_client import models

from ..errors import ClientError, QueryError
from .binding import made
from .dispatch import by_type, translator
from .translate_filter import condition

__all__ = ["Formulas", "expression"]

Node = engine.Expression
V = TypeVar("V")
Recur = Callable[[Any], Any]


class _Latest(Generic[V]):
    """Values by the identity of models, which are held so that their ids stay theirs; the oldest go first."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._by_id: OrderedDict[int, tuple[Any, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, model: Any) -> V | None:
        found = self._by_id.get(id(model))
        if found is None:
            return None
        self._by_id.move_to_end(id(model))
        return found[1]

    def put(self, model: Any, value: V) -> None:
        self._by_id[id(model)] = model, value
        if len(self._by_id) > self._kept:
            self._by_id.popitem(last=False)


class Formulas:
    """Translates formulas, and remembers; for one thread at a time.

    A query seen before is done. Of a new one, the parts that were in an earlier one too are translated once: seen for
    the second time, a part is kept whole.
    """

    def __init__(self, queries: int = 32, parts: int = 4096, nodes: int = 20_000) -> None:
        self.queries: _Latest[Any] = _Latest(queries)
        self.parts: _Latest[Any] = _Latest(parts)
        self._seen: _Latest[bool] = _Latest(nodes)

    def translated(self, query: models.FormulaQuery) -> Any:
        """The engine's formula for `query`.

        Raises:
            QueryError: it is nested too deep to be translated, or wrong in itself.
            ClientError: it has a node that the engine doesn't know.
        """
        found = self.queries.get(query)
        if found is None:
            found = self._formula(query)
            self.queries.put(query, found)
        return found

    def _formula(self, query: models.FormulaQuery) -> Any:
        try:
            with made("qdrant-edge refused the formula"):
                translated = self._part(query.formula)
                return engine.Formula(translated, to_jsonable_python(query.defaults) if query.defaults else None)
        except RecursionError:
            raise QueryError("the formula is nested too deep to be translated: a few hundred levels are possible") from None

    def _part(self, value: Any) -> Any:
        if isinstance(value, float | str):
            return expression(value)
        found = self.parts.get(value)
        if found is not None:
            return found
        if self._seen.get(value):
            found = expression(value)
            self.parts.put(value, found)
            return found
        self._seen.put(value, True)
        return _translated(value, self._part)


def expression(value: Any) -> Any:
    """The engine's expression for one node of a formula and all below it."""
    return _translated(value, expression)


def _translated(value: Any, recur: Recur) -> Any:
    translate = translator(_NODES, type(value))
    if translate is None or isinstance(value, bool):
        raise ClientError(f"qdrant-edge has no expression {type(value).__name__}: {value!r}")
    return translate(value, recur)


def _constant(value: Any, recur: Recur) -> Any:
    return Node.Constant(float(value))


def _condition(value: Any, recur: Recur) -> Any:
    return Node.Condition(condition(value))


def _division(value: models.DivExpression, recur: Recur) -> Any:
    params = value.div
    return Node.Div(recur(params.left), recur(params.right), params.by_zero_default)


def _distance(value: models.GeoDistance, recur: Recur) -> Any:
    origin = value.geo_distance.origin
    return Node.GeoDistance(engine.GeoPoint(lon=origin.lon, lat=origin.lat), value.geo_distance.to)


def _decay(kind: engine.DecayKind, params: models.DecayParamsExpression, recur: Recur) -> Any:
    target = None if params.target is None else recur(params.target)
    return Node.Decay(kind, recur(params.x), target, params.midpoint, params.scale)


_NODES: Final[dict[type[Any], Callable[[Any, Recur], Any]]] = {
    float: _constant,
    int: _constant,
    str: lambda value, recur: Node.Variable(value),
} | by_type(
    {
        "MultExpression": lambda value, recur: Node.Mult([recur(one) for one in value.mult]),
        "SumExpression": lambda value, recur: Node.Sum([recur(one) for one in value.sum]),
        "MaxExpression": lambda value, recur: Node.Max([recur(one) for one in value.max]),
        "MinExpression": lambda value, recur: Node.Min([recur(one) for one in value.min]),
        "NegExpression": lambda value, recur: Node.Neg(recur(value.neg)),
        "AbsExpression": lambda value, recur: Node.Abs(recur(value.abs)),
        "DivExpression": _division,
        "SqrtExpression": lambda value, recur: Node.Sqrt(recur(value.sqrt)),
        "PowExpression": lambda value, recur: Node.Pow(recur(value.pow.base), recur(value.pow.exponent)),
        "ExpExpression": lambda value, recur: Node.Exp(recur(value.exp)),
        "LnExpression": lambda value, recur: Node.Ln(recur(value.ln)),
        "Log10Expression": lambda value, recur: Node.Log10(recur(value.log10)),
        "AcoshExpression": lambda value, recur: Node.Acosh(recur(value.acosh)),
        "LinDecayExpression": lambda value, recur: _decay(engine.DecayKind.Lin, value.lin_decay, recur),
        "ExpDecayExpression": lambda value, recur: _decay(engine.DecayKind.Exp, value.exp_decay, recur),
        "GaussDecayExpression": lambda value, recur: _decay(engine.DecayKind.Gauss, value.gauss_decay, recur),
        "GeoDistance": _distance,
        "DatetimeExpression": lambda value, recur: Node.Datetime(value.datetime),
        "DatetimeKeyExpression": lambda value, recur: Node.DatetimeKey(value.datetime_key),
        "FieldCondition": _condition,
        "IsEmptyCondition": _condition,
        "IsNullCondition": _condition,
        "HasIdCondition": _condition,
        "HasVectorCondition": _condition,
        "SliceCondition": _condition,
        "NestedCondition": _condition,
        "Filter": _condition,
    }
)
