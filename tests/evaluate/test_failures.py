"""What fails is told: topics that end with an error, set-ups that can't work, and what isn't installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest
from qdrant_client import QdrantClient

from qdrant_rerank import (
    Executor,
    Formula,
    Nearest,
    PlanError,
    PlanWarning,
    QdrantRerankError,
    Rerank,
    SearchOptions,
    StrategyError,
    field,
    param,
)
from qdrant_rerank import score as search_score
from qdrant_rerank.errors import ClientError, MissingExtra
from qdrant_rerank.evaluate import Topic, Topics, evaluate
from qdrant_rerank.models import Encoders, HashedNgrams
from tests.evaluate.worlds import DENSE, QUESTIONS, client, encoders, executor, qrels, run_of, topics
from tests.support import refused


@pytest.fixture(scope="module")
def notes() -> QdrantClient:
    return client()


def _budgeted() -> Topics:
    features = {"q1": {"boost": 1.0}, "q2": {}, "q3": {"boost": 1.0}, "q4": {"boost": 0.0}}
    return Topics(Topic(id, text, features[id]) for id, text in QUESTIONS.items())


BOOSTED = Formula(search_score() + param("boost")).over(Nearest("dense", limit=6))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_topic_that_fails_counts_as_zero_and_is_told(notes: QdrantClient, batch_size: int) -> None:
    evaluation = evaluate(
        BOOSTED, _budgeted(), qrels(), ["RR"], executor=executor(notes), batch_size=batch_size, on_error="count"
    )
    assert list(evaluation.coverage.failed) == ["q2"]
    assert "boost" in evaluation.coverage.failed["q2"]
    assert evaluation.values["RR"]["q2"] == 0.0
    assert min(evaluation.values["RR"][topic] for topic in ("q1", "q3", "q4")) > 0  # nobody else is drawn into it
    assert evaluation.coverage.without_results == ()
    assert "1 topic failed and count as 0, e.g. 'q2'" in str(evaluation)
    assert evaluation.means["RR"].estimate == pytest.approx(sum(evaluation.values["RR"].values()) / 4)


def test_an_error_that_ends_a_shared_step_is_that_of_one_topic_alone(notes: QdrantClient) -> None:
    class Fussy(HashedNgrams):
        def encode_query(self, text: str) -> list[float]:
            if "ferry" in text:
                raise LookupError("no model")
            return list(super().encode_query(text))

    fussy = Executor(notes, "notes", encoders=Encoders.of({"dense": Fussy(size=64)}))
    evaluation = evaluate(DENSE, topics(), qrels(), ["RR"], executor=fussy, batch_size=4, on_error="count")
    assert evaluation.coverage.failed == {"q3": "LookupError: no model"}
    assert evaluation.values["RR"]["q1"] > 0
    used, alone = (made.run["q1"].usage for made in (evaluation, evaluate(DENSE, topics(), qrels(), executor=executor(notes))))
    assert used is not None
    assert alone is not None
    assert alone.bytes_received == pytest.approx(used.bytes_received, abs=100)  # scores differ in how many digits they have
    assert replace(used, bytes_received=alone.bytes_received) == alone


@pytest.mark.parametrize("options", [{}, {"batch_size": 4}, {"concurrency": 2}])
def test_a_failure_is_raised_where_that_is_wanted(notes: QdrantClient, options: dict[str, int]) -> None:
    with refused(QdrantRerankError, "boost") as caught:
        evaluate(BOOSTED, _budgeted(), qrels(), executor=executor(notes), on_error="raise", **options)  # type: ignore[arg-type]
    assert "q2" in caught.value.__notes__[0]


def test_a_missing_model_is_no_failure_of_topics(notes: QdrantClient) -> None:
    with refused(ClientError, "pass reranker="):
        evaluate(Rerank().over(Nearest("dense")), topics(), qrels(), executor=executor(notes))


def test_a_strategy_that_gets_over_an_error_itself_has_not_failed(notes: QdrantClient) -> None:
    def broken(query: str, texts: Sequence[str]) -> list[float]:
        raise ConnectionError("no model")

    bound = Executor(notes, "notes", encoders=encoders(), reranker=broken)
    kept = Rerank(reads=6, on_error="keep_order").over(Nearest("dense"))
    with pytest.warns(PlanWarning, match="the model failed"):
        evaluation = evaluate(kept, topics(), qrels(), ["RR"], executor=bound)
    assert evaluation.coverage.failed == {}
    assert evaluation.coverage.unread == tuple(QUESTIONS)
    assert "4 topics with results that the model did not score" in str(evaluation)
    assert evaluation.values == evaluate(DENSE, topics(), qrels(), ["RR"], executor=bound).values
    assert evaluation.costs.model_texts == 6  # they were asked for all the same


def test_what_a_model_was_not_to_read_is_no_failure_either(notes: QdrantClient) -> None:
    bound = Executor(notes, "notes", encoders=encoders(), reranker=lambda query, texts: [float(len(text)) for text in texts])
    evaluation = evaluate(Rerank(reads=1, unread="last").over(Nearest("dense")), topics(), qrels(), ["RR"], executor=bound)
    assert evaluation.coverage.unread == ()
    assert evaluation.costs.model_texts == 1


def test_it_is_an_error_when_every_topic_fails(notes: QdrantClient) -> None:
    with refused(QdrantRerankError, "4 of 4 failed", "boost"):
        evaluate(BOOSTED, topics(), qrels(), executor=executor(notes), on_error="count")


def test_the_reason_why_every_topic_fails_is_found_out(notes: QdrantClient) -> None:
    rated = Formula(search_score() + field("rating")).over(Nearest("dense", limit=6))
    with refused(QdrantRerankError, "4 of 4 failed", "PlanError", "reads 'rating' without a default"):
        evaluate(rated, topics(), qrels(), executor=executor(notes), on_error="count")


@pytest.mark.parametrize("library", ["ir_measures", "scipy"])
def test_without_the_extra_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with refused(MissingExtra, "pip install 'qdrant-rerank[learn]'"):
        evaluate(run_of({"q1": ["train"], "q2": []}), topics(), qrels())


def test_what_cannot_be_evaluated_is_refused_with_what_can(notes: QdrantClient) -> None:
    bound = executor(notes)
    with refused(StrategyError, "needs an executor"):
        evaluate(DENSE, topics(), qrels())
    with refused(StrategyError, "an executor alone"):
        evaluate(bound, topics(), qrels())
    with refused(StrategyError, "can't evaluate a int"):
        evaluate(5, topics(), qrels())
    with refused(StrategyError, "executor= is for strategies"):
        evaluate(lambda text: [], topics(), qrels(), executor=bound)
    with refused(StrategyError, "none of the 1 topics has judgments", "'x'", "'q1', 'q2', 'q3', …"):
        evaluate(DENSE, Topics({"x": "y"}), qrels(), executor=bound)
    with refused(StrategyError, "takes Topics and Qrels", "dict"):
        evaluate(DENSE, QUESTIONS, qrels(), executor=bound)  # type: ignore[arg-type]
    with refused(StrategyError, "batch_size must be a whole number", "0"):
        evaluate(DENSE, topics(), qrels(), executor=bound, batch_size=0)
    with refused(StrategyError, "on_error is 'stop', 'count' or 'raise'", "'skip'"):
        evaluate(DENSE, topics(), qrels(), executor=bound, on_error="skip")  # type: ignore[arg-type]
    with refused(StrategyError, "exclude each other"):
        evaluate(DENSE, topics(), qrels(), executor=bound, limit=3, options=SearchOptions())
    with refused(StrategyError, "options= is for strategies"):
        evaluate(lambda text: [], topics(), qrels(), options=SearchOptions())
    with refused(StrategyError, "limit must be a whole number", "-1"):
        evaluate(DENSE, topics(), qrels(), executor=bound, limit=-1)
    with refused(PlanError, "'dens'", "did you mean 'dense'?"):
        evaluate(Nearest("dens"), topics(), qrels(), executor=bound)


def test_an_empty_run_is_refused() -> None:
    with refused(StrategyError, "the run is empty", "4 topics"):
        evaluate(run_of({}), topics(), qrels())
    with refused(StrategyError, "the run is empty"):
        evaluate(lambda text: [], topics(), qrels())
