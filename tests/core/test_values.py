"""Small values: literals, errors, copies, and what is checked about numbers."""

from __future__ import annotations

import datetime
import importlib
import pickle
from typing import Any

import pytest
from qdrant_client import models

import qdrant_rerank
from qdrant_rerank import Formula, Fusion, Mmr, Nearest, QdrantRerankError, StrategyError, from_json, score, to_json
from qdrant_rerank._internals import call, did_you_mean, is_finite, is_number, is_whole, literal
from qdrant_rerank.errors import IngestError, MissingExtra
from tests.support import refused

FIELD = models.FieldCondition(key="a", match=models.MatchValue(value=1))
LITERALS: dict[str, Any] = {
    "None": None,
    "'it\\'s'": "it's",
    "[1, 2.5]": [1, 2.5],
    "()": (),
    "(1,)": (1,),
    "{'a': [True]}": {"a": [True]},
    "models.Distance('Cosine')": models.Distance.COSINE,
    "datetime.datetime.fromisoformat('2025-01-02T03:04:05+00:00')": datetime.datetime(2025, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
    "datetime.date.fromisoformat('2025-01-02')": datetime.date(2025, 1, 2),
    "models.Filter(must=[models.FieldCondition(key='a', match=models.MatchValue(value=1))])": models.Filter(must=[FIELD]),
    "models.MatchExcept(**{'except': ['x']})": models.MatchExcept(**{"except": ["x"]}),
    "models.SearchParams(exact=True)": models.SearchParams(exact=True),
}


@pytest.mark.parametrize("text", LITERALS)
def test_a_literal_is_short_and_evaluates_to_its_value(text: str) -> None:
    assert literal(LITERALS[text]) == text.replace("'it\\'s'", '"it\'s"')
    assert eval(literal(LITERALS[text]), {"models": models, "datetime": datetime}) == LITERALS[text]


def test_a_call_is_written_with_its_arguments() -> None:
    assert call("f", 1, "a", key=[None]) == "f(1, 'a', key=[None])"


def test_bools_and_text_are_no_numbers() -> None:
    assert [is_number(value) for value in (1, 0.5, True, "1", None)] == [True, True, False, False, False]
    assert [is_finite(value) for value in (1, float("inf"), float("nan"), True, None)] == [True, False, False, False, False]
    assert [is_whole(value, 1) for value in (1, 0, 1.0, True, "1")] == [True, False, False, False, False]


def test_every_error_is_one_of_the_packages() -> None:
    offered = importlib.import_module("qdrant_rerank.errors")
    errors = [getattr(offered, name) for name in offered.__all__ if name.endswith(("Error", "Extra")) and name != "OnError"]
    assert len(errors) > 8
    assert all(issubclass(error, QdrantRerankError) for error in errors)
    assert {error.__name__ for error in errors if not issubclass(error, ValueError)} == {
        "BudgetError",
        "ClientError",
        "EngineError",
        "FitError",
        "IngestError",
        "MeasurementError",
        "MissingExtra",
        "QdrantRerankError",
        "ScoringError",
        "TimeoutError",
    }
    assert issubclass(qdrant_rerank.TimeoutError, TimeoutError)


def test_a_missing_extra_says_what_to_install_and_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(MissingExtra("FastembedDense", "fastembed")))
    assert str(again) == "FastembedDense needs an optional dependency: pip install 'qdrant-rerank[fastembed]'"
    assert (again.what, again.extra) == ("FastembedDense", "fastembed")
    assert isinstance(again, ImportError)


def test_an_ingest_error_keeps_its_ids_through_pickling() -> None:
    again = pickle.loads(pickle.dumps(IngestError("the model is down", ["a", 2])))
    assert (str(again), again.ids) == ("the model is down", ("a", 2))


def test_a_guess_is_made_only_where_one_is_near() -> None:
    assert did_you_mean("colbret", ["dense", "colbert"]) == ": did you mean 'colbert'?"
    assert did_you_mean("xyz", ["dense", "colbert"]) == did_you_mean("x", []) == ""


REPRS = {
    "Nearest()": Nearest(),
    "Nearest('')": Nearest(""),
    "Mmr('a', diversity=0.5, candidates_limit=7)": Mmr("a", candidates_limit=7),
    "Fusion.rrf(k=61, weights=(2, 1)).over(Nearest('a'), Nearest('b', name='c'))": Fusion.rrf(61, [2, 1]).over(
        Nearest("a"), Nearest("b", name="c")
    ),
    "Fusion.dbsf(limit=5)": Fusion.dbsf(limit=5),
    "Formula(0.5 * score(), limit=3)": Formula(0.5 * score(), limit=3),
    "Formula(constant(3.0))": Formula(3),
}


@pytest.mark.parametrize("text", REPRS)
def test_a_strategys_repr_is_what_a_user_would_write(text: str) -> None:
    assert repr(REPRS[text]) == text


def test_a_fusion_has_no_search_that_parameters_could_be_for() -> None:
    with refused(StrategyError, "a fusion searches nothing that search_params could be for", "candidates"):
        Fusion(search_params=models.SearchParams(exact=True))
    with refused(StrategyError, "a formula searches nothing that search_params could be for"):
        Formula(score(), search_params=models.SearchParams(exact=True))


@pytest.mark.parametrize("wrong", [5, ["dense"], b"dense"])
def test_a_vectors_name_is_text(wrong: Any) -> None:
    for kind in (Nearest, Mmr):
        with refused(StrategyError, "the name of a vector must be text", repr(wrong)):
            kind(wrong)
    with refused(StrategyError, "the name of Nearest must be text", repr(wrong)):
        Nearest("dense", name=wrong)


def test_a_list_of_candidates_is_to_be_spread() -> None:
    with refused(StrategyError, "can't be a candidate of Fusion", ".over(*"):
        Fusion.rrf().over([Nearest("a"), Nearest("b")])  # type: ignore[arg-type]


def test_json_keeps_conditions_of_every_kind_apart() -> None:
    conditions: list[models.Condition] = [
        FIELD,
        models.FieldCondition(key="a", match=models.MatchValue(value="1")),
        models.FieldCondition(key="a", match=models.MatchValue(value=True)),
        models.FieldCondition(key="d", range=models.DatetimeRange(gte=datetime.date(2025, 1, 1))),
        models.FieldCondition(key="d", range=models.Range(gte=float("-inf"))),
        models.FieldCondition(key="p", geo_radius=models.GeoRadius(center=models.GeoPoint(lat=1, lon=2), radius=5)),
        models.NestedCondition(nested=models.Nested(key="a", filter=models.Filter(must=[FIELD]))),
        models.HasVectorCondition(has_vector="dense"),
        models.Filter(min_should=models.MinShould(conditions=[FIELD], min_count=1)),
    ]
    for condition in conditions:
        strategy = Nearest("a", filter=models.Filter(must_not=[condition]))
        assert from_json(to_json(strategy)) == strategy
