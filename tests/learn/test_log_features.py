"""Logged features: what serving would see, with labels."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import models

from qdrant_rerank import (
    Executor,
    Formula,
    Nearest,
    PlanError,
    PlanWarning,
    SearchOptions,
    StrategyError,
    field,
    param,
    score,
    when,
)
from qdrant_rerank.errors import FitError, FormatError
from qdrant_rerank.evaluate import Qrels, Topic, Topics
from qdrant_rerank.expressions import raw
from qdrant_rerank.learn import Category, Feature, FeatureLike, FeatureLog, Negatives, fit_logistic, log_features
from tests.engines import open_client
from tests.learn.logs import CANDIDATES, FEATURES, asked, judgments, local, over_logged, world
from tests.support import refused


def logged(**options: Any) -> FeatureLog:
    executor, topics, qrels = local()
    return log_features(executor, CANDIDATES, topics, qrels, FEATURES, **options)


def alike(one: FeatureLog, two: FeatureLog) -> bool:
    """The same rows; scores are the engine's, which differ by 1e-7 from call to call."""
    same = (
        len(one) == len(two) and one.topics.tolist() == two.topics.tolist() and one.documents.tolist() == two.documents.tolist()
    )
    return same and np.allclose(one.values, two.values, atol=1e-6) and np.allclose(one.weights, two.weights)


def test_candidates_and_every_feature_are_those_that_a_formula_in_the_engine_sees() -> None:
    executor, topics, _ = local()
    log = logged()
    for name in FEATURES:
        strategy = over_logged(Formula(FEATURES[name]).over(*CANDIDATES), executor)  # type: ignore[arg-type]  # these are expressions
        for topic in topics.items[:8]:
            served = {
                str(p.payload["_id"]): p.score
                for p in executor.retrieve(strategy, topic.query, SearchOptions(limit=60))
                if p.payload
            }
            rows = log.topics == topic.id
            found = dict(zip(log.documents[rows].tolist(), log.column(name)[rows].tolist(), strict=True))
            assert found.keys() == served.keys()
            np.testing.assert_allclose([found[key] for key in served], list(served.values()), atol=1e-6)


def test_labels_are_joined_and_unjudged_candidates_count_as_negatives_or_are_left_out() -> None:
    _, _, qrels = local()
    log, strict = logged(), logged(unjudged="drop")
    for row in log.as_rows():
        assert row["grade"] == qrels[row["topic"]].get(row["document"], 0)
        assert row["judged"] == (row["document"] in qrels[row["topic"]])
    assert not log.judged.all()
    assert strict.judged.all()
    assert len(strict) == log.judged.sum()
    assert len(set(strict.topics.tolist())) == 30


def test_sampled_negatives_stand_for_all_that_they_were_drawn_from() -> None:
    whole, sample = logged(), logged(negatives=Negatives(hard=3, random=6, strata=2))
    assert len(sample) < len(whole)
    for topic in whole.topic_ids:
        assert sample.weights[sample.topics == topic].sum() == pytest.approx((whole.topics == topic).sum())
        assert (sample.weights[(sample.topics == topic) & sample.judged] == 1).all()
        unjudged = (sample.topics == topic) & ~sample.judged
        assert unjudged.sum() == min(9, ((whole.topics == topic) & ~whole.judged).sum())
    assert (
        logged(negatives=Negatives(hard=3, random=6), seed=1).fingerprint
        != logged(negatives=Negatives(3, 6), seed=2).fingerprint
    )
    one, whole = logged(negatives=Negatives(hard=3, random=6), batch_size=1), logged(negatives=Negatives(3, 6))
    assert list(zip(one.topics, one.documents, one.weights, strict=True)) == list(
        zip(whole.topics, whole.documents, whole.weights, strict=True)
    )
    assert one.values == pytest.approx(whole.values, rel=1e-5, abs=1e-6, nan_ok=True)


def test_relevant_documents_that_no_candidate_found_are_counted() -> None:
    _, _, qrels = local()
    log = logged()
    missed = log.coverage.missed
    assert sum(map(len, missed.values())) > 5
    for topic, documents in missed.items():
        for document in documents:
            assert qrels[topic][document] == 1
            assert not ((log.topics == topic) & (log.documents == document)).any()


