"""An evaluation of a strategy: its values, what they leave out, and what it cost."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Nearest, PlanError, PlanWarning, QdrantRerankError, Query, Rerank, SearchOptions
from qdrant_rerank.errors import FormatError
from qdrant_rerank.evaluate import BoundStrategy, Qrels, Topics, evaluate
from qdrant_rerank.ingest import Document
from tests.evaluate.worlds import DENSE, FUSED, GRADES, NOTES, QUESTIONS, client, encoders, executor, qrels, run_of, topics
from tests.support import CountingClient, fill_toy, refused
from tests.support import encoders as toy_encoders


@pytest.fixture(scope="module")
def notes() -> QdrantClient:
    return client()


def test_a_strategy_is_measured_by_the_order_of_its_points(notes: QdrantClient) -> None:
    bound = executor(notes)
    evaluation = evaluate(DENSE, topics(), qrels(), ["RR"], executor=bound)
    for topic, text in QUESTIONS.items():
        found = [(point.payload or {})["_id"] for point in bound.retrieve(DENSE, Query(text), SearchOptions(limit=6))]
        assert evaluation.run[topic].doc_ids == tuple(found)
        rank = next(rank for rank, note in enumerate(found, 1) if GRADES[topic].get(note, 0) > 0)
        assert evaluation.values["RR"][topic] == 1 / rank
    assert evaluation.name == "Nearest('dense')"


def test_batches_and_threads_find_the_same_as_one_query_after_another(notes: QdrantClient) -> None:
    alone = evaluate(FUSED, topics(), qrels(), executor=executor(notes))
    for options in ({"batch_size": 3}, {"concurrency": 3}, {"batch_size": 2, "concurrency": 2}):
        other = evaluate(FUSED, topics(), qrels(), executor=executor(notes), **options)  # type: ignore[arg-type]
        assert other.values == alone.values
        assert list(other.run) == list(alone.run)
        assert [answer.usage for answer in other.run.values()] == [answer.usage for answer in alone.run.values()]


def test_times_are_told_of_single_queries_only_and_the_reader_is_told(notes: QdrantClient) -> None:
    alone = evaluate(DENSE, topics(), qrels(), executor=executor(notes)).costs
    assert alone.p50_ms is not None
    assert alone.p95_ms is not None
    assert 0 < alone.p50_ms <= alone.p95_ms
    assert (alone.timed, alone.note) == (4, "")
    batched = evaluate(DENSE, topics(), qrels(), executor=executor(notes), batch_size=3).costs
    assert (batched.p50_ms, batched.timed) == (None, 0)
    assert "batch_size=1" in batched.note
    assert "2 queries" in evaluate(DENSE, topics(), qrels(), executor=executor(notes), concurrency=2).costs.note


def test_costs_are_what_the_client_was_asked_for() -> None:
    counting = CountingClient()
    bound = Executor(
        fill_toy(counting), "toy", encoders=toy_encoders(), reranker=lambda query, texts: [len(text) for text in texts]
    )
    asked, judged = (
        Topics({"1": "quick fox", "2": "lazy dog"}),
        Qrels({"1": dict.fromkeys(map(str, range(25)), 1), "2": {"4": 1}}),
    )
    rescored = Rerank(reads=10).over(Nearest("dense"))
    bound.plan(rescored)
    counting.calls.clear()
    costs = evaluate(rescored, asked, judged, ["nDCG@5"], executor=bound).costs
    assert len(counting.calls) == 2  # one for each topic
    assert (costs.round_trips, costs.searches, costs.embeddings) == (1, 1, 1)
    assert (costs.model_calls, costs.model_texts) == (1, 10)
    counting.calls.clear()
    grouped = evaluate(
        Nearest("dense"), asked, judged, ["nDCG@5"], executor=bound, options=SearchOptions(limit=4, group_by="category")
    )
    assert counting.calls == ["query_points_groups"] * 2
    assert grouped.costs.round_trips == 1


def test_bytes_are_those_of_the_request_and_of_the_points_of_which_no_more_is_asked_than_ids_are_read_from(
    notes: QdrantClient,
) -> None:
    def usual(point: Any) -> str:
        return str(point.payload["_id"])

    whole = evaluate(DENSE, topics(), qrels(), ["RR"], executor=executor(notes), limit=3, doc_id=usual).costs
    lean = evaluate(DENSE, topics(), qrels(), ["RR"], executor=executor(notes), options=SearchOptions(limit=3)).costs
    assert whole.bytes_received is not None
    assert lean.bytes_received is not None
    dropped = sum(len(json.dumps({"text": text, "place": "town"})) for text in NOTES.values()) / len(NOTES)
    assert whole.bytes_received - lean.bytes_received == pytest.approx(len(NOTES) * dropped, rel=0.3)  # 3, and 32 for ties
    assert whole.bytes_sent is not None
    assert whole.bytes_sent > 64 * 3  # the query vector has 64 numbers


def test_topics_without_judgments_are_left_out_counted_and_not_asked() -> None:
    asked: list[str] = []

    def search(text: str) -> list[str]:
        asked.append(text)
        return ["train", "ferry"]

    more = Topics({**QUESTIONS, "q8": "never judged", "q9": "nor this"})
    judged = Qrels({**GRADES, "q7": {"train": 1}, "q8": {}})
    evaluation = evaluate(search, more, judged, ["RR"])
    assert asked == list(QUESTIONS.values())
    assert evaluation.coverage.topics == 6
    assert evaluation.coverage.measured == ("q1", "q2", "q3", "q4")
    assert evaluation.coverage.unjudged == ("q8", "q9")
    assert evaluation.coverage.unasked == ("q7",)
    assert set(evaluation.values["RR"]) == set(QUESTIONS)
    assert "2 topics without judgments left out" in str(evaluation)
    assert "1 topic in the judgments were not among" in str(evaluation)


def test_a_judged_topic_without_results_counts_as_zero_and_is_told() -> None:
    evaluation = evaluate(run_of({"q1": ["train"], "q2": []}), topics(), qrels(), ["RR"])
    assert evaluation.values["RR"] == {"q1": 1.0, "q2": 0.0, "q3": 0.0, "q4": 0.0}
    assert evaluation.means["RR"].estimate == 0.25
    assert evaluation.coverage.without_results == ("q2", "q3", "q4")
    assert "Nothing was found for 3 topics" in str(evaluation)


def test_a_topic_without_relevant_documents_is_told() -> None:
    judged = Qrels({**GRADES, "q4": {"loop": 0}})
    evaluation = evaluate(run_of({"q1": ["train"]}), topics(), judged, ["RR"])
    assert evaluation.coverage.without_relevant == ("q4",)
    assert "1 topic without a relevant document" in str(evaluation)


def test_filters_of_topics_and_of_the_options_hold_together(notes: QdrantClient) -> None:
    def place(value: str) -> models.Filter:
        return models.Filter(must=[models.FieldCondition(key="place", match=models.MatchValue(value=value))])

    filtered = Topics([replace(topics()["q2"], filter=place("water")), topics()["q1"]])
    evaluation = evaluate(DENSE, filtered, qrels(), executor=executor(notes), batch_size=2)
    assert set(evaluation.run["q2"].doc_ids) == {"hut", "ferry", "loop"}
    assert len(evaluation.run["q1"].doc_ids) == 6
    town = evaluate(DENSE, filtered, qrels(), executor=executor(notes), options=SearchOptions(limit=6, filter=place("town")))
    assert town.run["q2"].doc_ids == ()
    assert set(town.run["q1"].doc_ids) == {"train", "shop", "sleep"}


def test_as_many_results_are_asked_for_as_the_measures_look_at_and_the_strategy_can_return(notes: QdrantClient) -> None:
    short = Nearest("words").over(Nearest("dense", limit=2))
    evaluation = evaluate(short, topics(), qrels(), ["R@100"], executor=executor(notes))
    assert (evaluation.coverage.depth, evaluation.coverage.deepest) == (2, 100)
    assert "The longest ranking has 2 results, and the measures look at 100." in str(evaluation)
    with refused(PlanError, "hand on 2"):
        evaluate(short, topics(), qrels(), ["R@100"], executor=executor(notes), limit=3)


def test_rankings_that_are_long_enough_are_not_remarked_on() -> None:
    evaluation = evaluate(run_of({topic: [*NOTES, "x", "y", "z", "train2"] for topic in QUESTIONS}), topics(), qrels(), ["P@1"])
    assert evaluation.notes == ("Queries were not timed.",)


def test_results_are_plain_data_and_frames(notes: QdrantClient) -> None:
    evaluation = evaluate(DENSE, topics(), qrels(), ["RR", "nDCG@10"], executor=executor(notes), name="dense")
    plain = json.loads(evaluation.to_json())
    assert plain["values"]["RR"] == evaluation.values["RR"]
    assert plain["run"]["answers"]["q1"]["ranking"][0][0] == "train"
    assert "why" not in plain
    pandas = pytest.importorskip("pandas")
    frame = evaluation.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["topic"]) == list(QUESTIONS)
    assert frame["RR"].mean() == pytest.approx(evaluation.means["RR"].estimate)


def test_frames_without_pandas_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with refused(ImportError, "pip install pandas"):
        evaluate(run_of({"q1": ["train"]}), topics(), qrels()).to_frame()


def test_progress_is_told_up_to_the_last_topic(notes: QdrantClient) -> None:
    told: list[tuple[int, int]] = []
    evaluate(DENSE, topics(), qrels(), executor=executor(notes), batch_size=3, progress=lambda *args: told.append(args))
    assert told == [(3, 4), (4, 4)]


def test_synthetic_topics_are_warned_of_and_every_result_says_so(notes: QdrantClient) -> None:
    documents = [{"_id": id, "text": f"{text}. More of it."} for id, text in NOTES.items()]
    with pytest.warns(PlanWarning, match="no evidence about real users"):
        made = Topics.synthetic_from(documents, count=3, max_words=4)
    assert made.ids == ("train", "hut", "loop")
    assert made["hut"].text == "The refuge above the"
    evaluation = evaluate(DENSE, made, Qrels.synthetic_for(made), ["RR"], executor=executor(notes))
    assert evaluation.synthetic
    assert "synthetic queries" in str(evaluation)
    assert json.loads(evaluation.to_json())["synthetic"] is True
    with refused(QdrantRerankError, "real queries"):
        Qrels.synthetic_for(topics())


def test_synthetic_queries_are_titles_or_first_sentences_or_what_a_function_makes() -> None:
    documents = [{"_id": 1, "title": "A title", "text": "x"}, Document("b", "One. Two.", {"title": " "})]
    with pytest.warns(PlanWarning):
        assert [topic.text for topic in Topics.synthetic_from(documents)] == ["A title", "One."]
    with pytest.warns(PlanWarning):
        assert [topic.text for topic in Topics.synthetic_from(documents, text_of=lambda one: "same")] == ["same"] * 2
    with pytest.warns(PlanWarning), refused(FormatError, "without an id"):
        Topics.synthetic_from([{"text": "x"}])
    with pytest.warns(PlanWarning), refused(FormatError, "'1' has no title and no text"):
        Topics.synthetic_from([{"_id": 1, "text": " "}])


def test_a_pair_of_strategy_and_executor_needs_no_further_executor(notes: QdrantClient) -> None:
    pair = evaluate((DENSE, executor(notes)), topics(), qrels())
    bound = evaluate(BoundStrategy(DENSE, Executor(notes, "notes", encoders=encoders()), "mine"), topics(), qrels())
    assert pair.values == bound.values
    assert bound.name == "mine"
