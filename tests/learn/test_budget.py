"""What a formula costs is known before it is sent."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import Nearest, affinity, clip, field, now, param, score, sigmoid, when
from qdrant_rerank._internals import Lowering, ScoreSource, extent, lower, placeholder_params
from qdrant_rerank.expressions import Expression, query_tokens
from qdrant_rerank.learn import formula_cost, from_model
from qdrant_rerank.planning import Capabilities
from qdrant_rerank.stages import Formula

from .threads import one_thread

lightgbm = pytest.importorskip("lightgbm", reason="needs lightgbm")

SERVER = Capabilities((1, 20, 0))
NEWS = models.FieldCondition(key="category", match=models.MatchValue(value="news"))
COUNTRY = models.FieldCondition(key="country", match=models.MatchValue(value="be"))


def test_conditions_are_counted_as_often_as_they_are_sent() -> None:
    assert formula_cost(when(NEWS)).conditions == 1
    assert formula_cost(when(NEWS, 2.0, 3.0)).conditions == 2  # the condition and its opposite
    assert formula_cost(when(models.Filter(must=[NEWS, COUNTRY]))).conditions == 2
    shared = when(NEWS, 2.0)
    assert formula_cost(shared + shared * score()).conditions == 2
    assert formula_cost(score() * 0.5).conditions == 0


def test_bytes_are_those_of_the_formula_that_is_sent() -> None:
    expression = when(models.FieldCondition(key="lieu", match=models.MatchValue(value="Liège"))) + 0.5 * score()
    query = {
        "formula": {
            "sum": [{"key": "lieu", "match": {"value": "Liège"}}, {"mult": [0.5, "$score"]}],
        }
    }
    assert formula_cost(expression).bytes == len(json.dumps(query, separators=(",", ":"), ensure_ascii=False).encode())


def test_older_servers_take_longer_formulas() -> None:
    expression = clip(field("price", default=0.0), 0.0, 1.0)
    assert formula_cost(expression, Capabilities.of("1.17.0")).nodes > formula_cost(expression).nodes


@pytest.mark.parametrize(
    "expression",
    [
        param("budget") * affinity("category", param="likes"),
        score("dense") + score("bm25"),
        sigmoid(now() * 1e-9),
        score("colbert") * query_tokens("colbert"),
    ],
)
def test_request_time_values_need_not_be_there(expression: object) -> None:
    size = formula_cost(expression)  # type: ignore[arg-type]
    assert size.nodes > 0
    assert size.levels > 0


def test_milliseconds_grow_with_nodes_and_with_payload_values_read() -> None:
    few, many = (formula_cost(sum((field(f"k{n}", default=1.0) for n in range(count)), start=score())) for count in (2, 20))
    scores = formula_cost(sum((0.5 * score() for _ in range(20)), start=score()))
    assert 0.2 < scores.milliseconds < few.milliseconds * 10
    assert few.milliseconds + 0.15 < many.milliseconds < 1.0


def test_a_hundred_trees_that_split_on_scores_fit_into_100_kb_on_servers_without_max_and_min() -> None:
    generator = np.random.default_rng(1)
    columns = np.column_stack([generator.uniform(-1, 1, 4000), generator.normal(size=(4000, 4))])
    liked = columns[:, 0] + columns[:, 1] + generator.normal(size=4000) > 0
    with one_thread():
        model = lightgbm.LGBMClassifier(n_estimators=100, num_leaves=8, verbose=-1, n_jobs=1, random_state=0).fit(
            columns, liked
        )

    expression = from_model(model, [score(), *(field(f"n{number}", default=0.0) for number in range(4))])

    assert formula_cost(expression, Capabilities.of("1.18.3")).bytes < 100_000


def test_a_budget_is_that_of_what_a_formula_stage_sends() -> None:
    expression = 0.7 * score() + when(NEWS, 0.1)
    stage = Formula(expression).over(Nearest("dense", limit=10))
    assert isinstance(stage, Formula)
    assert formula_cost(stage.expression) == formula_cost(expression)


@pytest.mark.parametrize(
    "expression",
    [
        when(NEWS) + 0.5 * score("dense") + field("straße", default=1.5),
        sigmoid(when(models.Filter(must=[NEWS, COUNTRY], must_not=[NEWS])) * affinity("category", param="likes")),
        when(models.FieldCondition(key="x", range=models.Range(gte=0.25, lt=3))) * score("bm25") ** 2,
    ],
)
def test_bytes_are_measured_without_writing_them(expression: Expression) -> None:
    formula = lower(expression, Lowering([ScoreSource("dense"), ScoreSource("bm25")], SERVER, placeholder_params(expression)))
    sent = models.FormulaQuery.model_construct(formula=formula).model_dump_json(
        exclude_unset=True, exclude_none=True, by_alias=True
    )
    assert extent(formula).bytes == len(sent.encode()) - len('{"formula":}')
