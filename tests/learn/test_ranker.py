"""The artefact: one file, the same probability everywhere."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdrant_rerank import Executor, Formula, Nearest, SearchOptions, StrategyError, load
from qdrant_rerank.errors import FormatError
from qdrant_rerank.evaluate import Topics
from qdrant_rerank.ingest import ensure_indexes
from qdrant_rerank.learn import FeatureLog, LearnedRanker, fit_logistic, log_features
from tests.learn.logs import CANDIDATES, FEATURES, asked, judgments, local, over_logged, world

METHODS = ["none", "platt", "beta", "isotonic"]


@pytest.fixture(scope="module")
def log() -> FeatureLog:
    executor, topics, qrels = local()
    return log_features(executor, CANDIDATES, topics, qrels, FEATURES)


@pytest.fixture(scope="module")
def rankers(log: FeatureLog) -> dict[str, LearnedRanker]:
    return {method: fit_logistic(log, calibration=method, bootstrap=20) for method in METHODS}  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    from qdrant_rerank.edge import EdgeClient

    client = EdgeClient(str(tmp_path_factory.mktemp("edge")))
    executor = world(client)
    strategy: Any = Formula(FEATURES["popularity"] + FEATURES["year"]).over(*CANDIDATES)  # type: ignore[operator]
    ensure_indexes(client, "films", strategy)
    executor.refresh()
    yield executor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.close()


def served(executor: Executor, ranker: LearnedRanker, topics: Topics) -> dict[tuple[str, str], float]:
    found = {}
    for topic in topics:
        for point in executor.retrieve(over_logged(ranker.strategy, executor), topic.query, SearchOptions(limit=60)):
            found[topic.id, str((point.payload or {})["_id"])] = point.score
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("engine", ["local", "edge"])
def test_engines_give_the_probability_that_the_log_predicts(
    log: FeatureLog, rankers: dict[str, LearnedRanker], edge: Executor, engine: str, method: str
) -> None:
    executor = edge if engine == "edge" else local()[0]
    ranker = rankers[method]
    topics = Topics(local()[1].items[:6])
    found = served(executor, ranker, topics)
    rows = np.isin(log.topics, topics.ids)
    pairs = zip(log.topics[rows].tolist(), log.documents[rows].tolist(), ranker.predict(log)[rows].tolist(), strict=True)
    predicted = {(topic, document): p for topic, document, p in pairs}
    assert found.keys() == predicted.keys()
    np.testing.assert_allclose([found[key] for key in predicted], list(predicted.values()), atol=1e-6)


@pytest.mark.parametrize("engine", ["local", "edge"])
def test_a_score_threshold_bounds_the_probability(rankers: dict[str, LearnedRanker], edge: Executor, engine: str) -> None:
    executor = edge if engine == "edge" else local()[0]
    ranker = rankers["platt"]
    kept = below = 0
    for topic in local()[1].items[:6]:
        every = executor.retrieve(ranker.strategy, topic.query, SearchOptions(limit=60))
        some = executor.retrieve(ranker.strategy, topic.query, SearchOptions(limit=60, score_threshold=0.4))
        assert {p.id for p in some} == {p.id for p in every if p.score >= 0.4}
        kept, below = kept + len(some), below + len(every) - len(some)
        assert executor.retrieve(ranker.strategy, topic.query, SearchOptions(limit=60, score_threshold=0.999)) == []
    assert kept > 3
    assert below > 3


def test_both_adapters_keep_results_above_a_probability(rankers: dict[str, LearnedRanker]) -> None:
    from langchain_qdrant_rerank import QdrantRerankRetriever as LangChain
    from llama_index_qdrant_rerank import QdrantRerankRetriever as LlamaIndex

    executor, topics, _ = local()
    by_text = {topic.text: topic for topic in topics}
    encoders = {name: (lambda text, name=name: by_text[text].vectors[name]) for name in ("dense", "bm25")}
    common: dict[str, Any] = {
        "client": executor.clients.sync(),
        "collection_name": "films",
        "encoders": encoders,
        "strategy": rankers["platt"].strategy,
        "payload": lambda payload: (str(payload["_id"]), {}),
        "score_threshold": 0.4,
    }
    topic = topics["q3"]
    expected = executor.retrieve(rankers["platt"].strategy, topic.query, SearchOptions(limit=60, score_threshold=0.4))
    ids = [str((point.payload or {})["_id"]) for point in expected]
    assert 0 < len(ids) < 60
    documents = LangChain(**common, k=60).invoke(topic.text, params=topic.params)
    assert [document.page_content for document in documents] == ids
    nodes = LlamaIndex(**common, similarity_top_k=60, params=topic.params).retrieve(topic.text)
    assert [node.node.get_content() for node in nodes] == ids


@pytest.mark.parametrize("method", METHODS)
def test_a_saved_ranker_is_loaded_as_it_was(rankers: dict[str, LearnedRanker], tmp_path: Path, method: str) -> None:
    ranker = rankers[method]
    path = tmp_path / "ranker.json"
    ranker.save(path)
    again = LearnedRanker.load(path)
    assert again == ranker
    assert again.expression == ranker.expression
    assert load(path) == ranker.strategy


def test_the_file_says_where_the_formula_came_from(rankers: dict[str, LearnedRanker], log: FeatureLog) -> None:
    value = json.loads(rankers["platt"].to_json())
    assert value["kind"] == "learned_ranker"
    assert value["required_indexes"] == {"popularity": "float", "year": "float", "genre": "keyword"}
    assert value["features"]["bm25"]["text"] == "score('bm25', default=-0.5)"
    assert value["training"]["fingerprint"] == log.fingerprint
    assert value["training"]["missed"] == sum(map(len, log.coverage.missed.values()))
    assert {"qdrant-rerank", "scikit-learn", "numpy"} <= value["training"]["versions"].keys()
    assert 0.5 < value["metrics"]["auc"] <= 1
    assert len(value["quantiles"]) == len(FEATURES)
    assert value["reference"].keys() == {"popularity", "year"}
    assert value["reference"]["popularity"]["missing"] == pytest.approx(9 / 150)


def edited(ranker: LearnedRanker, path: Path, change: Any) -> Path:
    value = json.loads(ranker.to_json())
    change(value)
    path.write_text(json.dumps(value, indent=1), "utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda value: value.update(kind="ranker"), r"not a learned ranker.*its kind is 'ranker'"),
        (lambda value: value.update(version=2), r":3: version: .*got 2"),
        (lambda value: value.update(wieghts=[]), r":\d+: a learned ranker has no 'wieghts': did you mean 'weights'"),
        (lambda value: value.pop("metrics"), "needs 'metrics'"),
        (lambda value: value["training"].update(rows="many"), r":\d+: training.rows: .*got \"many\""),
        (lambda value: value["strategy"].update(limt=3), r":\d+: .*no 'limt'"),
        (lambda value: value["calibration"].update(parameters=[1.0]), "a platt calibration has 2 parameters, got 1"),
        (lambda value: value["calibration"].update(parameters=[1.0, 2.0]), "isn't the calibration of the margin"),
        (lambda value: value.update(margin={"kind": "scoer"}), "margin: unknown kind of expression 'scoer'"),
        (lambda value: value["features"].update(dense=3), "the feature 'dense': neither an expression nor a category"),
    ],
)
def test_files_that_are_none_are_refused_with_the_line(
    rankers: dict[str, LearnedRanker], tmp_path: Path, change: Any, says: str
) -> None:
    path = edited(rankers["platt"], tmp_path / "ranker.json", change)
    with pytest.raises(FormatError, match=says):
        LearnedRanker.load(path)


def test_text_that_is_not_json_and_lists_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ranker.json"
    path.write_text("{\n", "utf-8")
    with pytest.raises(FormatError, match=r"ranker.json:2: not JSON"):
        LearnedRanker.load(path)
    path.write_text("[]", "utf-8")
    with pytest.raises(FormatError, match=r"it is a list"):
        LearnedRanker.load(path)


def test_an_error_in_the_strategy_of_a_ranker_has_its_line_in_the_file(
    rankers: dict[str, LearnedRanker], tmp_path: Path
) -> None:
    path = edited(rankers["none"], tmp_path / "ranker.json", lambda value: value["strategy"]["candidates"][0].update(limit=0))
    line = next(n for n, text in enumerate(path.read_text("utf-8").splitlines(), 1) if '"candidates"' in text) + 1
    with pytest.raises(FormatError, match=rf"ranker.json:{line}: .*limit .*strategy.candidates"):
        load(path)


def test_other_candidates_must_have_the_names_that_the_formula_reads(rankers: dict[str, LearnedRanker]) -> None:
    ranker = rankers["none"]
    wider = ranker.over(Nearest("dense", limit=80), Nearest("bm25", limit=80))
    assert [candidate.limit for candidate in wider.candidates] == [80, 80]
    with pytest.raises(StrategyError, match="bm25"):
        ranker.over(Nearest("dense"), Nearest("colbert"))


def test_a_ranker_learned_on_held_out_topics_ranks_better_than_similarity() -> None:
    executor, _, _ = local()
    more = asked(60)
    grades = judgments(more, executor)
    log = log_features(executor, CANDIDATES, Topics(more.items[30:]), grades, FEATURES)
    ranker = fit_logistic(log, bootstrap=0)
    assert ranker.metrics["ndcg@10"] > ranker.metrics["ndcg@10 of dense"] + 0.03
