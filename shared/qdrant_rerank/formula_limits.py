"""What works on a collection, but worse than it looks, and what servers refuse of formulas: indexes, numbers, depth and size.

The figures are measured or read in Qdrant's source (1.19): un-indexed payload keys make formulas 6 to 19 times slower, as the
payload is read again for each occurrence; REST bodies may be 32 MB and about 127 levels deep; gRPC messages, which the
nodes of a cluster exchange too, 100 levels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from qdrant_client import models

from .errors import Lint
from .expressions.inspect import PayloadKey, conditions, field_conditions, payload_keys, walk, write_reader
from .expressions.nodes import CandidateScore, Expression, Field, GeoDistance, Raw
from .expressions.view import path_problem, quote
from .expressions.wire import DIGITS, digits
from .schema import Schema
from .values import measure

REST_DEPTH: Final = 120  # of 127: the request around the formula takes the rest
GRPC_DEPTH: Final = 94  # of 100
BODY_BYTES: Final = 32 * 2**20
_BYTES_PER_NODE: Final = 24  # the least that a node takes as JSON: a lower bound is enough to refuse
_HERE: Final = "Formula(…).over(…).on_client() computes it here, whatever its size"


_Type = models.PayloadSchemaType
_HIDDEN_BY: Final = {
    # what a formula reads: its name, and the indexes that keep no such value, so that the formula reads none. A text index
    # keeps none either, but formulas don't ask it; a keyword index hands out dates as the text that they are
    _Type.FLOAT: ("number", (_Type.KEYWORD, _Type.BOOL, _Type.DATETIME, _Type.GEO, _Type.UUID)),
    _Type.DATETIME: ("date", (_Type.FLOAT, _Type.INTEGER, _Type.BOOL, _Type.GEO, _Type.UUID)),
    _Type.GEO: ("place", (_Type.FLOAT, _Type.INTEGER, _Type.KEYWORD, _Type.DATETIME, _Type.BOOL, _Type.UUID)),
}


def index_problems(expression: Expression, schema: Schema) -> Iterator[str]:
    """Payload indexes that a formula can't work with."""
    for condition in conditions(expression):
        yield from condition_problems(condition, schema)
    for key in payload_keys(expression):
        index = schema.indexes.get(key.key)
        if key.is_read and index is not None:
            yield from _find_hidden(key, index, schema)
        if index is None and demands_indexes(schema):
            yield (
                f"the collection {schema.collection!r} is in strict mode, which demands a payload index on {key.key!r}: make "
                f"one{_of_type(key.index)}, e.g. with qdrant_rerank.ingest.ensure_indexes(client, collection, strategy)"
            )


def _find_hidden(key: PayloadKey, index: models.PayloadSchemaType, schema: Schema) -> Iterator[str]:
    """What an index of the wrong type hides from a formula: defaults count in silence, or the engine refuses the query."""
    if key.index is None or key.index not in _HIDDEN_BY:
        return
    what, hiding = _HIDDEN_BY[key.index]
    written = write_reader(key.index.value, key.key, with_default=False)
    reads = f"{written} reads a {what}, but the collection {schema.collection!r} has"
    if index in hiding:
        read = write_reader(index.value, key.key)
        instead = f"read it by {read}, or, if it holds {what}s, replace it" if read else "replace it"
        yield f"{reads} {_a(index)} index on it, which hides {what}s from formulas: {instead} by a {key.index.value} index"
    elif (key.index, index) == (_Type.FLOAT, _Type.INTEGER) and not _answers_ranges(schema, key.key):
        yield (
            f"{reads} an integer index on it that is made without range=True, so that values with decimals fail the query: "
            "replace it by a float index"
        )


def filter_problems(filter: models.Filter, schema: Schema) -> Iterator[str]:
    """Filters that every server refuses, or that a payload index answers wrongly."""
    levels, _ = measure(filter)
    if levels > REST_DEPTH:
        yield f"a filter is {levels} levels deep as JSON, and servers take about {REST_DEPTH}: nest less"
        return
    yield from condition_problems(filter, schema)


def condition_problems(condition: models.Condition, schema: Schema) -> Iterator[str]:
    """Conditions that a payload index of another type answers, and wrongly."""
    for field in field_conditions(condition):
        index, key = schema.indexes.get(field.key), field.key
        has = "" if index is None else f"the collection {schema.collection!r} has {_a(index)} index on it"
        if isinstance(field.range, models.DatetimeRange) and index in (_Type.FLOAT, _Type.INTEGER):
            if _answers_ranges(schema, key):
                yield f"a condition asks for dates at {key!r}, but {has}, which hides dates: replace it by a datetime index"
        elif isinstance(field.range, models.Range) and index == _Type.DATETIME:
            yield (
                f"a condition asks for numbers at {key!r}, but {has}: ask for a models.DatetimeRange, or replace the "
                "index by a float index"
            )
        elif isinstance(field.match, models.MatchPhrase) and index == _Type.TEXT and not knows_phrases(schema, key):
            yield (
                f"a condition asks for a phrase at {key!r}, but {has} that knows no phrases, so that nothing matches: "
                "make it again with phrase_matching=True"
            )


