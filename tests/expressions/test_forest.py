"""Sums of trees are walked, and come to what their arithmetic does."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Sequence
from typing import Any
from weakref import ref

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import affinity, field, score
from qdrant_rerank._internals import Constant, Index, Product, Sum, Table, View, compute, find_forest
from qdrant_rerank.expressions import Expression, at_most_zero, constant, when
from qdrant_rerank.planning import Capabilities

RANDOM = np.random.default_rng(7)
LIKED = affinity("genre", param="likes", default=0.25)


def question() -> Any:
    match RANDOM.integers(8):
        case 7:
            return models.FieldCondition(key="x", range=models.Range(gt=float(RANDOM.normal()), lt=1.5))
        case 6:
            return models.FieldCondition(key="genre", match=models.MatchAny(any=["b", "c"]))
        case 5:
            return models.FieldCondition(key="x", range=models.Range(gte=float(RANDOM.integers(-2, 2))))
        case 4:
            return at_most_zero(score() * 2.0)
        case 0:
            return models.FieldCondition(key="x", range=models.Range(lte=float(RANDOM.normal())))
        case 1:
            return models.Filter(must_not=[models.FieldCondition(key="genre", match=models.MatchValue(value="a"))])
        case 2:
            return at_most_zero(score() - float(RANDOM.normal()))
        case _:
            return at_most_zero(LIKED - float(RANDOM.normal()))


def grow(levels: int) -> Expression:
    """A tree as importing makes it: `leaf + gate * (other side - leaf)`, or both sides."""
    leaf = Constant(float(np.float32(RANDOM.normal())))
    if levels == 0:
        return leaf
    asked, inside, outside = question(), grow(levels - 1), grow(levels - 1)
    if not isinstance(asked, Expression):
        return Sum((leaf, when(asked, inside))) if RANDOM.random() < 0.5 else when(asked, inside, outside)
    shut = Sum((Constant(1.0), -asked))
    match RANDOM.integers(3):
        case 0:
            return Sum((leaf, Product((asked, inside))))
        case 1:
            return Sum((leaf, Product((shut, inside))))
        case _:
            return Sum((Product((asked, inside)), Product((shut, outside))))


ODD = [{}, {"x": 3, "genre": ["a", "a", "c"]}, {"x": [-1.0, 2, 2.0, "y"]}, {"x": None, "genre": "b"}, {"x": []}]
FLOATS: Any = Capabilities.of("1.18.3"), {}
WHOLE: Any = Capabilities.of("1.18.3"), {"x": Index(models.PayloadSchemaType.INTEGER)}
LOCAL: Any = Capabilities((1, 20, 0), "local"), {}


def table(points: int = 60, odd: Sequence[Any] = ODD, seen_by: Any = FLOATS) -> Table:
    payloads = [{"x": float(RANDOM.normal()), "genre": str(RANDOM.choice(["a", "b", "c"]))} for _ in range(points)]
    payloads[: len(odd)] = odd
    scores: Any = {None: RANDOM.normal(size=points)}
    return Table(payloads, range(points), scores, {"likes": {"a": 1.0, "b": -0.5}}, view=View(*seen_by))


@pytest.mark.parametrize("seen_by", [FLOATS, WHOLE, LOCAL])
@pytest.mark.parametrize("odd", [[], ODD, [{"x": 2**60 + 1}]])
@pytest.mark.parametrize("more", [[], [score() * 2.0, field("x", default=0.0)]])
def test_walking_comes_to_what_arithmetic_does(more: list[Expression], odd: Sequence[Any], seen_by: Any) -> None:
    terms = (constant(0.75), *(grow(4) for _ in range(30)), *more)
    whole, rows = Sum(terms), table(60, odd, seen_by)
    forest = find_forest(whole)
    assert forest is not None
    assert forest.rest == more
    one_by_one = sum(compute(term, rows) for term in terms)
    np.testing.assert_allclose(compute(whole, rows), one_by_one, rtol=1e-12, atol=1e-12)


def test_trees_are_read_once_and_a_few_are_computed_as_they_are() -> None:
    whole = Sum(tuple(grow(4) for _ in range(30)))
    assert find_forest(whole) is find_forest(whole)
    few = Sum((score(), constant(1.0), grow(1), grow(1)))
    assert find_forest(few) is None
    rows = table()
    np.testing.assert_allclose(compute(few, rows), sum(compute(term, rows) for term in few.terms))


def test_what_was_read_is_no_part_of_the_sum_and_goes_with_it() -> None:
    whole = Sum(tuple(grow(4) for _ in range(30)))
    forest = ref(find_forest(whole))
    again = pickle.loads(pickle.dumps(whole))
    assert again == whole
    assert find_forest(again) is not forest()
    del whole
    gc.collect()
    assert forest() is None


def test_a_term_that_only_begins_as_a_tree_is_computed_as_it_is() -> None:
    odd = when(models.FieldCondition(key="x", range=models.Range(lte=0.0)), grow(2), score())
    whole = Sum((*(grow(4) for _ in range(30)), odd))
    forest = find_forest(whole)
    assert forest is not None
    assert forest.rest == [odd]
    rows = table()
    np.testing.assert_allclose(compute(whole, rows), sum(compute(term, rows) for term in whole.terms), rtol=1e-12, atol=1e-12)