def test_fetched_documents_have_the_defaults_of_scores() -> None:
    executor, topics, qrels = local()
    numbered = Qrels(
        {topic: {id.removeprefix("film-"): grade for id, grade in judged.items()} for topic, judged in qrels.items()}
    )
    log = log_features(executor, CANDIDATES, topics, numbered, FEATURES, missed="fetch", doc_id=lambda point: point.id)
    total = sum(map(len, log.coverage.missed.values()))
    assert log.coverage.fetched == total > 5
    for topic, documents in log.coverage.missed.items():
        for document in documents:
            [row] = np.flatnonzero((log.topics == topic) & (log.documents == document))
            assert log.values[row, 0] == 0.0
            assert log.values[row, 1] == -0.5
            assert log.grades[row] == 1


def test_a_run_that_broke_off_goes_on_from_what_its_file_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    whole = logged(path=path)
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:12]) + lines[12][:40], "utf-8")  # broken off in the middle of a line
    executor, topics, _ = local()
    asked: list[int] = []
    search = executor.search

    def counting(step: Any) -> Any:
        asked.append(len(step.requests))
        return search(step)

    monkeypatch.setattr(executor, "search", counting)
    seen: list[tuple[int, int]] = []
    again = logged(path=path, progress=lambda done, total: seen.append((done, total)))
    assert sum(asked) == 2 * (len(topics) - 11) + 1  # two candidates each, and the sample of stored points
    assert seen[-1] == (30, 30)
    assert alike(again, whole)
    asked.clear()
    assert logged(path=path).fingerprint == again.fingerprint
    assert sum(asked) == 1


def test_a_file_of_another_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    logged(path=path)
    with pytest.raises(FormatError, match=r"log.jsonl:1: this log is of other topics, .*remove it"):
        logged(path=path, unjudged="drop")
    executor, topics, qrels = local()
    tenant = models.Filter(must_not=[models.HasIdCondition(has_id=[10**6])])
    other = Executor(executor.clients.sync(), executor.collection, encoders=executor.encoders, fixed_filter=tenant)
    with pytest.raises(FormatError, match="another fixed filter"):
        log_features(other, CANDIDATES, topics, qrels, FEATURES, path=path)
    with pytest.raises(StrategyError, match="nothing tells the function doc_id from others"):
        logged(path=path, doc_id=lambda point: point.id)


def test_topics_share_round_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, _, _ = local()
    asked: list[int] = []
    search = executor.search

    def counting(step: Any) -> Any:
        asked.append(len(step.requests))
        return search(step)

    monkeypatch.setattr(executor, "search", counting)
    logged(batch_size=10, sample=0)
    assert asked == [20, 20, 20]


def test_topics_that_fail_or_find_nothing_or_have_no_judgments_are_told() -> None:
    executor, topics, qrels = local()
    nobody = models.Filter(must=[models.FieldCondition(key="year", range=models.Range(lt=0))])
    odd = Topic("odd", "", params={"tastes": "none"}, vectors=topics.items[0].vectors)
    empty = Topic("empty", "", params={"tastes": {}}, filter=nobody, vectors=topics.items[0].vectors)
    stranger = Topic("stranger", "", vectors=topics.items[0].vectors)
    judged = Qrels({**qrels, "odd": {"film-1": 1}, "empty": {"film-1": 1}})
    log = log_features(executor, CANDIDATES, Topics([*topics, odd, empty, stranger]), judged, FEATURES)
    assert log.coverage.topics == 30
    assert "must be a map of category to weight" in log.coverage.failed["odd"]
    assert log.coverage.without_candidates == ("empty",)
    assert log.coverage.missed["empty"] == ("film-1",)
    assert log.coverage.unjudged == ("stranger",)


def test_a_candidate_without_a_limit_has_the_one_of_serving() -> None:
    executor, topics, qrels = local()
    features = {"dense": score("dense")}
    log = log_features(executor, [Nearest("dense")], topics, qrels, features, options=SearchOptions(limit=5))
    assert (log.topics == "q0").sum() == 100
    deep = log_features(executor, [Nearest("dense")], topics, qrels, features, options=SearchOptions(limit=120))
    assert (deep.topics == "q0").sum() == 120


