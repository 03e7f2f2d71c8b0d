"""What a request is made of: its searches, by the name of the stage, and in them conditions, payload paths and what a server
must know to understand them. Filters at the root, below it and inside formulas, raw expressions and stages of one's own are all
seen, as it is the request itself that is looked through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from qdrant_client import models

from .capabilities import AbilityName
from .expressions.paths import path_problem

__all__ = ["Part", "bad_paths", "conditions_of", "features_of", "filters_of", "parts_of", "within"]

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
    prefetch = sent.prefetch
    for each in prefetch if isinstance(prefetch, list) else [] if prefetch is None else [prefetch]:
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


def within(value: Any, stop: type[Any] | tuple[type[Any], ...] = ()) -> Iterator[BaseModel]:
    """Every model inside `value`, itself among them, each once; without recursion, as formulas are deep.

    Args:
        value: a model, or a list of them.
        stop: types that aren't looked into, nor given.
    """
    waiting, seen = [value], set[int]()
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            if one and not isinstance(one[0], int | float):  # a vector's numbers
                waiting.extend(one)
            continue
        if not isinstance(one, BaseModel) or id(one) in seen or isinstance(one, stop):
            continue
        seen.add(id(one))
        yield one
        waiting.extend(item for item in one.__dict__.values() if isinstance(item, BaseModel | list))


def features_of(value: Any) -> Iterator[AbilityName]:
    """What a server must know to understand a request, a filter or search parameters."""
    for one in within(value):
        kind = type(one).__name__
        if kind in _OF_TYPE:
            yield _OF_TYPE[kind]
        for (owner, attribute), feature in _OF_VALUE.items():
            if owner == kind and getattr(one, attribute, None) is not None:
                yield feature


def bad_paths(value: Any) -> Iterator[str]:
    """What is wrong with payload paths inside a request or a filter, each once."""
    for path in dict.fromkeys(_paths(value)):
        if problem := path_problem(path):
            yield problem


def _paths(value: Any) -> Iterator[str]:
    for one in within(value):
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
    clauses: Iterable[Any] = (
        filter.must,
        filter.should,
        filter.must_not,
        filter.min_should.conditions if filter.min_should is not None else None,
    )
    for clause in clauses:
        for each in clause if isinstance(clause, list) else [] if clause is None else [clause]:
            if isinstance(each, models.Filter):
                yield from conditions_of(each)
            else:
                yield each
