"""In a notebook plans, results, comparisons and schemas are tables, in which text from outside is no HTML."""

from __future__ import annotations

import math
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, field, score
from qdrant_rerank._internals import Bar, CandidateHit, Explained, ResultReason, Term, as_table
from qdrant_rerank.evaluate import Qrels, Topics, compare, evaluate
from qdrant_rerank.planning import payload_schema
from tests.engines import open_client


@pytest.fixture
def executor() -> Executor:
    client = open_client()
    client.create_collection("docs", models.VectorParams(size=2, distance=models.Distance.COSINE))
    points = [
        models.PointStruct(id=number, vector=[1.0, number / 10], payload={"<b>": "<i>", "rating": float(number)})
        for number in range(24)
    ]
    client.upsert("docs", points, wait=True)
    return Executor(client, "docs", encoders={"": lambda text: [1.0, 0.0]})


def test_a_plan_is_a_table_and_its_request(executor: Executor) -> None:
    html = executor.plan(Nearest(filter=models.Filter(must=[models.HasIdCondition(has_id=[1])]))).describe()._repr_html_()
    assert "<td>one query</td><td>1 round trip; embeds &#x27;&#x27;</td>" in html
    assert html.endswith("}</pre>")


def test_results_show_each_term_with_a_bar(executor: Executor) -> None:
    strategy = Formula(score() - 0.1 * field("rating", default=0.0)).over(Nearest(limit=5))
    html = executor.explain(strategy, Query("any"), SearchOptions(limit=2))._repr_html_()
    assert html.count("<tr>") == 3
    assert "linear-gradient" in html
    assert "#7fb3d5" in html
    assert "#e6a1a1" in html
    assert " #1</td>" in html


def test_results_without_terms_or_with_some_that_are_lacking_are_shown() -> None:
    hits = (CandidateHit("dense", None, None),)
    reasons = (
        ResultReason(1, 1, 0.5, hits, (Term("a", 0.0), Term("b", 0.0)), 0.5),
        ResultReason(2, 2, 0.4, hits, (Term("a", 0.0),), 0.4),
    )
    html = Explained([], reasons)._repr_html_()
    assert "<td>–</td>" in html
    assert "transparent 0%" in html
    named = Explained([models.ScoredPoint(id=1, version=0, score=0.5, payload={"_id": "one"})], reasons)._repr_html_()
    assert "<td>one</td>" in named
    assert "<td>2</td><td>2</td>" in named
    assert "<tbody></tbody>" in Explained([], ())._repr_html_()


def test_an_evaluation_and_a_comparison_are_tables(executor: Executor) -> None:
    topics, qrels = Topics({"1": "one", "2": "two"}), Qrels({"1": {"1": 1}, "2": {"0": 1}})
    measured: list[Any] = [
        evaluate(strategy, topics, qrels, ["RR"], executor=executor, name=name)
        for name, strategy in {"<plain>": Nearest(), "rated": Formula(field("rating", default=0.0)).over(Nearest())}.items()
    ]
    assert "<caption>&lt;plain&gt;: 2 topics</caption>" in measured[0]._repr_html_()
    html = compare(measured, baseline="<plain>", measure="RR")._repr_html_()
    assert "<td>rated</td>" in html
    assert "too few topics" in html


def test_a_schema_is_a_table_in_which_keys_and_values_are_no_html(executor: Executor) -> None:
    html = payload_schema(executor.clients.sync(), "docs")._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<i>" not in html
    few = models.Filter(must=[models.HasIdCondition(has_id=[1])])
    assert payload_schema(executor.clients.sync(), "docs", filter=few)._repr_html_().startswith("<pre>&#x27;docs&#x27;: fewer")


def test_cells_are_numbers_dashes_and_text() -> None:
    assert f'<th title="{"x" * 50}">{"x" * 40}…</th>' in as_table("c", ("x" * 50,), [])
    html = as_table("c", ("x",), [(0.5,), (None,), (Bar(math.nan, 1.0),), (Bar(1.0, 2.0),), (3,)])
    assert "<td>0.5000</td>" in html
    assert html.count("<td>–</td>") == 2
    assert "#7fb3d5 50%" in html
    assert "<td>3</td>" in html
