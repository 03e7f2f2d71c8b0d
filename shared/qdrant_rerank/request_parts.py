"""What a request is made of, and what of it engines can't take, said before anything is sent and alike on all of them.

Its parts are its searches, by the name of the stage, and in them conditions, payload paths and what a server must know to
understand them. Filters at the root, below it and inside formulas, raw expressions and stages of one's own are all seen, as it
is the request itself that is looked through.

Refused are numbers beyond the types of Qdrant's API, and what a collection's strict mode forbids. Its rules were tried out on a
server (1.18.3): the limit of every search counts, but no offset, and of groups their number times their size; conditions count
in each filter by itself, and not in formulas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from qdrant_client import models

from .capabilities import AbilityName
from .expressions.inspect import clauses
from .expressions.view import path_problem
from .schema import Schema
from .steps import Request
from .values import LARGEST, as_list

Sent: TypeAlias = "models.QueryRequest | models.QueryGroupsRequest | models.Prefetch"

# by the name of the type, as older clients lack some
_OF_TYPE: Final[dict[str, AbilityName]] = {
    "AcornSearchParams": "acorn",
    "AcoshExpression": "acosh",
    "Document": "document",
    "FormulaQuery": "formula",
    "HasVectorCondition": "has_vector",
    "Image": "inference_object",
    "InferenceObject": "inference_object",
    "MatchPhrase": "match_phrase",
    "MatchPrefix": "match_prefix",
    "MatchSubstring": "match_substring",
    "MatchTextAny": "match_text_any",
    "MaxExpression": "max_min",
    "MinExpression": "max_min",
    "Mmr": "mmr",
    "RelevanceFeedbackQuery": "relevance_feedback",
    "SliceCondition": "slice",
    "TextQuery": "text_query",
}
_OF_VALUE: Final[dict[tuple[str, str], AbilityName]] = {
    ("Document", "options"): "inference_options",
    ("Rrf", "k"): "rrf_k",
    ("Rrf", "weights"): "rrf_weights",
    ("SearchParams", "idf"): "idf_scope",
}
"""What it needs that a field of a type has a value."""

_PATHS: Final[dict[str, tuple[str, ...]]] = {
    "FieldCondition": ("key",),
    "PayloadField": ("key",),
    "Nested": ("key",),
    "OrderBy": ("key",),
    "DatetimeKeyExpression": ("datetime_key",),
    "GeoDistanceParams": ("to",),
    "QueryGroupsRequest": ("group_by",),
}
_OPERANDS: Final[dict[str, tuple[str, ...]]] = {
    "MultExpression": ("mult",),
    "SumExpression": ("sum",),
    "MaxExpression": ("max",),
    "MinExpression": ("min",),
    "NegExpression": ("neg",),
    "AbsExpression": ("abs",),
    "SqrtExpression": ("sqrt",),
    "ExpExpression": ("exp",),
    "Log10Expression": ("log10",),
    "LnExpression": ("ln",),
    "AcoshExpression": ("acosh",),
    "DivParams": ("left", "right"),
    "PowParams": ("base", "exponent"),
    "DecayParamsExpression": ("x", "target"),
    "FormulaQuery": ("formula",),
}
"""Where an expression's operands are, of which texts are payload paths, or `$score`."""


@dataclass(frozen=True)
class Part:
    """One search of a request, by the name of the stage that it comes from."""

    name: str
    sent: Sent


def parts_of(sent: Sent) -> Iterator[Part]:
    """Every search of a request, the outermost first."""
    yield Part(_name(sent), sent)
    for each in as_list(sent.prefetch):
        yield from parts_of(each)


def _name(sent: Sent) -> str:
    query, using = sent.query, repr(sent.using) if sent.using else ""
    match query:
        case models.FormulaQuery():
            return "Formula"
        case models.FusionQuery() | models.RrfQuery():
            return "Fusion"
        case models.NearestQuery(mmr=models.Mmr()):
            return f"Mmr({using})"
        case models.NearestQuery() | list() | models.SparseVector():
            return f"Nearest({using})"
        case None:
            return "the search"
        case _:
            return type(query).__name__


def models_within(value: Any) -> Iterator[BaseModel]:
    """Every model inside a model or a list of them, itself among them, each once; without recursion, as formulas are deep."""
    waiting, seen = [value], set[int]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            if one and not isinstance(one[0], int | float):  # a vector's numbers
                waiting.extend(one)
            continue
        if not isinstance(one, BaseModel) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting.extend(item for item in one.__dict__.values() if isinstance(item, BaseModel | list))


def abilities_of(value: Any) -> Iterator[AbilityName]:
    """What a server must know to understand a request, a filter or search parameters."""
    for one in models_within(value):
        kind = type(one).__name__
        if kind in _OF_TYPE:
            yield _OF_TYPE[kind]
        for (owner, attribute), ability in _OF_VALUE.items():
            if owner == kind and getattr(one, attribute, None) is not None:
                yield ability


