"""Queries that can't be asked: text, vectors, request-time values; and payload keys that candidates lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from qdrant_rerank import (
    Executor,
    Formula,
    Fusion,
    Nearest,
    PlanError,
    Query,
    QueryError,
    SearchOptions,
    datetime_field,
    field,
    geo_distance,
    now,
    param,
    score,
)
from qdrant_rerank._internals import check_vector
from qdrant_rerank.errors import EngineError
from qdrant_rerank.expressions import Expression, raw
from qdrant_rerank.models import Encoders
from qdrant_rerank.planning import VectorInfo, plan
from tests.engines import current
from tests.support import COLLECTION, bm25, dense, encoders, ranking, refused, script, target

DENSE = VectorInfo("dense", 3, models.Distance.COSINE)
MULTI = VectorInfo("multi", 3, models.Distance.COSINE)
SPARSE = VectorInfo("sparse")
UNIT = [1.0, 0.0, 0.0]

WRONG: dict[str, tuple[Any, VectorInfo, tuple[str, ...]]] = {
    "a sparse vector for a dense one": (bm25("a b"), DENSE, ("'v' is dense 3-d, Cosine", "got a sparse vector of 2 entries")),
    "a multivector for a dense one": ([UNIT], DENSE, ("a list of numbers, got a list of 1 (vectors)",)),
    "text for a dense vector": ("text", DENSE, ("got str 'text'",)),
    "nothing for a dense vector": (None, DENSE, ("got NoneType None",)),
    "words for a dense vector": ([None, "a", 1], DENSE, ("something that isn't a number",)),
    "too few dimensions": ([1.0, 0.0], DENSE, ("'v' has 3 dimensions, the query's has 2", "is this the embedding model")),
    "no dimensions": ([], DENSE, ("the query's has 0",)),
    "NaN": ([float("nan"), 0, 0], DENSE, ("'v' holds numbers that aren't finite",)),
    "infinity": (np.array([np.inf, 0, 0]), DENSE, ("aren't finite",)),
    "a dense vector for a multivector": (
        UNIT,
        MULTI,
        ("multivector of 3-d, Cosine", "list of vectors, got a list of 3 (float)"),
    ),
    "text for a multivector": ("text", MULTI, ("got str 'text'",)),
    "an empty multivector": ([], MULTI, ("got a list of 0 (nothing)",)),
    "a multivector with a short row": ([UNIT, [1.0]], MULTI, ("has 3 dimensions, the query's has 1",)),
    "a multivector with NaN": ([UNIT, [float("nan"), 0, 0]], MULTI, ("aren't finite",)),
    "a dense vector for a sparse one": (
        UNIT,
        SPARSE,
        ("'v' is sparse", "got a list of 3 (float)", "is a dense embedding model"),
    ),
    "a mapping for a sparse vector": ({1: 0.5}, SPARSE, ("must bring a models.SparseVector, got dict {1: 0.5}",)),
    "an index without a value": (models.SparseVector(indices=[1, 2], values=[1.0]), SPARSE, ("2 indices and 1 values",)),
    "a sparse vector with NaN": (models.SparseVector(indices=[1], values=[float("nan")]), SPARSE, ("aren't finite",)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_vector_that_does_not_fit_is_refused(what: str) -> None:
    vector, info, parts = WRONG[what]
    with refused(QueryError, *parts):
        check_vector("v", vector, info)


RIGHT: dict[str, tuple[Any, VectorInfo, Any]] = {
    "a numpy vector": (np.array([1, 2, 3], dtype=np.float32), DENSE, [1.0, 2.0, 3.0]),
    "a tuple": ((1, 2, 3), DENSE, [1.0, 2.0, 3.0]),
    "numpy token vectors": (np.eye(3)[:2], MULTI, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    "a list of numpy token vectors": ([np.array([1.0, 0.0, 0.0])], MULTI, [[1.0, 0.0, 0.0]]),
    "a sparse vector": (
        models.SparseVector(indices=[5, 2], values=[1, 0.5]),
        SPARSE,
        models.SparseVector(indices=[5, 2], values=[1.0, 0.5]),
    ),
    "a document for the server to embed": (models.Document(text="a", model="m"), DENSE, models.Document(text="a", model="m")),
}


@pytest.mark.parametrize("what", RIGHT)
def test_a_vector_that_fits_becomes_what_qdrant_takes(what: str) -> None:
    vector, info, expected = RIGHT[what]
    assert check_vector("v", vector, info) == expected


class FastembedSparse:
    """A sparse vector as other libraries have it: arrays."""

    indices, values = np.array([3, 1]), np.array([0.5, 2.0])


def test_sparse_vectors_of_other_libraries_are_taken() -> None:
    assert check_vector("v", FastembedSparse(), SPARSE) == models.SparseVector(indices=[3, 1], values=[0.5, 2.0])


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_an_empty_text_says_for_which_vectors_it_is_needed(executor: Executor, text: Any) -> None:
    strategy = Fusion.rrf().over(Nearest("dense"), Nearest("bm25"))
    with refused(QueryError, f"the query's text is empty ({text!r})", "nothing to embed for 'bm25', 'dense'"):
        executor.retrieve(strategy, Query(text))


def test_an_empty_text_does_where_the_vectors_are_given(executor: Executor) -> None:
    assert executor.retrieve(Nearest("dense"), Query(vectors={"dense": dense("fox")}))


def test_a_vector_without_an_encoder_says_what_to_pass_and_what_is_there(toy: QdrantClient) -> None:
    some = Executor(toy, COLLECTION, encoders=Encoders.of({"bm25": bm25}, multi=lambda text: [[1.0]]))
    with refused(QueryError, "the dense vector 'dense'", "encoders={'dense': …}", "set for: 'bm25', any multi vector"):
        some.retrieve(Nearest(), Query("fox"))
    with refused(QueryError, "set for: none"):
        Executor(toy, COLLECTION).retrieve(Nearest(), Query("fox"))


def test_an_encoder_of_the_wrong_kind_is_noticed(toy: QdrantClient) -> None:
    mixed = Executor(toy, COLLECTION, encoders=Encoders.of({"bm25": dense, "dense": lambda text: dense(text)[:2]}))
    with refused(QueryError, "'bm25' is sparse", "is a dense embedding model set for it?"):
        mixed.retrieve(Nearest("bm25"), Query("fox"))
    with refused(QueryError, "'dense' has 4 dimensions, the query's has 2"):
        mixed.retrieve(Nearest("dense"), Query("fox"))


OVER = Nearest("dense", limit=24)


def test_a_payload_key_that_a_candidate_lacks_is_named_with_a_point(executor: Executor) -> None:
    strategy = Formula(score() + field("rating") + field("popularity")).over(OVER)
    parts = ("reads 'rating' without a default", "point 4 of 'toy' has no such payload", "field('rating', default=…)")
    with refused(PlanError, *parts) as caught:
        executor.retrieve(strategy, Query("fox"))
    assert len(caught.value.problems) == 1  # type: ignore[attr-defined]
    assert caught.value.__cause__ is not None


OTHERWISE = [
    (field("category"), "'category'", "doesn't hold one number there: give field('category', default=…)"),
    (datetime_field("category"), "'category'", "doesn't hold one date there: give datetime_field('category', default=…)"),
    (
        geo_distance((1, 2), "category"),
        "'category'",
        "doesn't hold one place there: give geo_distance(…, 'category', default=…)",
    ),
    (field("place"), "'place'", "doesn't hold one number there: read it by geo_distance(…, 'place', default=…)"),
    (field("published"), "'published'", "doesn't hold one number there: read it by datetime_field('published', default=…)"),
    (field('"published"'), "'\"published\"'", "doesn't hold one number there: give field("),
    (datetime_field("meta.price"), "'meta.price'", "doesn't hold one date there: read it by field('meta.price', default=…)"),
    (now() - datetime_field("rating"), "'rating'", "has no such payload: give datetime_field('rating', default=…)"),
]


@pytest.mark.parametrize(("expression", "key", "says"), OTHERWISE)
def test_a_payload_key_that_holds_something_else_is_named_with_a_point(
    executor: Executor, expression: Expression, key: str, says: str
) -> None:
    strategy = Formula(score() + expression).over(OVER)
    for ask in (executor.retrieve, executor.explain):
        with refused(PlanError, f"the formula reads {key} without a default, but e.g. point ", says) as caught:
            ask(strategy, Query("fox"))
        assert caught.value.__cause__ is not None


def test_a_raw_part_that_has_no_result_is_shown_as_what_nothing_guards(executor: Executor) -> None:
    strategy = Formula(score() + raw(models.LnExpression(ln=0.0))).over(OVER)
    kind = Exception if current().kind == "server" else ValueError  # a server refuses in qdrant-client's or gRPC's errors
    with pytest.raises(kind, match="non-finite") as caught:
        executor.retrieve(strategy, Query("fox"))
    notes = caught.value.__notes__
    assert [note for note in notes if "which no guard protects" in note] == [notes[-1]]
    assert "the formula sends a part as it is, raw(models.LnExpression(ln=0.0))" in notes[-1]


def test_a_batch_names_the_payload_key_as_a_single_query_does(executor: Executor) -> None:
    strategy = Formula(field("rating")).over(OVER)
    with refused(PlanError, "reads 'rating' without a default"):
        executor.retrieve_batch(strategy, [Query("fox"), Query("river")])


def test_only_points_that_the_filter_lets_through_are_to_blame(executor: Executor) -> None:
    only = models.Filter(must=[models.HasIdCondition(has_id=[1, 8, 2])])
    with refused(PlanError, "e.g. point 8 of 'toy'"):
        executor.retrieve(Formula(field("rating")).over(OVER), Query("fox"), SearchOptions(filter=only))


def test_candidates_that_all_have_the_key_are_scored(executor: Executor) -> None:
    rated = models.Filter(must=[models.FieldCondition(key="rating", range=models.Range(gte=0))])
    strategy = Formula(field("rating")).over(Nearest("dense", limit=24, filter=rated))
    assert executor.retrieve(strategy, Query("fox"))


def test_an_error_stays_as_it_is_where_qdrant_answers_nothing_more() -> None:
    made = plan(Formula(field("rating")).over(OVER), target().schema, target().capabilities)
    down = ConnectionError("the server is down")
    with pytest.raises(ConnectionError) as caught:
        script(made.flow(Query("fox", {"dense": dense("fox")})), down)
    assert caught.value is down
    refusal = EngineError("process cancelled by service")
    with pytest.raises(EngineError) as refused_twice:
        script(made.flow(Query("fox", {"dense": dense("fox")})), refusal, ConnectionError("down meanwhile"))
    assert refused_twice.value is refusal


def test_the_key_that_a_server_names_is_the_one_to_blame() -> None:
    made = plan(Formula(field("rating") + field("popularity")).over(OVER), target().schema, target().capabilities)
    words = b'{"status":{"error":"Expected number value for popularity in the payload and/or in the formula defaults."}}'
    refusal = UnexpectedResponse(400, "", words, httpx.Headers())
    found = [[], [models.ScoredPoint(id=7, version=0, score=1.0)]]
    with refused(
        PlanError, "reads 'popularity' without a default, but e.g. point 7 of 'toy' doesn't hold one number"
    ) as caught:
        script(made.flow(Query("fox", {"dense": dense("fox")})), refusal, found)
    assert caught.value.__cause__ is refusal
    silent = EngineError("process cancelled by service")  # the engine in process names no key
    found = [[], [], [models.ScoredPoint(id=8, version=0, score=1.0)], []]
    with refused(PlanError, "reads 'popularity' without a default, but e.g. point 8 of 'toy' has no such payload"):
        script(made.flow(Query("fox", {"dense": dense("fox")})), silent, found)


def test_what_no_missing_key_explains_stays_qdrants_own_error(executor: Executor) -> None:
    strategy = Formula(raw("category")).over(OVER)  # it is there, but no number, and nothing that we wrote reads it
    with pytest.raises(Exception, match=r"category|number") as caught:
        executor.retrieve(strategy, Query("fox"))
    assert not isinstance(caught.value, PlanError)


def test_a_query_that_cannot_be_asked_is_not_blamed_on_a_payload_key(executor: Executor) -> None:
    strategy = Formula(field("rating")).over(Nearest("dense", filter=models.Filter(must=[models.HasIdCondition(has_id=[1])])))
    with refused(QueryError, "text is empty"):
        executor.retrieve(strategy, Query(" "))


BUDGET: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "missing": ({}, ("needs the request-time value 'budget'", "params={'budget': …}", "given: none")),
    "another": ({"bugdet": 3}, ("'bugdet'", "did you mean 'budget'?")),
    "text": ({"budget": "3"}, ("'budget' must be a finite number, got '3'",)),
    "NaN": ({"budget": float("nan")}, ("got nan",)),
    "bool": ({"budget": True}, ("got True",)),
}


@pytest.mark.parametrize("what", BUDGET)
def test_a_request_time_value_that_is_no_number_is_refused(executor: Executor, what: str) -> None:
    features, parts = BUDGET[what]
    with refused(QueryError, *parts):
        executor.retrieve(Formula(score() + param("budget")).over(OVER), Query("fox", params=features))


PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({}, "needs the request-time place 'here': pass params={'here': (lat, lon)}"),
    "swapped": ({"here": (120, 50)}, "'here' must be (latitude, longitude) in degrees, got (120, 50)"),
    "one number": ({"here": (1.0,)}, "got (1.0,)"),
    "text": ({"here": "Berlin"}, "got 'Berlin'"),
}


@pytest.mark.parametrize("what", PLACES)
def test_a_request_time_place_that_is_none_is_refused(executor: Executor, what: str) -> None:
    features, message = PLACES[what]
    strategy = Formula(-geo_distance("here", "place", default=1e6)).over(OVER)
    with refused(QueryError, message):
        executor.retrieve(strategy, Query("fox", params=features))


def test_numpy_numbers_are_request_time_values(executor: Executor) -> None:
    strategy: Callable[[Any], Any] = lambda value: executor.retrieve(  # noqa: E731
        Formula(score() + param("budget")).over(OVER), Query("fox", params={"budget": value})
    )
    assert ranking(strategy(np.float32(2))) == ranking(strategy(2))


def test_the_toy_has_an_encoder_for_each_vector() -> None:
    assert set(encoders().named) == set(target().schema.vectors)


def test_half_a_character_is_refused_before_it_is_embedded() -> None:
    planned = plan(Nearest("dense"), target().schema, target().capabilities, SearchOptions())
    with refused(QueryError, "half a character in it ('\\ud83d', at 7)"):
        next(planned.flow(Query("plain \ud83d")))