def test_missing_values_and_categories_are_logged_as_models_are_trained_on_them() -> None:
    executor, topics, qrels = local()
    features: dict[str, FeatureLike] = {
        "popularity": Feature(field("popularity"), missing="nan"),
        "genre": Category("genre", ["war", "drama"]),
    }
    log = log_features(executor, CANDIDATES, topics, qrels, features)
    numbers = np.array([int(document.removeprefix("film-")) for document in log.documents])
    assert (np.isnan(log.column("popularity")) == (numbers % 17 == 0)).all()
    expected = np.array([1.0, np.nan, 0.0])[numbers % 3]  # drama, comedy (not listed), war
    np.testing.assert_array_equal(log.column("genre"), expected)


def test_weights_of_pairs_are_multiplied_in() -> None:
    log = logged(pair_weights={"q0": {"film-1": 4.0}}, unjudged="negative")
    rows = (log.topics == "q0") & (log.documents == "film-1")
    assert (log.weights[rows] == 4.0).all()
    assert (log.weights[~rows] == 1.0).all()


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({}, "features is a map of name to expression"),
        ({"topic": score("dense")}, "a feature's name must be text without commas, and none of topic"),
        ({"a,b": score("dense")}, "without commas"),
        ({"x": field("x")}, "the feature 'x': .*no default"),
        ({"x": raw("year")}, "the feature 'x': "),
        ({"x": score("sparse")}, "sparse"),
        ({"genre": Category("genre")}, "holds text .*list the values"),
    ],
)
def test_features_that_cannot_be_logged_are_refused(features: Any, says: str) -> None:
    executor, topics, qrels = local()
    with pytest.raises((StrategyError, PlanError), match=says):
        log_features(executor, CANDIDATES, topics, qrels, features)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"unjudged": "maybe"}, "unjudged is 'negative' or 'drop', got 'maybe'"),
        ({"missed": "ignore"}, "missed is 'count' or 'fetch'"),
        ({"batch_size": 0}, "batch_size at least 1"),
        ({"path": "log.csv"}, r"ends in .jsonl; got 'log.csv'"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(StrategyError, match=says):
        logged(**wrong)


def test_without_a_judged_topic_or_where_all_fail_there_is_nothing_to_learn_from() -> None:
    executor, topics, _ = local()
    with pytest.raises(FitError, match="none of the 30 topics has judgments"):
        log_features(executor, CANDIDATES, topics, Qrels({"other": {"film-1": 1}}), FEATURES)
    with pytest.raises(FitError, match=r"every topic failed, the first with: QueryError.*'tastes'"):
        log_features(
            executor, CANDIDATES, topics, Qrels({"q0": {"film-1": 1}}), {"taste": param("tastes")}
        )  # a map, and no number


def test_candidates_must_be_stages_in_a_list() -> None:
    executor, topics, qrels = local()
    with pytest.raises(StrategyError, match="candidates is a list of stages"):
        log_features(executor, [], topics, qrels, FEATURES)


@pytest.mark.parametrize("wrong", [{"hard": -1}, {"random": 1.5}, {"strata": 0}, {"random": 2, "strata": 3}])
def test_negatives_are_whole_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(StrategyError, match="must be a whole number"):
        Negatives(**wrong)


def test_the_header_says_what_was_logged(tmp_path: Path) -> None:
    logged(path=tmp_path / "log.jsonl")
    header = json.loads((tmp_path / "log.jsonl").read_text("utf-8").splitlines()[0])
    assert header["features"]["taste"]["text"] == "affinity('genre', param='tastes')"
    assert [candidate["limit"] for candidate in header["candidates"]] == [40, 20]


def warned(features: dict[str, FeatureLike], **options: Any) -> list[Any]:
    """The lints of a log of these features."""
    executor, topics, qrels = local()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log_features(executor, CANDIDATES, topics, qrels, features, **options)
    assert all(one.category is PlanWarning for one in caught)
    return [one.message.args[0] for one in caught if isinstance(one.message, PlanWarning)]


def test_a_payload_key_that_no_candidate_has_is_warned_of_with_those_that_there_are() -> None:
    [lint] = warned({"dense": score("dense"), "p": field("popularty", default=3.0), "q": 2.0 * field("popularty", default=3.0)})
    assert lint.code == "absent-field"
    assert "the feature 'p', 'q' reads 'popularty', but no candidate has a number there; there are '_id', 'genre', " in lint
    assert "did you mean 'popularity'?" in lint


def test_a_payload_key_that_holds_no_number_in_any_candidate_is_warned_of_with_what_it_holds() -> None:
    [lint] = warned({"dense": score("dense"), "g": field("genre", default=3.0)}, sample=0)
    assert "the feature 'g' reads 'genre', but no candidate has a number there but text, e.g. '" in lint
    assert "there are" not in lint


def test_keys_that_some_candidates_have_and_categories_are_not_warned_of() -> None:
    assert warned({"p": field("popularity", default=3.0), "g": Category("genre", ["drama"]), **FEATURES}) == []


def test_a_run_that_goes_on_warns_only_of_what_stored_points_lack_as_well(tmp_path: Path) -> None:
    executor = world(open_client())
    topics = asked()
    qrels = judgments(topics, executor)
    absent: dict[str, FeatureLike] = {"dense": score("dense"), "p": field("popularty", default=3.0)}

    def again(**options: Any) -> list[str]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            log_features(executor, CANDIDATES, topics, qrels, absent, path=tmp_path / "log.jsonl", **options)
        return [str(one.message) for one in caught]

    assert "reads 'popularty'" in again()[0]
    assert "reads 'popularty'" in again()[0]  # nothing was searched, but no stored point has it
    assert again(sample=0) == []  # nobody knows
    executor.clients.sync().set_payload("films", {"popularty": 1.0}, points=models.Filter())
    assert again() == []  # the first run's candidates may have had it


def test_a_fit_says_why_a_feature_is_the_same_everywhere() -> None:
    executor, topics, qrels = local()
    with pytest.warns(PlanWarning, match="reads 'genre'"):
        log = log_features(executor, CANDIDATES, topics, qrels, {"dense": score("dense"), "g": field("genre", default=3.0)})
    with pytest.raises(
        FitError, match=r"'g' \(always 3: no stored point had what it reads when the log was made\): the same in"
    ):
        fit_logistic(log)
    with pytest.raises(FitError, match=r"'g' \(always 3\): the same in all rows"):
        fit_logistic(replace(log, reference={}))


def test_the_score_of_a_candidate_that_is_not_there_is_refused_with_the_candidates() -> None:
    executor, topics, qrels = local()
    with refused(StrategyError, "the feature 'd': no candidate is named 'densee'; there are 'dense', 'bm25'", "'dense'?"):
        log_features(executor, CANDIDATES, topics, qrels, {"d": score("densee")})
    with refused(StrategyError, "the feature 'd': score() is ambiguous over 2 candidates"):
        log_features(executor, CANDIDATES, topics, qrels, {"d": score()})


def test_a_request_time_value_that_no_topic_brings_along_is_refused_before_anything_is_searched() -> None:
    executor, topics, qrels = local()
    with refused(StrategyError, "'b' reads the request-time value 'budget', which none of the 30", "Topic.params") as caught:
        log_features(executor, CANDIDATES, topics, qrels, {"dense": score("dense"), "b": param("budget")})
    assert "params={" not in str(caught.value)  # which the command line has an option for, but not where features are logged
    log_features(executor, CANDIDATES, topics, qrels, {"dense": score("dense"), "b": param("budget", default=1.0)})


def test_a_condition_is_logged_as_1_or_0() -> None:
    executor, topics, qrels = local()
    late = when(models.FieldCondition(key="year", range=models.Range(gte=2000)))
    log = log_features(executor, CANDIDATES, topics, qrels, {"late": late})
    assert set(log.values[:, 0].tolist()) == {0.0, 1.0}


def test_a_condition_that_only_qdrant_can_decide_is_refused_before_anything_is_searched() -> None:
    executor, topics, qrels = local()
    with pytest.raises(StrategyError, match=r"the feature 'has': .* can be decided by Qdrant only"):
        log_features(executor, CANDIDATES, topics, qrels, {"has": when(models.HasVectorCondition(has_vector="dense"))})
