"""A ranker whose model is too large for a request: one file, computed on the client, checked as any learned formula is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import models
from sklearn import ensemble

from qdrant_rerank import Executor, Formula, PlanError, PlanWarning, SearchOptions, load, save
from qdrant_rerank.errors import FormatError
from qdrant_rerank.ingest import requirements
from qdrant_rerank.learn import LearnedRanker, calibrate_scores, drift, from_model, log_features, ranker_from_expression
from qdrant_rerank.stages import ClientFormula
from tests.learn.logs import CANDIDATES, FEATURES, POINTS, asked, local, over_logged, world
from tests.support import CountingClient, refused

QUERY = next(iter(asked())).query
NAMES = ("dense", "bm25", "popularity", "year")
EVERYTHING = models.Filter()


@pytest.fixture(scope="module")
def ranker() -> LearnedRanker:
    executor, topics, qrels = local()
    features = {name: FEATURES[name] for name in NAMES}
    log = log_features(executor, CANDIDATES, topics, qrels, features)
    forest = ensemble.RandomForestClassifier(5, max_depth=6, random_state=0).fit(log.values, log.relevant())
    return ranker_from_expression(from_model(forest, features, on_client=True), log, "forest", on_client=True)


@pytest.fixture(scope="module")
def file(ranker: LearnedRanker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("client") / "ranker.json"
    ranker.save(path)
    return path


@pytest.fixture
def other() -> Executor:
    """A copy of the collection that a test may change."""
    return world(CountingClient())


def test_the_file_is_loaded_as_a_formula_on_the_client_that_knows_its_training(ranker: LearnedRanker, file: Path) -> None:
    strategy = load(file)
    assert isinstance(strategy, ClientFormula)
    assert strategy == ranker.strategy == LearnedRanker.load(file).strategy
    assert strategy.formula.trained == ranker.formula.trained
    assert LearnedRanker.load(file) == ranker
    there = local()[0].retrieve(over_logged(ranker.formula.over(*CANDIDATES), local()[0]), QUERY)
    here = local()[0].retrieve(strategy, QUERY)
    assert [point.score for point in here] == pytest.approx([point.score for point in there], abs=1e-6)


def test_a_ranker_that_is_not_said_to_be_large_runs_in_the_engine(ranker: LearnedRanker) -> None:
    log = log_features(*_small())
    made = ranker_from_expression(ranker.expression, log)
    assert made.on_client is False
    assert isinstance(made.strategy, Formula)


def _small() -> tuple[Any, ...]:
    executor, topics, qrels = local()
    return executor, CANDIDATES, topics, qrels, {name: FEATURES[name] for name in NAMES}


def test_a_collection_that_lacks_a_payload_key_is_refused(file: Path, other: Executor) -> None:
    other.clients.sync().delete_payload("films", ["popularity"], points=EVERYTHING)
    with refused(PlanError, "the learned formula reads 'popularity', but no point of 'films' has a number there"):
        other.retrieve(load(file), QUERY)
    other.clients.sync().set_payload("films", {"popularity": "high"}, points=EVERYTHING)
    other.refresh()
    with refused(PlanError, "has a number there but text, e.g. 'high'"):
        other.retrieve(load(file), QUERY)


def test_values_that_have_moved_are_warned_of(file: Path, other: Executor, ranker: LearnedRanker) -> None:
    client = other.clients.sync()
    for record in client.scroll("films", limit=POINTS)[0]:
        client.set_payload("films", {"year": (record.payload or {})["year"] + 40}, points=[record.id])
    with pytest.warns(PlanWarning, match="feature 'year' is far from what it was trained on"):
        other.retrieve(load(file), QUERY)
    assert drift(other, file).features[0].name == "year"


def test_unchecked_it_runs_all_the_same_and_is_no_learned_formula_any_more(
    ranker: LearnedRanker, other: Executor, tmp_path: Path
) -> None:
    other.clients.sync().delete_payload("films", ["popularity"], points=EVERYTHING)
    strategy = ranker.strategy.uncheck()
    assert isinstance(strategy, ClientFormula)
    assert strategy.formula.trained is None
    with pytest.warns(PlanWarning, match="no point of 'films' has 'popularity'"):
        assert len(other.retrieve(strategy, QUERY, SearchOptions(limit=5))) == 5
    save(strategy, tmp_path / "unchecked.json")
    assert load(tmp_path / "unchecked.json") == strategy


def test_a_calibration_and_other_candidates_leave_it_on_the_client(ranker: LearnedRanker) -> None:
    log = log_features(*_small())
    fresh = LearnedRanker(**{**vars(ranker), "training": type(ranker.training)("f", ("other",), 1, 1, "forest")})
    scores = np.log(np.clip(log.column("dense"), 0.01, 0.99))
    assert isinstance(calibrate_scores(fresh, log, scores=scores).strategy, ClientFormula)
    assert isinstance(ranker.over(*CANDIDATES).strategy, ClientFormula)


def test_it_needs_no_payload_indexes(ranker: LearnedRanker) -> None:
    assert ranker.indexes == {}
    assert requirements(ranker.formula).keys() == {"popularity", "year"}


def test_without_candidates_the_file_keeps_that_it_is_on_the_client(ranker: LearnedRanker, tmp_path: Path) -> None:
    legless = LearnedRanker(**{**vars(ranker), "candidates": ()})
    legless.save(tmp_path / "legless.json")
    loaded = LearnedRanker.load(tmp_path / "legless.json")
    assert loaded == legless
    assert loaded.over(*CANDIDATES).strategy == ranker.strategy


def test_a_formula_is_not_loaded_from_it_and_the_error_is_short(file: Path) -> None:
    with refused(FormatError, "a formula that is computed on the client (.on_client())", "qdrant_rerank.load(path)") as caught:
        Formula.load(file)
    assert len(str(caught.value)) < 400
    assert len(repr(load(file))) > 10_000


@pytest.mark.parametrize(
    ("change", "says", "under"),
    [
        (lambda inner: inner["formula"].update(expression=0.5), "isn't the calibration of the margin", '"expression"'),
        (lambda inner: inner["formula"].pop("trained"), "record of training isn't that of the features", '"strategy"'),
    ],
)
def test_a_file_that_was_changed_by_hand_is_refused(file: Path, tmp_path: Path, change: Any, says: str, under: str) -> None:
    value = json.loads(file.read_text("utf-8"))
    change(value["strategy"])
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(value, indent=1), "utf-8")
    with refused(FormatError, says) as caught:
        LearnedRanker.load(changed)
    assert isinstance(caught.value, FormatError)
    assert caught.value.line is not None
    if under == '"expression"':
        assert under in changed.read_text("utf-8").splitlines()[caught.value.line - 1]


def test_a_file_whose_strategy_is_no_formula_is_refused(file: Path, tmp_path: Path) -> None:
    value = json.loads(file.read_text("utf-8")) | {"strategy": {"kind": "nearest", "using": "dense"}}
    (tmp_path / "nearest.json").write_text(json.dumps(value), "utf-8")
    with refused(FormatError, "the strategy of a learned ranker is a formula, not a Nearest"):
        LearnedRanker.load(tmp_path / "nearest.json")
