"""Random expressions and strategies for the laws, all over the toy collection's vectors and payload."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

from hypothesis import strategies as st
from qdrant_client import models

from qdrant_rerank import (
    Formula,
    Fusion,
    Mmr,
    Nearest,
    datetime_field,
    decay_exp,
    decay_gauss,
    decay_lin,
    field,
    geo_distance,
    now,
    param,
    score,
    sigmoid,
    when,
)
from qdrant_rerank.expressions import Expression, constant, divide, instant, raw
from qdrant_rerank.stages import Stage
from tests.engines import current
from tests.support import CATEGORIES


def is_reproducible(strategy: Stage) -> bool:
    """Whether the run's engine answers it alike from call to call; shards choose anew by an MMR below another stage."""
    return current().shards == 1 or not any(isinstance(stage, Mmr) for stage in [*strategy.stages()][1:])


NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, width=32) | st.integers(-5, 5) | st.sampled_from([0.1, -0.3, 1e-7])
MOMENTS = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1), timezones=st.sampled_from([None, dt.UTC]))
KEYS = st.sampled_from(["rating", "popularity", "meta.price", "absent"])
PLACES = st.tuples(st.integers(-80, 80), st.integers(-170, 170)) | st.just("here")


def features_for(strategy: Stage) -> dict[str, Any]:
    """Request-time values for the names that a random strategy reads."""
    written = repr(strategy)
    given_names = {"budget": 2.5} if "param('budget'" in written else {}
    return given_names | ({"here": (10.0, 20.0)} if "geo_distance('here'" in written else {})


def conditions() -> st.SearchStrategy[models.Condition]:
    """Conditions of every common kind."""
    return st.one_of(
        st.sampled_from(CATEGORIES).map(_is_category),
        st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=2).map(
            lambda names: models.FieldCondition(key="category", match=models.MatchAny(any=names))
        ),
        st.just(models.FieldCondition(key="category", match=models.MatchExcept(**{"except": ["news"]}))),
        st.floats(0, 40, width=32).map(lambda bound: models.FieldCondition(key="popularity", range=models.Range(gte=bound))),
        MOMENTS.map(lambda at: models.FieldCondition(key="published", range=models.DatetimeRange(lt=at))),
        st.sets(st.integers(1, 24), min_size=1, max_size=12).map(lambda some: models.HasIdCondition(has_id=sorted(some))),
        KEYS.map(lambda key: models.IsEmptyCondition(is_empty=models.PayloadField(key=key))),
        KEYS.map(lambda key: models.IsNullCondition(is_null=models.PayloadField(key=key))),
    )


def _is_category(name: str) -> models.FieldCondition:
    return models.FieldCondition(key="category", match=models.MatchValue(value=name))


def filters() -> st.SearchStrategy[models.Filter]:
    """Filters with clauses of every kind, one level of nesting."""
    plain = st.builds(_filter, st.lists(conditions(), max_size=2), st.lists(conditions(), max_size=2), conditions() | st.none())
    return plain | st.builds(lambda inner, other: models.Filter(must=[inner, other]), plain, conditions())


def _filter(must: list[Any], should: list[Any], must_not: Any) -> models.Filter:
    return models.Filter(must=must or None, should=should or None, must_not=must_not)


@cache
def expressions(names: tuple[str | None, ...] = (None,)) -> st.SearchStrategy[Expression]:
    """Expressions of every node, reading the scores of candidates with these names."""
    return st.recursive(_atoms(names), _combined, max_leaves=8)


def _atoms(names: tuple[str | None, ...]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        NUMBERS.map(constant),
        st.sampled_from(names).map(score),
        st.builds(field, KEYS, NUMBERS),
        st.builds(param, st.just("budget"), st.none() | NUMBERS),
        st.builds(lambda at, default: instant(at) - datetime_field("published", default), MOMENTS, MOMENTS),
        st.just(now()),
        st.builds(geo_distance, PLACES, st.just("place"), st.floats(0, 1e6)),
        st.builds(when, conditions() | filters()),
        st.just(raw(models.AbsExpression(abs="popularity"))),
    )


def _combined(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    operand = inner | NUMBERS
    scale, midpoint = st.floats(0.1, 1e5), st.floats(0.1, 0.9)
    decays = [st.builds(decay, inner, operand, scale, midpoint) for decay in (decay_exp, decay_gauss, decay_lin)]
    return st.one_of(
        st.builds(lambda left, right: left + right, inner, operand),
        st.builds(lambda left, right: right - left, inner, operand),
        st.builds(lambda left, right: left * right, inner, operand),
        st.builds(lambda left, right: right * left, inner, NUMBERS),
        st.builds(lambda left, number: left / number, inner, NUMBERS.filter(lambda number: abs(number) > 1.2e-38)),
        st.builds(divide, operand, inner, NUMBERS),
        st.builds(lambda base, exponent: base**exponent, inner, st.integers(0, 3)),
        inner.map(lambda node: -node),
        inner.map(sigmoid),
        st.builds(when, conditions(), operand, operand),
        *decays,
    )


@cache
def stages(leaves: int = 3) -> st.SearchStrategy[Stage]:
    """Trees of stages; filters, limits, thresholds and parameters anywhere."""
    return st.recursive(_leaf(), _over, max_leaves=leaves)


_LIMITS = st.sampled_from([None, 100])  # no less than what the stage above may want
_FILTERS = st.none() | filters()
_PARAMS = st.none() | st.just(models.SearchParams(exact=True))


def _leaf() -> st.SearchStrategy[Stage]:
    return st.one_of(_nearest("dense"), _nearest("bm25"), _nearest("colbert"), _mmr())


@cache
def _nearest(using: str) -> st.SearchStrategy[Stage]:
    thresholds, names = st.none() | st.floats(-0.5, 0.5), st.none() | st.just("named")
    return st.builds(
        Nearest, st.just(using), limit=_LIMITS, filter=_FILTERS, search_params=_PARAMS, score_threshold=thresholds, name=names
    )


@cache
def _mmr() -> st.SearchStrategy[Stage]:
    among, diversity = st.none() | st.just(150), st.floats(0, 1)
    return st.builds(Mmr, st.just("dense"), limit=_LIMITS, filter=_FILTERS, diversity=diversity, candidates_limit=among)


@cache
def _fusion(candidates: int) -> st.SearchStrategy[Stage]:
    weights = st.none() | st.lists(st.floats(0.1, 5), min_size=candidates, max_size=candidates)
    dbsf = st.builds(Fusion.dbsf, limit=_LIMITS, filter=_FILTERS)
    return dbsf | st.builds(Fusion.rrf, st.none() | st.integers(1, 100), weights, limit=_LIMITS, filter=_FILTERS)


@cache
def _formula(names: tuple[str | None, ...]) -> st.SearchStrategy[Stage]:
    return st.builds(Formula, expressions(names), limit=_LIMITS, filter=_FILTERS, name=st.none() | st.just("ranker"))


@st.composite
def _over(draw: st.DrawFn, inner: st.SearchStrategy[Stage]) -> Stage:
    candidates = draw(st.lists(inner, min_size=1, max_size=2))
    names = {stage.title for stage in candidates}
    above = [_fusion(len(candidates)), _nearest("colbert"), _nearest("dense"), _mmr()]
    if len(names) == len(candidates) and (None not in names or len(names) == 1):  # a formula can tell them apart
        above.append(_formula(tuple(sorted(names, key=str))))
    return draw(st.one_of(above)).over(*candidates)
