"""Expressions as values: operators, text, and what can't be built."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given as given_examples
from hypothesis import settings
from qdrant_client import models

from qdrant_rerank import (
    StrategyError,
    datetime_field,
    decay_exp,
    decay_gauss,
    decay_lin,
    field,
    log,
    max_,
    min_,
    now,
    score,
    when,
)
from qdrant_rerank._internals import (
    Affinity,
    Decay,
    GeoDistance,
    Logarithm,
    Maximum,
    Product,
    Sum,
    depth,
    payload_keys,
)
from qdrant_rerank.expressions import Expression, constant, divide, parse_expression, raw
from tests.support import public_names

from . import worlds

X = field("x", default=0.0)
SCOPE: dict[str, Any] = public_names() | {"models": models}


@settings(deadline=None, max_examples=200)
@given_examples(expression=worlds.expressions)
def test_the_text_of_an_expression_evaluates_and_parses_to_it(expression: Expression) -> None:
    import datetime

    assert eval(repr(expression), SCOPE | {"datetime": datetime}) == expression
    assert parse_expression(repr(expression)) == expression


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (0.8 * score() + 0.2 * field("rating", 3.0), "0.8 * score() + 0.2 * field('rating', default=3.0)"),
        (1 - X, "1.0 - field('x', default=0.0)"),
        (-X - -X, "-field('x', default=0.0) - -field('x', default=0.0)"),
        ((X + 1) * 2 / 3, "(field('x', default=0.0) + 1.0) * 2.0 / 3.0"),
        (2 / constant(4), "constant(2.0) / 4.0"),
        (-(X * 2), "-(field('x', default=0.0) * 2.0)"),
        ((-X) ** 2, "(-field('x', default=0.0)) ** 2"),
        (X - (X + 1), "field('x', default=0.0) - (field('x', default=0.0) + 1.0)"),
        (abs(X), "abs(field('x', default=0.0))"),
    ],
)
def test_the_text_has_no_more_parentheses_than_it_needs(expression: Expression, text: str) -> None:
    assert repr(expression) == text


def test_sums_and_products_stay_flat() -> None:
    total = sum((field(f"x{number}", 0.0) for number in range(500)), constant(0.0))

    assert isinstance(total, Sum)
    assert len(total.terms) == 501
    assert depth(total) == 2
    assert isinstance(X * X * (X * X), Product)
    assert max_(max_(X, 1), 2) == Maximum((X, constant(1), constant(2)))


def test_a_condition_counts_as_1_or_0_wherever_an_expression_is_expected() -> None:
    news = models.FieldCondition(key="category", match=models.MatchValue(value="news"))
    assert 0.5 * when(news) == 0.5 * when(news, 1.0, 0.0)
    assert X + news == X + when(news)
    assert X + models.AbsExpression(abs="y") == X + raw(models.AbsExpression(abs="y"))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: field(""), "a payload key must be a non-empty string, got ''"),
        (lambda: field("$score"), r"'\$score' is not a payload key; for a candidate's score write score\(\)"),
        (lambda: field("a[].b", 0.0), r"selects several values, and a formula reads one"),
        (lambda: field("x", math.nan), r"the default of field\('x'\) must be a finite number, got nan"),
        (lambda: field("x", True), "must be a finite number, got True"),
        (lambda: constant(math.inf), "finite"),
        (lambda: constant(1e39), "fit 32-bit floats, got 1e\\+39"),
        (lambda: constant("1"), "must be a number, got '1'"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: X + "y", r"not an expression: 'y': did you mean field\('y'\) or score\('y'\)"),
        (lambda: X + None, "not an expression: None"),  # type: ignore[operator]  # wrong on purpose
        (lambda: X / X, r"may be 0, which would fail the whole query: write divide\(dividend, divisor, at_zero=…\)"),
        (lambda: X / 0, "division by zero"),
        (lambda: divide(X, X, at_zero=math.inf), "at_zero must be a finite number"),
        (lambda: X**0.5, "a whole number of at least 0, got 0.5"),
        (lambda: X**-1, "a whole number of at least 0, got -1"),
        (lambda: X**X, "an exponent must be a whole number"),  # type: ignore[operator]  # wrong on purpose
        (lambda: 1 if X else 0, r"an expression has no truth value.*use when\(condition, then, otherwise\)"),
        (lambda: when("news"), "takes a condition of qdrant_client.models"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: log(X, floor=0.0), "the floor of a logarithm must be above 0, got 0.0"),
        (lambda: Logarithm(X, 1.0, "2"), "'e' or '10', got '2'"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: Decay("cubic", X), "one of exp, gauss, lin; got 'cubic'"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: Decay("exp", X, scale=0.0), "the scale of a decay must be above 0, got 0.0"),
        (lambda: Decay("exp", X, scale=math.nan), "the scale of a decay must be a finite number"),
        (lambda: Decay("exp", X, midpoint=1.0), "between 0 and 1, got 1.0"),
        (lambda: min_(X), "a minimum needs at least two operands, got 1"),
        (lambda: Sum((X,)), "a sum needs at least two operands"),
        (lambda: GeoDistance((100, 0), "place"), r"the origin of a geo_distance must be \(latitude, longitude\)"),
        (lambda: GeoDistance((1, 2), "place", math.inf), "must be a finite number"),
        (lambda: Affinity("", "likes"), "payload key"),
        (lambda: raw(object()), "takes an expression of qdrant_client.models"),  # type: ignore[arg-type]  # wrong on purpose
    ],
)
def test_what_cannot_be_an_expression_says_why(build: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        build()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.8 *", "not an expression: invalid syntax at column"),
        ("rating", r"unknown name 'rating' at column 1: did you mean field\('rating'\)\?"),
        ("scor()", "unknown function 'scor' at column 1: did you mean 'score'"),
        ("score().real", r"'score\(\).real' at column 1 has no place in an expression"),
        ("__import__('os')", "unknown function '__import__'"),
        ("models.Union()", "unknown function|no place in an expression"),
        ("models.get_args(1)", "unknown function 'models.get_args'"),
        ("field('x', wrong=1)", "unexpected keyword argument 'wrong'"),
        ("[1, 2][0]", "has no place in an expression"),
        ("1 / 0", "division by zero"),
        ("score() if 1 else 2", "has no place in an expression"),
        ("'text'", "not an expression: 'text'"),
        ("models.QdrantClient()", "unknown function"),
    ],
)
def test_text_that_is_no_expression_is_refused_and_never_run(text: str, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        parse_expression(text)


def test_a_formula_knows_which_payload_indexes_it_wants() -> None:
    kinds = models.PayloadSchemaType
    condition = models.Filter(
        must=[models.FieldCondition(key="kind", match=models.MatchAny(any=["a", "b"]))],
        should=models.FieldCondition(key="size", match=models.MatchValue(value=3)),
        min_should=models.MinShould(
            conditions=[models.FieldCondition(key="open", match=models.MatchValue(value=True))], min_count=1
        ),
        must_not=[
            models.FieldCondition(key="body", match=models.MatchText(text="x")),
            models.FieldCondition(key="at", range=models.DatetimeRange()),
            models.FieldCondition(key="n", range=models.Range(gt=1)),
            models.FieldCondition(key="spot", geo_radius=models.GeoRadius(center=models.GeoPoint(lat=0, lon=0), radius=1)),
            models.FieldCondition(key="mixed", match=models.MatchExcept(**{"except": ["a"]})),
            models.FieldCondition(key="any", is_empty=True),
            models.IsEmptyCondition(is_empty=models.PayloadField(key="none")),
        ],
    )
    wanted = {key.key: (key.index, key.has_default) for key in payload_keys(when(condition) + raw("plain") + raw("$score"))}

    assert wanted == {
        "kind": (kinds.KEYWORD, True),
        "size": (kinds.INTEGER, True),
        "open": (kinds.BOOL, True),
        "body": (kinds.TEXT, True),
        "at": (kinds.DATETIME, True),
        "n": (kinds.FLOAT, True),
        "spot": (kinds.GEO, True),
        "mixed": (kinds.KEYWORD, True),
        "any": (None, True),
        "plain": (None, False),
    }


@pytest.mark.parametrize("decay", [decay_exp, decay_gauss, decay_lin])
def test_the_scale_of_a_decay_over_time_may_be_a_timedelta(decay: Any) -> None:
    age = now() - datetime_field("published", default=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert decay(age, scale=dt.timedelta(days=365)) == decay(age, scale=365 * 86_400.0)
    with pytest.raises(StrategyError, match="the scale of a decay must be above 0"):
        decay(age, scale=dt.timedelta(0))