def _answers_ranges(schema: Schema, key: str) -> bool:
    return getattr(schema.index_params.get(key), "range", None) is not False


def knows_phrases(schema: Schema, key: str) -> bool:
    """Whether the full-text index on a key was made for phrases."""
    return bool(getattr(schema.index_params.get(key), "phrase_matching", None))


def _a(index: models.PayloadSchemaType) -> str:
    return f"{'an' if index == _Type.INTEGER else 'a'} {index.value}"


def index_warnings(expression: Expression, schema: Schema, engine: str) -> Iterator[Lint]:
    """Payload indexes that are missing, or that hide some values."""
    for key in payload_keys(expression):
        index = schema.indexes.get(key.key)
        if index is None and engine != "local":
            yield Lint(
                "unindexed-field",
                f"{key.key!r} has no payload index, which makes a formula over it 6 to 19 times slower: make one"
                f"{_of_type(key.index)}, e.g. with qdrant_rerank.ingest.ensure_indexes(client, collection, strategy)",
            )
        if key.index == _Type.FLOAT and index == _Type.INTEGER:
            yield Lint(
                "integer-index",
                f"the integer index on {key.key!r} hides values with decimals from formulas, which then count as missing: "
                "if there may be any, replace it by a float index",
            )


def demands_indexes(schema: Schema) -> bool:
    """Whether the collection refuses what reads payload without an index."""
    strict = schema.strict
    return strict is not None and strict.unindexed_filtering_retrieve is False


def _of_type(index: models.PayloadSchemaType | None) -> str:
    return f" of type {index}" if index is not None else ""


def number_warnings(expression: Expression, engine: str) -> Iterator[Lint]:
    """Numbers that a server reads inexactly over REST; constants aren't among them, which travel as two 32-bit floats."""
    if engine != "server":
        return
    for node in walk(expression):
        match node:
            case CandidateScore(name, default):
                yield from _warn_of_digits(f"the default of score({name!r})", default)
            case GeoDistance(origin=tuple(place), key=key):
                for degrees in place:
                    yield from _warn_of_digits(f"a coordinate of geo_distance(…, {key!r})", degrees)
            case _:
                pass


def decay_warnings(expression: Expression) -> Iterator[Lint]:
    """Raw decays that the nodes of a cluster refuse from each other; `decay_lin` writes such ones as arithmetic."""
    steep = [decay for node in walk(expression) if isinstance(node, Raw) for decay in _linear_decays(node.expression)]
    if any((1 - (0.5 if one.midpoint is None else one.midpoint)) / (one.scale or 1.0) > 1 for one in steep):
        yield Lint(
            "steep-decay",
            "a raw linear decay with (1 - midpoint) / scale above 1 is refused where one node of a cluster passes it to "
            "another: write decay_lin(…)",
        )


def _linear_decays(raw: Any) -> Iterator[models.DecayParamsExpression]:
    if isinstance(raw, models.LinDecayExpression):
        yield raw.lin_decay
    if isinstance(raw, list | BaseModel):
        for part in raw if isinstance(raw, list) else raw.__dict__.values():
            yield from _linear_decays(part)


def _warn_of_digits(what: str, number: float) -> Iterator[Lint]:
    if digits(float(number)) > DIGITS:
        yield Lint(
            "inexact-number",
            f"{what} is {number!r}, and of a number's digits servers read {DIGITS} exactly over REST: it may be off by "
            f"{math.ulp(number):.1g} there; over gRPC it is exact",
        )


def extent_problems(size: Extent, grpc: bool = False) -> Iterator[str]:
    """Formulas that every server refuses; those that gRPC doesn't take, where searches are sent over it."""
    if grpc and size.grpc_depth > GRPC_DEPTH:
        yield (
            f"the formula is {size.grpc_depth} levels deep, and gRPC, which this client sends searches over, refuses more than "
            f"{GRPC_DEPTH}: nest less, e.g. write long sums as one sum; {_HERE}"
        )
    if size.json_depth > REST_DEPTH:
        yield (
            f"the formula is {size.json_depth} levels deep as JSON, and servers take about {REST_DEPTH}: "
            f"nest less, e.g. write long sums as one sum; {_HERE}"
        )
    if size.nodes * _BYTES_PER_NODE > BODY_BYTES:
        megabytes = size.nodes * _BYTES_PER_NODE // 2**20
        yield (
            f"the formula has {size.nodes:,} nodes, more than {megabytes} MB as JSON; a request may have "
            f"{BODY_BYTES // 2**20} MB: {_HERE}"
        )