def bad_paths(value: Any) -> Iterator[str]:
    """What is wrong with payload paths inside a request or a filter, or with conditions on them, each once."""
    parts = list(models_within(value))
    for path in dict.fromkeys(_paths(parts)):
        if problem := path_problem(path):
            yield problem
    conditions = (each for each in parts if isinstance(each, models.FieldCondition))
    for key in dict.fromkeys(each.key for each in conditions if _is_idle(each)):
        yield f"the condition on {key!r} asks nothing of it: give it match=, range= or another"


def _is_idle(condition: models.FieldCondition) -> bool:
    """Whether a condition has a key alone, which servers refuse, and local mode lets nothing through."""
    return all(asked is None for name, asked in condition if name != "key")


def _paths(parts: Iterable[BaseModel]) -> Iterator[str]:
    for one in parts:
        kind = type(one).__name__
        for attribute in _PATHS.get(kind, ()):
            yield getattr(one, attribute)
        for attribute in _OPERANDS.get(kind, ()):
            found = getattr(one, attribute)
            for operand in found if isinstance(found, list) else [found]:
                if isinstance(operand, str) and not operand.startswith("$score"):
                    yield operand


def filters_of(sent: Sent) -> Iterator[models.Filter]:
    """The filters of one search: what it finds has to meet, and what IDF is counted over."""
    if sent.filter is not None:
        yield sent.filter
    corpus = getattr(getattr(sent.params, "idf", None), "corpus", None)
    if isinstance(corpus, models.Filter):
        yield corpus


def conditions_of(filter: models.Filter) -> Iterator[Any]:
    """The conditions of a filter and of those inside it, as strict mode counts them."""
    for each in clauses(filter):
        if isinstance(each, models.Filter):
            yield from conditions_of(each)
        else:
            yield each


def restricts(filter: models.Filter) -> bool:
    """Whether a filter has a condition, and so may keep something out."""
    return next(conditions_of(filter), None) is not None


MOST_FOR_MMR: Final = 2**14  # candidates that MMR chooses among
_F32: Final = 3.4028234663852886e38
_INTEGERS: Final = range(-(2**63), 2**63)
_IDS: Final = range(2**64)


def request_limits(requests: Iterable[Request]) -> Iterator[str]:
    """Numbers in requests that are beyond an engine's."""
    for request in requests:
        for part in parts_of(request):
            yield from _part_limits(part)


def _part_limits(part: Part) -> Iterator[str]:
    sent, name = part.sent, part.name
    if sent.limit is not None and sent.limit > LARGEST:
        yield f"{name} asks for {sent.limit:,} points; the limit is at most {LARGEST:,}"
    if sent.score_threshold is not None and abs(sent.score_threshold) > _F32:
        yield f"the score_threshold of {name} is beyond 32-bit floats: {sent.score_threshold!r}"
    mmr = sent.query.mmr if isinstance(sent.query, models.NearestQuery) else None
    if mmr is not None and (mmr.candidates_limit or 0) > MOST_FOR_MMR:
        yield (
            f"{name} is to choose among {mmr.candidates_limit:,} candidates, and MMR takes {MOST_FOR_MMR:,} at most: set "
            f"candidates_limit={MOST_FOR_MMR}, or have its candidates hand on fewer"
        )
    rrf = getattr(sent.query, "rrf", None)
    if rrf is not None and (rrf.k or 0) > LARGEST:
        yield f"the k of {name} is {rrf.k:,}; it is at most {LARGEST:,}"
    yield from params_limits(sent.params, name)
    for filter in filters_of(sent):
        yield from filter_limits(filter, f"the filter of {name}")


def params_limits(params: models.SearchParams | None, whose: str) -> Iterator[str]:
    """Numbers in search parameters that are beyond an engine's."""
    if params is None:
        return
    if params.hnsw_ef is not None and not 0 <= params.hnsw_ef <= LARGEST:
        yield f"hnsw_ef of {whose} must be from 0 to {LARGEST:,}, got {params.hnsw_ef:,}"
    quantization = params.quantization
    if quantization is not None and quantization.oversampling is not None and not 1 <= quantization.oversampling <= _F32:
        yield f"oversampling of {whose} must be a number of at least 1, got {quantization.oversampling!r}"


def filter_limits(filter: models.Filter, whose: str) -> Iterator[str]:
    """Numbers in a filter that are beyond an engine's."""
    for condition in conditions_of(filter):
        match condition:
            case models.NestedCondition():
                yield from filter_limits(condition.nested.filter, whose)
            case models.HasIdCondition():
                for id in condition.has_id:
                    if isinstance(id, int) and id not in _IDS:
                        yield f"{whose} names point {id}; ids that are numbers go from 0 to {_IDS[-1]:,}"
            case models.FieldCondition():
                yield from _field_limits(condition, whose)
            case _:
                pass


