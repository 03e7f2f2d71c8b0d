"""Corners of logging and fitting: odd files, odd names, what isn't installed, and numbers at their limits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from qdrant_client import models

from qdrant_rerank import Executor, Nearest, SearchOptions, StrategyError, field, score
from qdrant_rerank._internals import Table
from qdrant_rerank.errors import FormatError, MissingExtra
from qdrant_rerank.evaluate import Qrels, Topic, Topics
from qdrant_rerank.expressions import raw
from qdrant_rerank.ingest import point_id
from qdrant_rerank.learn import (
    Category,
    Feature,
    FeatureLog,
    FeatureWeight,
    LearnedRanker,
    Negatives,
    Training,
    for_report,
    log_features,
    read_log,
    write_log,
)
from qdrant_rerank.learn._internals import (
    Array,
    Problem,
    ScoreMap,
    auc,
    check_features,
    compute_features,
    describe_weights,
    draw_bootstraps,
    fit_map,
    log_losses,
    make_pairs,
    one_thread,
    prepare,
    selector,
    solve,
    split_folds,
)
from qdrant_rerank.report import Coefficient
from tests.engines import open_client
from tests.learn.logs import planted


@pytest.fixture
def log() -> FeatureLog:
    return planted(0, 100, 10)


def test_an_isotonic_map_is_level_between_knots_of_one_probability_but_for_a_trace_that_avoids_ties() -> None:
    level = ScoreMap("isotonic", (0.0, 1.0, 2.0, 0.2, 0.2, 0.8))
    assert len(level.expression(score()).terms) == 3  # type: ignore[attr-defined]  # a sum: start, trace and the one rise
    found = level.apply(np.array([0.0, 0.5, 1.0, 2.0]))
    np.testing.assert_allclose(found, [0.2, 0.2, 0.2, 0.8], atol=1e-3)
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize(
    ("module", "call", "says"),
    [
        ("sklearn.isotonic", lambda p: fit_map("isotonic", p.x[:, 0], p.y, p.w), "isotonic calibration needs"),
        ("scipy.optimize", lambda p: solve(p, 1.0), "fit_logistic needs"),
        ("scipy.optimize", lambda p: solve(p, 1.0, [(0.0, None)] * 2), "fit_logistic needs"),
        ("sklearn.metrics", lambda p: auc(p.x[:, 0], p.y, p.w), "AUC needs"),
        ("threadpoolctl", lambda _: one_thread(), "fit_logistic needs"),
        ("sklearn.model_selection", lambda p: split_folds(p.groups, 5), "cross-validation needs"),
    ],
)
def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(
    module: str, call: Callable[[Problem], object], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"{says}.*qdrant-rerank\[learn\]"):
        call(noisy())


def weight(name: str, **more: Any) -> FeatureWeight:
    ends = {"low": 0.5, "high": 1.5} | more
    return FeatureWeight(name, 1.0, standardised=2.0, mean=0.0, deviation=2.0, **ends)


def test_a_feature_without_which_the_held_out_loss_is_no_higher_is_called_weak() -> None:
    assert weight("year", loss_without=0.0).weak == "held-out loss is no higher without it"
    assert weight("year", loss_without=0.001).weak == ""
    table = describe_weights([weight("year", loss_without=-0.002), weight("dense", loss_without=0.1)])
    assert [line.split()[0] for line in table.splitlines() if line.endswith("no higher without it")] == ["year"]


def test_a_report_has_each_weight_with_its_interval() -> None:
    found = for_report([weight("year"), weight("dense", low=None, high=None)])
    assert found == (Coefficient("year", 1.0, 0.5, 1.5), Coefficient("dense", 1.0, None, None))


def test_draws_of_topics_that_have_one_class_only_are_drawn_again() -> None:
    x, y, groups = np.array([[1.0], [2.0], [-1.0], [0.5]]), np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 0, 1, 1])
    problem = Problem(x, y, np.ones(4), groups)
    found = draw_bootstraps(problem, 1.0, None, np.zeros(2), 8, seed=0)
    assert found.shape == (8, 2)
    np.testing.assert_allclose(found, np.tile(solve(problem, 1.0), (8, 1)), atol=1e-5)  # the only draw with both classes


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"candidates": {"dense": 100}}, r'candidates must be a list of stages, got \{"dense": 100\}'),
        ({"candidates": [{"kind": "neerest"}]}, "a candidate: unknown kind of strategy 'neerest'"),
        ({"candidates": [{"kind": "rerank"}]}, r"a candidate must be a stage, which Qdrant runs alone, got Rerank\(\)"),
        ({"reference": {"year": {"edges": [1.0]}}}, r'not how a feature is distributed: \{"edges": \[1.0\]\}'),
        ({"coverage": {"topics": 3}}, r'not what a log says that it leaves out: \{"topics": 3\}'),
        ({"features": None}, "log.csv.meta.json: not what a log says of its features"),
        ({"features": {}}, "log.csv.meta.json: not what a log says of its features"),
    ],
)
def test_what_a_log_says_of_itself_is_checked(log: FeatureLog, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    write_log(log, tmp_path / "log.csv")
    beside = tmp_path / "log.csv.meta.json"
    beside.write_text(json.dumps(json.loads(beside.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(FormatError, match=says):
        read_log(tmp_path / "log.csv")


def test_a_header_without_features_is_refused(log: FeatureLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    write_log(log, path)
    header, *lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text(json.dumps(json.loads(header) | {"features": {}}) + "\n" + "".join(lines), "utf-8")
    with pytest.raises(FormatError, match=r"log.jsonl:1: features must be an object of name to feature, got \{\}"):
        read_log(path)


def test_what_stands_beside_a_log_must_be_json(log: FeatureLog, tmp_path: Path) -> None:
    write_log(log, tmp_path / "log.csv")
    (tmp_path / "log.csv.meta.json").write_text("{", "utf-8")
    with pytest.raises(FormatError, match=r"log.csv.meta.json:1: not JSON: "):
        read_log(tmp_path / "log.csv")


def test_a_csv_with_other_columns_than_the_features_is_refused(log: FeatureLog, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    write_log(log, path)
    path.write_text(path.read_text("utf-8").replace("popularity", "fame", 1), "utf-8")
    with pytest.raises(FormatError, match=r"log.csv:2: the columns must be topic, .*, popularity; there is topic, .*, fame"):
        read_log(path)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('high qid:1 1:2.0 # ["t000", "d0", 1, 1.0]', "invalid literal"),
        ('1 qid:1 0:2.0 # ["t000", "d0", 1, 1.0]', "there is no feature 0, they go from 1 to 3"),
        ('1 qid:1 4:2.0 # ["t000", "d0", 1, 1.0]', "there is no feature 4"),
        ('1 qid:1 1:2.0 # ["t000", "d0", null, 1.0]', "NoneType"),
    ],
)
def test_a_line_of_svmlight_that_is_none_is_refused(log: FeatureLog, tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "log.svm"
    write_log(log, path)
    path.write_text(line + "\n" + path.read_text("utf-8"), "utf-8")
    with pytest.raises(FormatError, match=rf"log.svm:1: expected GRADE .*{says}"):
        read_log(path)


def test_a_parquet_file_of_something_else_is_refused(log: FeatureLog, tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    parquet.write_table(pyarrow.table({"topic": ["a"]}), path)
    with pytest.raises(FormatError, match="this Parquet file holds no log"):
        read_log(path)
    write_log(log, path)
    parquet.write_table(parquet.read_table(path).drop_columns(["grade", "year"]), path)
    with pytest.raises(FormatError, match="the file has no column grade, year; it has topic, document, judged, weight, dense"):
        read_log(path)


def test_a_category_is_written_with_its_values_and_read_back(log: FeatureLog, tmp_path: Path) -> None:
    features = {"dense": log.features["dense"], "year": Category("genre", ["drama", "war"]), "popularity": Category("shop")}
    write_log(FeatureLog(**{**vars(log), "features": features}), tmp_path / "log.csv")
    assert read_log(tmp_path / "log.csv").features == features


def test_a_column_is_found_by_its_name_and_a_wrong_name_is_a_key_error(log: FeatureLog) -> None:
    np.testing.assert_array_equal(log.column("year"), log.values[:, 1])
    with pytest.raises(KeyError, match="yaer"):
        log.column("yaer")


def test_a_log_becomes_a_data_frame_with_a_row_for_each_candidate(log: FeatureLog) -> None:
    table = log.to_frame()
    assert table.columns.tolist() == ["topic", "document", "grade", "judged", "weight", *log.names]
    assert table["document"].tolist() == log.documents.tolist()
    np.testing.assert_array_equal(table[list(log.names)].to_numpy(), log.values)


def test_of_a_topic_with_many_pairs_2000_different_ones_are_drawn() -> None:
    log = planted(0, 2000, 10)
    both = [(log.topics == topic) & log.relevant() for topic in log.topic_ids]
    assert min(int(rows.sum()) * (200 - int(rows.sum())) for rows in both) > 2000
    drawn = make_pairs(prepare(log), seed=0)
    assert np.bincount(drawn.groups).tolist() == [2000] * 10
    turned = np.where(drawn.y == 1, 1.0, -1.0)
    assert len(np.unique(np.round(drawn.x * turned[:, None], 9), axis=0)) == 20_000
    assert not np.array_equal(make_pairs(prepare(log), seed=1).x, drawn.x)


def stored() -> Executor:
    """Two documents whose points' ids are made of their names; one is nearer to every query."""
    client = open_client()
    client.create_collection("named", vectors_config={"dense": models.VectorParams(size=1, distance=models.Distance.DOT)})
    scores = {"near": 0.75, "far": 0.25}
    points = [models.PointStruct(id=point_id(n), vector={"dense": [s]}, payload={"_id": n}) for n, s in scores.items()]
    client.upsert("named", points)
    return Executor(client, "named")