def extent_warnings(size: Extent, grpc: bool = False) -> Iterator[Lint]:
    """Formulas that some connections refuse (where they are no problem yet), and those that are slow because they are large."""
    if not grpc and size.grpc_depth > GRPC_DEPTH:
        yield Lint(
            "deep-formula",
            f"the formula is {size.grpc_depth} levels deep: gRPC refuses more than {GRPC_DEPTH}, and so do the nodes of a "
            f"cluster among themselves; {_HERE}",
        )
    if size.conditions > MAX_CONDITIONS or size.bytes > MAX_BYTES:
        refused = f", and servers refuse requests of more than {BODY_BYTES // 2**20} MB" if size.bytes > BODY_BYTES else ""
        yield Lint(
            "large-formula",
            f"the formula has {size.conditions:,} conditions and about {size.bytes:,} bytes as JSON, which travel with every "
            f"query and are gone through for every candidate{refused} (up to {MAX_CONDITIONS:,} and {MAX_BYTES:,} are a good "
            f"size): {_HERE}; or fit fewer trees or leaves",
        )


MAX_CONDITIONS: Final = 1500
"""How many conditions a formula made of a model may have, unless one says otherwise."""
MAX_BYTES: Final = 300_000
"""How many bytes a formula made of a model may have as JSON, likewise."""


@dataclass(frozen=True)
class Extent:
    """How large a compiled formula is; shared parts count as often as they are sent.

    `nodes` are its parts in all, `conditions` those on the payload, `reads` the payload values that are read as numbers, and
    `bytes` is its size as JSON, give or take how numbers are written.
    """

    json_depth: int
    grpc_depth: int
    nodes: int
    conditions: int = 0
    reads: int = 0
    bytes: int = 0


def extent(formula: models.Expression) -> Extent:
    """Measure a compiled formula.

    Without recursion, as it may be absurdly deep; and each part once, as parts may occur many times: before 1.20 a sigmoid
    holds its operand three times, so that nested ones grow exponentially once they are sent.
    """
    measured: dict[int, Extent] = {}
    waiting: list[Any] = [formula]
    while waiting:
        value = waiting[-1]
        parts = _parts(value)
        missing = [part for part in parts if id(part) not in measured]
        if missing:
            waiting.extend(missing)
            continue
        waiting.pop()
        measured[id(value)] = _measure(value, [measured[id(part)] for part in parts])
    return measured[id(formula)]


def _measure(value: Any, inner: list[Extent]) -> Extent:
    is_condition = isinstance(value, models.FieldCondition)
    return Extent(
        json_depth=1 + max((part.json_depth for part in inner), default=0),
        grpc_depth=1 + max((part.grpc_depth for part in inner), default=0),
        nodes=(0 if isinstance(value, list) else 1) + sum(part.nodes for part in inner),
        conditions=1 if is_condition else sum(part.conditions for part in inner),
        reads=0 if is_condition else _reads(value) + sum(part.reads for part in inner),
        bytes=_own_bytes(value, len(inner)) + sum(part.bytes for part in inner),
    )


def _parts(value: Any) -> list[Any]:
    if isinstance(value, BaseModel):
        return [item for item in value.__dict__.values() if item is not None]
    return value if isinstance(value, list) else []


def _reads(value: Any) -> int:
    """Whether it is the name of a payload value; `$score` is none."""
    return int(isinstance(value, str) and not value.startswith("$"))


def _own_bytes(value: Any, parts: int) -> int:
    """What it takes as JSON beyond its parts: brackets, commas, names; or all of it where it has none."""
    if isinstance(value, BaseModel):
        written = sum(_name_bytes(type(value), name) for name, item in value.__dict__.items() if item is not None)
        return 2 + max(0, parts - 1) + written
    if isinstance(value, list):
        return 2 + max(0, parts - 1)
    return len(json.dumps(value, ensure_ascii=False, default=str).encode())


@cache
def _name_bytes(kind: type[BaseModel], name: str) -> int:
    """`"name":`"""
    return len(kind.model_fields[name].alias or name) + 3


def path_problems(expression: Expression) -> Iterator[str]:
    """What is wrong with the payload keys that an expression reads, in fields, affinities and conditions; each once."""
    fields = {node.key for node in walk(expression) if isinstance(node, Field)}
    for key in dict.fromkeys(each.key for each in payload_keys(expression)):
        if problem := path_problem(key):
            yield f"{problem}, i.e. field({quote(key)!r})" if key in fields and quote(key) else problem
