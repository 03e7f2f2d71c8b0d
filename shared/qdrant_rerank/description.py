"""What a plan says of itself: the requests as JSON, the round trips, the servers that would refuse it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from pydantic import BaseModel
from qdrant_client import models

from .expressions.inspect import placeholder_params
from .in_short import abridged
from .notebooks import as_table
from .schema import Schema, VectorInfo
from .stages import Formula
from .steps import QueryVector
from .strategies import Strategy

__all__ = ["PlanDescription", "Refusal", "abbreviated", "placeholders"]

_SHOWN = 4  # numbers of a vector that are worth reading
_LINES = 120  # of a request, likewise
_LATER = "then, with a vector that the model's scores have shifted (here the query's own):"


@dataclass(frozen=True)
class Refusal:
    """Servers before `before` refuse the plan (or ignore a part of it, if `silent`), because of `what`."""

    before: str
    what: str
    silent: bool = False

    def __str__(self) -> str:
        return f"before {self.before}: {'ignored' if self.silent else 'refused'} ({self.what})"


@dataclass(frozen=True)
class PlanDescription:
    """What will be asked of Qdrant; `print` it, or use the parts.

    Attributes:
        strategy: the strategy with all names filled in.
        collection: the collection's name.
        vectors: its vectors.
        server: the server's version.
        embeds: the vectors that the query is embedded for.
        round_trips: requests to Qdrant for one query.
        model_calls: texts that a reranker reads for one query.
        refusals: which older servers would refuse or ignore what.
        warnings: what will work, but not as it seems.
        requests: the requests as JSON values, long vectors abbreviated.
        later: the requests of a second round, which a model's scores make; the query's vector stands for the steered one.
        summary: the strategy as text for people: long formulas and what coefficients were fitted to told in short.
    """

    strategy: str
    collection: str
    vectors: str
    server: str
    embeds: tuple[str, ...]
    round_trips: int
    model_calls: int
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]
    requests: tuple[Any, ...]
    later: tuple[Any, ...] = ()
    summary: str = ""

    def __str__(self) -> str:
        return "\n".join([*(f"{name:<12} {text}" for name, text in self._facts()), *self._bodies()])

    def _repr_html_(self) -> str:
        return as_table("What will be asked of Qdrant", ("", ""), self._facts(), below="\n".join(self._bodies()))

    def _facts(self) -> list[tuple[str, str]]:
        embeds = ", ".join(map(repr, self.embeds)) or "nothing"
        calls = f"{_count(self.round_trips, 'round trip')}, {_count(self.model_calls, 'model call')}"
        return [
            ("strategy", self.summary or self.strategy),
            ("collection", f"{self.collection}: {self.vectors}"),
            ("server", self.server),
            ("one query", f"{calls}; embeds {embeds}"),
            ("servers", "; ".join(map(str, self.refusals)) or "any"),
            *(("warning", warning) for warning in self.warnings),
        ]

    def _bodies(self) -> list[str]:
        later = [_LATER, *map(_body, self.later)] if self.later else []
        return [*map(_body, self.requests), *later]


def _body(request: Any) -> str:
    made, left = abridged(request, lambda value: _written(value).count("\n") < _LINES)
    return _written(made) + (f"\n({left:,} values are left out here; .requests has them all)" if left else "")


def _written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def abbreviated(request: BaseModel) -> Any:
    """A request as the JSON value that goes out, long vectors cut short."""
    return _cut(request.model_dump(mode="json", by_alias=True, exclude_none=True))


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _masked(item) if key == "options" and isinstance(item, dict) else _cut(item) for key, item in value.items()
        }
    if not isinstance(value, list):
        return value
    if len(value) > _SHOWN and all(isinstance(item, int | float) for item in value):
        return [*value[:_SHOWN], f"… {len(value)} numbers"]
    return [_cut(item) for item in value]


def _masked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of server inference without the keys of model providers, as an explanation is made to be shown."""
    return {name: "…" if re.search("key|token|secret|password|auth", name, re.I) else item for name, item in options.items()}


def placeholders(strategy: Strategy, schema: Schema) -> tuple[Mapping[str, QueryVector], Mapping[str, Any]]:
    """Zero vectors and zero request-time values, to show a request before there is a query."""
    vectors = {name: _zeros(schema.vectors[name]) for name in strategy.needs()}
    expressions = [stage.expression for stage in strategy.stages() if isinstance(stage, Formula)]
    features: dict[str, Any] = {}
    for expression in expressions:
        features |= placeholder_params(expression)
    return vectors, features


def _zeros(info: VectorInfo) -> QueryVector:
    match info.kind:
        case "sparse":
            return models.SparseVector(indices=[], values=[])
        case "multi":
            return [[0.0] * (info.size or 0)]
        case "dense":
            return [0.0] * (info.size or 0)
    assert_never(info.kind)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