@pytest.mark.parametrize(("document", "fetched"), [("far", [("near", 0, 0.75), ("far", 1, -1.0)]), (" ", [("near", 0, 0.75)])])
def test_missed_documents_are_fetched_by_the_ids_made_of_their_names_and_blank_names_are_only_counted(
    document: str, fetched: list[tuple[str, int, float]]
) -> None:
    qrels = Qrels({"q": {document: 1, "near": 0}})
    topics = Topics([Topic("q", "query", vectors={"dense": [1.0]})])
    features = {"dense": score("dense", default=-1.0)}
    candidates = [Nearest("dense", limit=1)]
    log = log_features(stored(), candidates, topics, qrels, features, missed="fetch", sample=0, options=SearchOptions(limit=1))
    assert [(row["document"], row["grade"], row["dense"]) for row in log.as_rows()] == fetched
    assert log.coverage.missed == {"q": (document,)}
    assert log.coverage.fetched == len(fetched) - 1


def test_a_raw_expression_cannot_be_logged() -> None:
    with pytest.raises(StrategyError, match="the feature 'odd': a raw expression can be computed by an engine only"):
        check_features({"odd": raw(models.SumExpression(sum=[1.0, 2.0]))})


def test_codes_in_the_payload_are_logged_as_they_are_and_truth_values_count_as_missing() -> None:
    payloads: list[dict[str, Any]] = [{"code": 3}, {"code": True}, {"code": 2.0}, {}, {"code": [7]}]
    table = Table(payloads, list(range(5)), {None: np.zeros(5)})
    found = compute_features({"code": Category("code")}, table)
    np.testing.assert_array_equal(found[:, 0], [3.0, np.nan, np.nan, np.nan, 7.0])