def _field_limits(condition: models.FieldCondition, whose: str) -> Iterator[str]:
    for value in _matched(condition.match):
        if isinstance(value, int) and value not in _INTEGERS:
            yield (
                f"{whose} matches {condition.key!r} with {value}; whole numbers that are matched go from {_INTEGERS[0]:,} to "
                f"{_INTEGERS[-1]:,}: store such values as text"
            )
    if isinstance(condition.range, models.Range):
        for name in ("lt", "gt", "lte", "gte"):
            if (bound := getattr(condition.range, name)) is not None and not math.isfinite(bound):
                yield f"{whose} bounds {condition.key!r} by {name}={bound}: leave out a bound that bounds nothing"
    if (counts := condition.values_count) is not None:
        for name in ("lt", "gt", "lte", "gte"):
            if (count := getattr(counts, name)) is not None and not 0 <= count <= LARGEST:
                yield f"{whose} counts values of {condition.key!r} by {name}={count}; counts go from 0 to {LARGEST:,}"


def _matched(match: Any) -> list[Any]:
    match match:
        case models.MatchValue():
            return [match.value]
        case models.MatchAny():
            return list(match.any)
        case models.MatchExcept():
            return list(match.except_)
        case _:
            return []


def strict_limits(requests: Iterable[Request], schema: Schema, timeout: float | None = None) -> Iterator[str]:
    """What the collection's strict mode refuses of these requests."""
    strict = schema.strict
    if strict is None:
        return
    where = f"the collection {schema.collection!r} is in strict mode"
    if timeout is not None and strict.max_timeout is not None and timeout > strict.max_timeout:
        yield f"timeout={timeout:g} is more than {where} allows: {strict.max_timeout} seconds (max_timeout)"
    for request in requests:
        for part in parts_of(request):
            for problem in _strict_problems(part, strict):
                yield f"{where}, which allows {problem}"
        if isinstance(request, models.QueryGroupsRequest):
            yield from _unindexed([request.group_by], "the groups", schema)
        for part in parts_of(request):
            for filter in filters_of(part.sent):
                yield from _unindexed(keys_in(filter), f"the filter of {part.name}", schema)


def _strict_problems(part: Part, strict: models.StrictModeConfigOutput) -> Iterator[str]:
    sent, name, params = part.sent, part.name, part.sent.params
    points = sent.limit
    if points is not None and isinstance(sent, models.QueryGroupsRequest):
        points *= sent.group_size or 1
    if points is not None and strict.max_query_limit is not None and points > strict.max_query_limit:
        most = strict.max_query_limit
        yield f"searches of {most} points (max_query_limit), and {name} asks for {points}: set a smaller limit"
    if params is not None:
        ef, largest_ef = params.hnsw_ef, strict.search_max_hnsw_ef
        if ef is not None and largest_ef is not None and ef > largest_ef:
            yield f"hnsw_ef={largest_ef} at most (search_max_hnsw_ef), and {name} asks for {ef}"
        if params.exact and strict.search_allow_exact is False:
            yield f"no exact searches (search_allow_exact), and {name} is one: leave out exact=True"
        over = None if params.quantization is None else params.quantization.oversampling
        widest = strict.search_max_oversampling
        if over is not None and widest is not None and over > widest:
            yield f"oversampling={widest:g} at most (search_max_oversampling), and {name} asks for {over:g}"
    for filter in filters_of(sent):
        conditions = list(conditions_of(filter))
        if strict.filter_max_conditions is not None and len(conditions) > strict.filter_max_conditions:
            yield (
                f"filters of {strict.filter_max_conditions} conditions (filter_max_conditions), and the filter of {name} has "
                f"{len(conditions)}"
            )
        largest = max(map(_size, conditions), default=0)
        if strict.condition_max_size is not None and largest > strict.condition_max_size:
            yield (
                f"conditions of {strict.condition_max_size} values (condition_max_size), and one in the filter of {name} has "
                f"{largest}: split it up with should"
            )


def _size(condition: Any) -> int:
    """How many values a condition lists, as strict mode counts them."""
    if isinstance(condition, models.HasIdCondition):
        return len(condition.has_id)
    match = getattr(condition, "match", None)
    return len(_matched(match)) if isinstance(match, models.MatchAny | models.MatchExcept) else 0


def keys_in(filter: models.Filter, prefix: str = "") -> Iterator[str]:
    """The payload keys that a filter's conditions are on."""
    for condition in conditions_of(filter):
        match condition:
            case models.FieldCondition():
                yield prefix + condition.key
            case models.IsEmptyCondition():
                yield prefix + condition.is_empty.key
            case models.IsNullCondition():
                yield prefix + condition.is_null.key
            case models.NestedCondition():
                key = condition.nested.key
                yield from keys_in(condition.nested.filter, f"{prefix}{key}{'' if key.endswith('[]') else '[]'}.")
            case _:
                pass


def _unindexed(keys: Iterable[str], whose: str, schema: Schema) -> Iterator[str]:
    if schema.strict is None or schema.strict.unindexed_filtering_retrieve is not False:
        return
    for key in dict.fromkeys(keys):
        if key not in schema.indexes:
            yield (
                f"the collection {schema.collection!r} is in strict mode, which demands a payload index on {key!r} for {whose} "
                "(unindexed_filtering_retrieve): make one, e.g. with "
                f"client.create_payload_index({schema.collection!r}, {key!r}, …)"
            )
