"""What only the numpy reading has to say."""

from __future__ import annotations

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import PlanError, QueryError, StrategyError, field, now, score, when
from qdrant_rerank._internals import Table, compute, score_points
from qdrant_rerank.expressions import Expression, constant, divide, raw

TABLE = Table(payloads=[{"x": 1.5}, {"x": None}], ids=[7, "a"], scores={"dense": np.array([0.5, np.nan])})


def test_scores_are_32_bit_floats() -> None:
    assert score_points(field("x", 0.1), TABLE).tolist() == [1.5, float(np.float32(0.1))]
    assert len(TABLE) == 2


def test_a_value_that_the_engine_would_refuse_is_an_error_that_names_the_point() -> None:
    with pytest.raises(PlanError, match="reads 'x' without a default, but point 'a' has no such value"):
        compute(field("x"), TABLE)


def test_a_candidate_that_did_not_find_a_point_scores_its_default() -> None:
    assert compute(score("dense", default=-2.0), TABLE).tolist() == [0.5, -2.0]
    with pytest.raises(StrategyError, match="no score of a candidate 'sparse'"):
        compute(score("sparse"), TABLE)


def test_a_product_is_0_from_its_first_0_whatever_follows() -> None:
    infinite = divide(1.0, field("x", 0.0), at_zero=0.0) * 1e38 * 1e38 * 1e38 * 1e38 * 1e38 * 1e38 * 1e38 * 1e38 * 1e38
    with np.errstate(over="ignore"):
        assert compute(constant(0.0) * infinite, TABLE).tolist() == [0.0, 0.0]


def test_has_vector_conditions_need_to_know_the_vectors() -> None:
    has = when(models.HasVectorCondition(has_vector="dense"))
    known = Table(payloads=[{}, {}], ids=[1, 2], vectors=[["dense"], []])
    assert compute(has, known).tolist() == [1.0, 0.0]
    with pytest.raises(StrategyError, match="can be decided by Qdrant only: which vectors a point has isn't read here"):
        compute(has, TABLE)


def test_now_must_be_said_and_raw_expressions_belong_to_the_engine() -> None:
    with pytest.raises(QueryError, match="say which time it is with now="):
        compute(now(), TABLE)
    with pytest.raises(StrategyError, match="can be computed by an engine only"):
        compute(raw(models.AbsExpression(abs="x")), TABLE)


class Foreign(Expression):
    """A node that no reading knows."""


def test_a_node_that_is_not_known_is_a_type_error_in_every_reading() -> None:
    from qdrant_rerank._internals import Lowering, lower
    from qdrant_rerank.planning import Capabilities

    with pytest.raises(TypeError, match="no evaluation for Foreign"):
        compute(Foreign(), TABLE)
    with pytest.raises(TypeError, match="no lowering for Foreign"):
        lower(Foreign(), Lowering([], Capabilities((1, 20, 0))))
    with pytest.raises(TypeError, match="no text for Foreign"):
        repr(Foreign())