def test_all_of_the_payload_is_fetched_where_a_key_is_quoted_as_root_keys_do_not_say_it() -> None:
    assert selector({"a": Feature(field("price.net", default=0.0))}, ["_id"]) == ["price", "_id"]
    assert selector({"a": Feature(field('"price.net"', default=0.0))}, ["_id"]) is True


def test_without_random_negatives_only_the_judged_and_the_hardest_are_kept() -> None:
    judged = np.array([False, False, True, False])
    found = Negatives(hard=1, random=0).weights(np.array([3.0, 1.0, 4.0, 2.0]), judged, "q", 0)
    assert found.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_a_ranker_without_candidates_is_saved_and_says_that_it_needs_some_to_be_searched_with(tmp_path: Path) -> None:
    margin = score("dense") + field("popularity", default=1.0)
    ranker = LearnedRanker(margin, (), {"dense": Feature(score("dense"))}, Training("f", ("q",), 1, 1, "trees"))
    with pytest.raises(StrategyError, match=r"this ranker has no candidates: ranker.formula.over"):
        _ = ranker.strategy
    ranker.save(tmp_path / "ranker.json")
    again = LearnedRanker.load(tmp_path / "ranker.json")
    assert again == ranker
    assert again.indexes == {"popularity": models.PayloadSchemaType.FLOAT}
    assert again.over(Nearest("dense")).candidates == (Nearest("dense"),)


def noisy(scale: float = 1.0) -> Problem:
    """200 rows of ten topics; the first of two features, times `scale`, tells the classes with some noise."""
    generator = np.random.default_rng(0)
    x = generator.normal(0, 1, (200, 2))
    y = (generator.random(200) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    return Problem(x * [scale, 1.0], y, np.ones(200), np.arange(200) % 10)


@pytest.mark.parametrize("start", [30.0, 1000.0])
def test_a_start_where_newtons_method_would_fail_leads_to_the_same_solution(start: float) -> None:
    """At 30 its steps would be far too long however often they are halved; at 1000 its matrix would be singular."""
    found = solve(noisy(), 1.0, None, np.array([0.0, 0.0, start]))
    np.testing.assert_allclose(found, solve(noisy(), 1.0), atol=1e-5)


def test_a_column_too_large_for_newtons_method_still_tells_the_classes() -> None:
    def loss(problem: Problem, solution: Array) -> float:
        return float(log_losses(problem.margins(solution), problem.y).mean())

    large = noisy(1e9)
    found = solve(large, 1.0, None, np.zeros(3))
    assert loss(large, found) == pytest.approx(loss(noisy(), solve(noisy(), 1.0)), rel=0.02)
