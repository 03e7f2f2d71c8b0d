"""Explanations of results: the terms add up to the score, whatever filters, limits and payload there are."""

from __future__ import annotations

from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Executor,
    Formula,
    Fusion,
    Nearest,
    Scope,
    Stage,
    field,
    score,
)
from tests.support import question


def test_legs_that_score_alike_add_what_the_engine_adds(executor: Executor) -> None:
    strategy = Fusion.dbsf().over(Nearest("dense", limit=1), Nearest("bm25", limit=24), Nearest("colbert", limit=24))
    for reason in executor.explain(strategy, question("river stone"), Scope(1)).reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-4)


EVERY_FOURTH = models.Filter(must=[models.HasIdCondition(has_id=[4, 8, 12, 16, 20, 24])])


@pytest.mark.parametrize(
    "strategy",
    [
        Fusion.rrf(filter=EVERY_FOURTH).over(Nearest("dense"), Nearest("colbert")),
        Fusion.dbsf().over(Nearest("dense", filter=EVERY_FOURTH).over(Nearest("colbert", limit=10)), Nearest("bm25")),
        Formula(score("dense") + score("rrf"), filter=EVERY_FOURTH).over(
            Nearest("dense", limit=50), Fusion.rrf(limit=10).over(Nearest("dense", limit=10), Nearest("colbert", limit=10))
        ),
    ],
)
def test_an_explanation_adds_up_where_stages_have_filters(executor: Executor, strategy: Stage) -> None:
    reasons = executor.explain(strategy, question(), Scope(4)).reasons
    assert reasons
    for reason in reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-4)


@pytest.mark.parametrize("payload", [False, ["text"], True])
def test_an_explanation_adds_up_whatever_payload_the_call_asks_for(executor: Executor, payload: Any) -> None:
    strategy = Formula(score() + field("popularity", default=0)).over(Nearest("dense"))
    for reason in executor.explain(strategy, question(), Scope(3, with_payload=payload)).reasons:
        assert reason.total == pytest.approx(reason.score, abs=1e-4)
