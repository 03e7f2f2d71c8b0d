"""What the demo measures: nDCG as others compute it, and counts of what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.models import PointStruct

from qdrant_rerank import Fusion, Nearest
from qdrant_rerank.demo import DEPTH, CountingExecutor, Entry, Question, ask, measure_ndcg
from tests.engines import open_client
from tests.support import dense, encoders, toy_config

DOCUMENTS = [f"d{number}" for number in range(15)]


@given(
    ranking=st.lists(st.sampled_from(DOCUMENTS), unique=True, min_size=1),
    judgments=st.dictionaries(st.sampled_from(DOCUMENTS), st.integers(0, 3), min_size=1).filter(
        lambda grades: any(grades.values())
    ),
)
def test_ndcg_is_what_ir_measures_computes(ranking: list[str], judgments: Mapping[str, int]) -> None:
    qrels = [ir_measures.Qrel("q", document, grade) for document, grade in judgments.items()]
    run = [ir_measures.ScoredDoc("q", document, -float(rank)) for rank, document in enumerate(ranking)]
    theirs = ir_measures.calc_aggregate([ir_measures.nDCG @ DEPTH], qrels, run)[ir_measures.nDCG @ DEPTH]
    assert measure_ndcg(ranking, judgments) == pytest.approx(theirs)


def test_the_ideal_order_has_1_and_nothing_relevant_0() -> None:
    judgments = {"a": 2, "b": 1}
    assert measure_ndcg(["a", "b", "c"], judgments) == 1.0
    assert measure_ndcg(["c"], judgments) == 0.0
    assert 0 < measure_ndcg(["b", "a"], judgments) < 1


def test_an_outcome_counts_what_was_asked_for_once() -> None:
    client = open_client()
    client.create_collection("guide", **toy_config())
    client.upsert("guide", [PointStruct(id=1, vector={"dense": dense("fox")}, payload={"_id": "fox", "title": "Fox"})])
    executor = CountingExecutor(client, "guide", encoders=encoders())
    both = Entry("both", "", "", Fusion.rrf().over(Nearest("dense"), Nearest("bm25")))
    outcome = ask(executor, both, Question("fox", {"fox": 2}), runs=3)
    assert outcome.documents == ["fox"]
    assert (outcome.requests, outcome.embeddings, outcome.reads, outcome.ndcg) == (1, 2, 0, 1.0)
    assert outcome.milliseconds > 0
    assert ask(executor, both, Question("fox"), runs=1).ndcg is None


def alike(query: str, texts: Sequence[str]) -> list[float]:
    """Scores every text alike."""
    return [1.0] * len(texts)


def test_texts_that_a_model_reads_are_counted() -> None:
    executor = CountingExecutor(open_client(), "guide", reranker=alike)
    executor.reset()
    executor.score("fox", ["a", "b", "c"])
    assert executor.reads == 3
