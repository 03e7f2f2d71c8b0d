"""A model's columns as Qdrant has them, how to keep and compute them, and the candidates that they are computed of.

Columns are expressions, numbers that may be missing, and categories. Each candidate is searched alone, as serving finds it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from .. import Executor, Query, Retries, SearchOptions, StrategyError, from_json, to_json
from .._internals import (
    NO_RETRIES,
    Constant,
    Field,
    Flow,
    Inputs,
    Now,
    PayloadKey,
    Points,
    Raw,
    Reference,
    Request,
    Search,
    Table,
    View,
    both,
    brief,
    candidate_scores,
    check_key,
    compute,
    embed_query,
    expression_from_json,
    find_missing,
    payload_keys,
    placeholder_params,
    query_token_counts,
    random_points,
    read_codes,
    reads_model,
    root_keys,
    scores_by_candidate,
    search,
    walk,
)
from ..errors import FormatError
from ..evaluate._internals import RetryingServices, with_stable_ties
from ..expressions import Expression, ExpressionLike, as_expression
from ..planning import Target
from ..stages import Formula, Stage


@dataclass(frozen=True, init=False)
class Feature:
    """One column of a model: the expression that computes it.

    Args:
        expression: what the model was trained on, e.g. `field("price", default=0)`, `score("dense")`, `param("budget")`.
        missing: `"nan"` if the model was trained with NaN where the payload lacks the field; the expression is then
            `field(key)` without a default, and the model (or the pipeline's imputer) says what a missing value means.

    Raises:
        StrategyError: a payload key is read without a default and without `missing="nan"`, or with both.
    """

    expression: Expression
    missing: Literal["nan"] | None = None

    def __init__(self, expression: ExpressionLike, missing: Literal["nan"] | None = None) -> None:
        object.__setattr__(self, "expression", as_expression(expression))
        object.__setattr__(self, "missing", missing)
        if missing not in (None, "nan"):
            raise StrategyError(f"missing is 'nan' or None, got {missing!r}")
        if missing == "nan":
            self._check_nullable()
        else:
            self._check_defaults()

    def _check_nullable(self) -> None:
        if not isinstance(self.expression, Field):
            raise StrategyError(
                f"missing='nan' is for field(key) alone, not for {brief(self.expression)}: give its fields defaults"
            )
        if self.expression.default is not None:
            raise StrategyError(
                f"{brief(self.expression)} has a default, so that it is never missing: "
                f"write Feature(field({self.expression.key!r}), missing='nan')"
            )

    def _check_defaults(self) -> None:
        if reads_model(self.expression):
            raise StrategyError("rerank_score() can't be a feature: Qdrant can't know the score of a model that reads the text")
        for key in payload_keys(self.expression):
            if not key.has_default:
                raise StrategyError(
                    f"{brief(self.expression)} has no default, so that one point without {key.key!r} would fail the whole "
                    "query: "
                    f"write field({key.key!r}, default=…) if the model was trained with that value there, "
                    f"or Feature(field({key.key!r}), missing='nan') if it was trained with NaN"
                )


@dataclass(frozen=True, init=False)
class Category:
    """One categorical column of a tree model: a payload key that holds one text or one whole number.

    Points without a category, with one that isn't listed, or with several, count as missing.

    Args:
        key: the payload key.
        values: the category that the model knows as code 0, 1, 2, …; None if the model itself knows its categories (it
            was trained on a pandas categorical, or is a HistGradientBoosting), or if the payload holds the codes.
    """

    key: str
    values: tuple[str | int, ...] | None = None

    def __init__(self, key: str, values: Sequence[str | int] | None = None) -> None:
        check_key(key)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "values", None if values is None else tuple(values))
        for value in self.values or ():
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise StrategyError(f"the categories of {key!r} must be text or whole numbers, got {value!r}")


FeatureLike: TypeAlias = "Feature | Category | ExpressionLike"
"""A column of a model."""
Features: TypeAlias = "Mapping[str, FeatureLike] | Sequence[FeatureLike]"
"""The columns of a model, by its names for them or in its order."""
Known: TypeAlias = "Mapping[str, Feature | Category]"
"""Features by name, checked."""
RESERVED: Final = ("topic", "document", "grade", "judged", "weight")
"""The other columns of a log."""


def as_features(features: Features, names: Sequence[str] | None, count: int) -> dict[str, Feature | Category]:
    """The features by name, in the order of the model's `count` columns, for which it may have `names` of its own.

    Raises StrategyError where they aren't the model's columns; the message lists both.
    """
    if not isinstance(features, Mapping):
        if isinstance(features, str | Category | Feature) or not isinstance(features, Sequence):
            raise StrategyError(f"features is a map of name to expression, or a list of expressions; got {brief(features)}")
        own = names if names is not None and len(names) == len(features) else [f"column {n}" for n in range(len(features))]
        features = dict(zip(own, features, strict=True))
    given = ", ".join(map(repr, features)) or "none"
    if len(features) != count:
        there = f" ({', '.join(map(repr, names))})" if names else ""
        raise StrategyError(f"the model has {count} columns{there}, but {len(features)} features are given: {given}")
    if names is not None and set(names) != set(features):
        raise StrategyError(
            f"the features are not the model's columns: the model has {', '.join(map(repr, names))}; given are {given}"
        )
    return {name: _as_feature(name, features[name]) for name in (names or features)}


def _as_feature(name: str, feature: FeatureLike, raw: bool = True) -> Feature | Category:
    try:
        made = feature if isinstance(feature, Feature | Category) else Feature(feature)
        if not raw and isinstance(made, Feature) and any(isinstance(node, Raw) for node in walk(made.expression)):
            raise StrategyError("a raw expression can be computed by an engine only: write it with this package's functions")
    except StrategyError as error:
        raise StrategyError(f"the feature {name!r}: {error}") from None
    return made


def feature_json(feature: Feature | Category) -> Any:
    """A feature as plain JSON values."""
    if isinstance(feature, Category):
        return {"category": feature.key, "values": None if feature.values is None else list(feature.values)}
    found: dict[str, Any] = {"expression": json.loads(to_json(feature.expression)), "text": repr(feature.expression)}
    return found if feature.missing is None else found | {"missing": feature.missing}


def features_from_json(value: Mapping[str, Any], path: str | PathLike[str] | None = None) -> dict[str, Feature | Category]:
    """The features by name, each as `feature_json` wrote it. Raises FormatError where one isn't a feature."""
    return {name: _read_feature(name, item, path) for name, item in value.items()}


def _read_feature(name: str, value: Any, path: str | PathLike[str] | None) -> Feature | Category:
    try:
        match value:
            case {"category": str(key)}:
                return Category(key, value.get("values"))
            case {"expression": expression}:
                return Feature(expression_from_json(json.dumps(expression)), value.get("missing"))
            case _:
                raise StrategyError(f"neither an expression nor a category: {json.dumps(value)[:100]}")
    except (FormatError, StrategyError, TypeError) as error:
        raise FormatError(f"the feature {name!r}: {error}", path) from error


def candidates_json(candidates: tuple[Stage, ...]) -> list[Any]:
    """Candidates as plain JSON values."""
    return [json.loads(to_json(candidate)) for candidate in candidates]


def candidates_from_json(value: Any, path: str | PathLike[str] | None = None) -> tuple[Stage, ...]:
    """The candidates that `candidates_json` wrote. Raises FormatError where they aren't stages."""
    if not isinstance(value, list):
        raise FormatError(f"candidates must be a list of stages, got {json.dumps(value)[:100]}", path)
    candidates: list[Stage] = []
    for item in value:
        try:
            made = from_json(json.dumps(item))
        except FormatError as error:
            raise FormatError(f"a candidate: {error.message}", path) from error
        if not isinstance(made, Stage):
            raise FormatError(f"a candidate must be a stage, which Qdrant runs alone, got {brief(made)}", path)
        candidates.append(made)
    return tuple(candidates)


def check_features(features: Features) -> dict[str, Feature | Category]:
    """The features by name, checked. Raises StrategyError where there are none, they have no names, or one can't be logged."""
    if not isinstance(features, Mapping) or not features:
        raise StrategyError(f"features is a map of name to expression, e.g. {{'dense': score('dense')}}; got {brief(features)}")
    found: dict[str, Feature | Category] = {}
    for name, feature in features.items():
        if not isinstance(name, str) or not name or name in RESERVED or any(sign in name for sign in ",\n\r"):
            raise StrategyError(
                f"a feature's name must be text without commas, and none of {', '.join(RESERVED)}; got {name!r}"
            )
        found[name] = _as_feature(name, feature, raw=False)
    return found


def compute_features(features: Known, table: Table) -> NDArray[np.float64]:
    """The features of the table's n points: shape (n, number of features); NaN for missing values."""
    if not len(table):
        return np.empty((0, len(features)))
    return np.column_stack([_compute_column(feature, table) for feature in features.values()])


def _compute_column(feature: Feature | Category, table: Table) -> NDArray[np.float64]:
    if isinstance(feature, Category):
        return read_codes(feature.key, feature.values, table.payloads)
    if feature.missing == "nan" and isinstance(feature.expression, Field):
        return table.numbers(feature.expression.key)
    return compute(feature.expression, table)


def keys_read(feature: Feature | Category) -> list[PayloadKey]:
    """The payload keys that a feature reads, with what must be there."""
    return [PayloadKey(feature.key, None)] if isinstance(feature, Category) else payload_keys(feature.expression)


def selector(features: Known, more: Sequence[str] = ()) -> bool | list[str]:
    """The payload that the features and `more` keys need, as root keys; all of it where a key is quoted."""
    return root_keys([*(key.key for feature in features.values() for key in keys_read(feature)), *more])


def is_payload_only(feature: Feature | Category) -> bool:
    """Whether a point's value is the same for every query."""
    if isinstance(feature, Category):
        return True
    expression, nodes = feature.expression, list(walk(feature.expression))
    asked = candidate_scores(expression) or placeholder_params(expression) or any(isinstance(node, Now) for node in nodes)
    return not asked and not all(isinstance(node, Constant) for node in nodes)


def share_lacking(feature: Feature | Category, payloads: Sequence[Mapping[str, Any]]) -> float:
    """The share of points that lack a payload value that the feature reads; 0 without points."""
    return find_missing(keys_read(feature), payloads)


@dataclass(frozen=True)
class CandidateSearch:
    """The candidates of a formula, each to be searched alone.

    `formula`, over the resolved candidates, says what `score(name)` means; `alone` are the candidates with the limits and
    filters that they have below it; `options` are what the call asks for, with the payload that features read.
    """

    formula: Formula
    alone: tuple[Stage, ...]
    options: SearchOptions

    @classmethod
    def of(cls, candidates: Sequence[Stage], options: SearchOptions, target: Target) -> CandidateSearch:
        """The search of these candidates. Raises StrategyError if there are none."""
        if isinstance(candidates, Stage) or not candidates:
            raise StrategyError(f"candidates is a list of stages, as in .over(*candidates); got {brief(candidates)}")
        formula = Formula(Constant(0.0)).over(*candidates).resolve(target.schema)
        return cls(formula, tuple(candidate.alone(options.needed, None) for candidate in formula.candidates), options)


@dataclass(frozen=True)
class Candidates:
    """What the candidates found for one topic: all points, each once, by their best rank, and the table that features read.

    `ranks`, shape (n,), are each point's best rank in any candidate, from 1; NaN for points that no candidate found.
    """

    points: Points
    ranks: NDArray[np.float64]
    table: Table

    def join(self, points: Points) -> Candidates:
        """These candidates and, after them, points that no candidate found, whose scores are NaN."""
        more = np.full(len(points), np.nan)
        table = replace(
            self.table,
            payloads=[*self.table.payloads, *(point.payload or {} for point in points)],
            ids=[*self.table.ids, *(point.id for point in points)],
            scores={name: np.concatenate([scores, more]) for name, scores in self.table.scores.items()},
        )
        return Candidates([*self.points, *points], np.concatenate([self.ranks, more]), table)


def search_candidates(
    candidates: CandidateSearch, query: Query, target: Target, filter: models.Filter | None
) -> Flow[Candidates]:
    """The candidates for one query whose points meet `filter` beside the options', in one round trip."""
    inputs = yield from embed_query(query, candidates.formula.needs(), target)
    options = replace(candidates.options, filter=both(candidates.options.filter, filter))
    alone = [(each, with_stable_ties(each, replace(options, limit=each.limit or 1))) for each in candidates.alone]

    def requests() -> list[Request]:
        return [candidate.request(inputs, candidate.widen(own)) for candidate, own in alone]

    found = yield from search(requests, options, target)
    answers = [candidate.cut(points, own) for points, (candidate, own) in zip(found, alone, strict=True)]
    return _join_answers(candidates, answers, inputs, query)


def _join_answers(candidates: CandidateSearch, answers: Sequence[Points], inputs: Inputs, query: Query) -> Candidates:
    best: dict[models.ExtendedPointId, int] = {}
    points: dict[models.ExtendedPointId, models.ScoredPoint] = {}
    for answer in answers:
        for rank, point in enumerate(answer, 1):
            best[point.id] = min(rank, best.get(point.id, rank))
            points.setdefault(point.id, point)
    listed = sorted(points.values(), key=lambda point: best[point.id])
    ids = [point.id for point in listed]
    table = Table(
        payloads=[point.payload or {} for point in listed],
        ids=ids,
        scores=scores_by_candidate(candidates.formula.candidates, ids, answers, inputs.target.schema),
        params=query.params,
        now=inputs.now or dt.datetime.now(dt.UTC),
        tokens=query_token_counts((stage.vector for stage in candidates.formula.candidates), inputs),
        view=inputs.target.view,
    )
    return Candidates(listed, np.array([best.get(point.id, np.nan) for point in listed], dtype=np.float64), table)


def draw_points(
    executor: Executor, payload: Any, count: int, filter: models.Filter | None = None, retries: Retries = NO_RETRIES
) -> Points:
    """Up to `count` stored points, drawn at random by Qdrant."""
    search = Search([random_points(count, payload, filter, executor.target().schema)])
    points: Points
    [points] = RetryingServices(executor, retries).search(search)
    return points


def reference_of(features: Known, points: Points, view: View) -> dict[str, Reference]:
    """How each feature that only reads the payload is distributed over the points, as the engine sees them."""
    known = {name: feature for name, feature in features.items() if is_payload_only(feature)}
    if not known or not points:
        return {}
    payloads = [point.payload or {} for point in points]
    values = compute_features(known, Table(payloads, [point.id for point in points], view=view))
    return {
        name: Reference.of(values[:, number], share_lacking(feature, payloads))
        for number, (name, feature) in enumerate(known.items())
    }
