"""Groups of rankings in which scores depend on what else is ranked: made here, of the ranking without groups."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given as having
from hypothesis import settings
from hypothesis import strategies as st
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Fusion, Mmr, Nearest, PlanWarning, Query, SearchOptions, field, score
from qdrant_rerank._internals import Points, Search, group_keys, run
from qdrant_rerank.planning import plan
from qdrant_rerank.stages import Stage
from tests.core.generators import features_for, stages
from tests.engines import Engine
from tests.support import NOW, SCHEMA, Services, encoders, ids, question, ranking, script, target

pytestmark = pytest.mark.filterwarnings(
    "ignore:Local mode performs exact",
    "ignore:each of the 3 shards",
    "ignore:Fusion",
    "ignore:Mmr",
    "ignore:(no|the) (sampled )?point:qdrant_rerank.PlanWarning",
)

CANDIDATES = Nearest("dense", limit=20), Nearest("colbert", limit=20)


def dealt(points: Points, key: str, groups: int, size: int) -> list[Any]:
    """The ids of the groups of a ranking, as simply as can be."""
    found: dict[Any, Points] = {}
    for point in points:
        found.setdefault((point.payload or {})[key], []).append(point)
    return [hit.id for hits in list(found.values())[:groups] for hit in hits[:size]]


def outcome(call: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PlanWarning)
            return call()
    except Exception as error:  # some random formulas can't be computed
        return type(error), str(error)


@having(stages(4).filter(lambda stage: stage.grouped_here), st.integers(1, 10), st.integers(1, 4))
@settings(max_examples=60)
def test_groups_are_those_of_the_ranking_without_groups(
    executor: Executor, engine: Engine, strategy: Stage, groups: int, size: int
) -> None:
    query = Query("river stone", params=features_for(strategy), now=NOW)
    options = SearchOptions(groups, group_by="doc", group_size=size)
    answers: list[list[Points]] = []

    def search(step: Search) -> list[Points]:
        found = executor.search(step)
        if step.schema is not None:  # others look for keys where nothing was found
            answers.append(found)
        return found

    asked = Services(embed=executor.embed, search=search)
    found = outcome(lambda: run(executor.plan(strategy, options).flow(query), asked))
    if isinstance(found, tuple):
        return
    [whole] = answers[-1]
    assert ids(found) == dealt(whole, "doc", groups, size)
    if engine.kind == "local":  # elsewhere points that tie get other ranks at each call
        assert ranking(whole) == ranking(executor.retrieve(strategy, query, SearchOptions(24)))


@pytest.mark.parametrize(
    ("strategy", "here"),
    [
        (Fusion.rrf().over(*CANDIDATES), True),
        (Fusion.dbsf().over(*CANDIDATES), True),
        (Mmr("dense"), True),
        (Formula(score("rrf")).over(Fusion.rrf().over(*CANDIDATES), CANDIDATES[0]), True),
        (Formula(score()).over(Formula(2 * score()).over(Mmr("dense", limit=20))), True),
        (Nearest("dense"), False),
        (Nearest("colbert").over(Nearest("dense", limit=20)), False),
        (Nearest("colbert").over(Fusion.rrf().over(*CANDIDATES)), False),
        (Formula(score() + field("popularity", default=0)).over(Nearest("colbert").over(*CANDIDATES)), False),
    ],
)
def test_a_plan_says_that_groups_are_made_here(strategy: Stage, here: bool) -> None:
    made = plan(strategy, SCHEMA, target().capabilities, SearchOptions(3, group_by="doc"))
    assert ("grouped-here" in [lint.code for lint in made.warnings]) is here
    [step] = script(made.flow(question_with_vectors()), [[]]).steps
    assert isinstance(step, Search)
    kind = models.QueryRequest if here else models.QueryGroupsRequest
    assert [type(request) for request in step.requests] == [kind]
    assert "grouped-here" not in [lint.code for lint in made.within(SearchOptions(3)).warnings]


def question_with_vectors() -> Query:
    found = encoders()
    return Query("fox", {name: found.encoder(name, SCHEMA).encode_query("fox") for name in SCHEMA.vectors}, now=NOW)


def test_as_many_points_are_ranked_as_the_candidates_hand_on() -> None:
    for strategy, options, ranked in (
        (Fusion.rrf().over(*CANDIDATES), SearchOptions(3, group_by="doc"), 40),
        (Fusion.rrf().over(Nearest("dense"), Nearest("colbert", limit=50)), SearchOptions(3, group_by="doc"), 150),
        (Fusion.rrf().over(Nearest("dense"), Nearest("colbert")), SearchOptions(60, group_by="doc", group_size=3), 360),
        (Mmr("dense"), SearchOptions(3, group_by="doc"), 100),
        (Mmr("dense"), SearchOptions(60, group_by="doc", group_size=3), 180),
        (Mmr("dense", candidates_limit=30), SearchOptions(3, group_by="doc"), 30),
    ):
        made = plan(strategy, SCHEMA, target().capabilities, options)
        [request] = script(made.flow(question_with_vectors()), [[]]).steps[0].requests  # type: ignore[union-attr]
        assert request.limit == ranked
        assert any(f"up to {ranked} points" in lint for lint in made.warnings)


@pytest.mark.parametrize("payload", [True, False, ["text"], models.PayloadSelectorExclude(exclude=["doc", "text"])])
def test_hits_have_the_payload_that_the_call_asks_for(executor: Executor, payload: Any) -> None:
    strategy = Fusion.dbsf().over(*CANDIDATES)  # of which no two score alike
    grouped = executor.retrieve(strategy, question(), SearchOptions(3, group_by="doc", with_payload=payload))
    plainly = {
        point.id: point.payload for point in executor.retrieve(strategy, question(), SearchOptions(20, with_payload=payload))
    }
    assert [hit.payload for hit in grouped] == [plainly[hit.id] for hit in grouped]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (SearchOptions(6, group_by="doc"), "there are only 3 of 6 groups by 'doc' among the 4 points ranked"),
        (
            SearchOptions(3, group_by="doc", group_size=3),
            "3 of 3 groups by 'doc' have fewer than 3 hits among the 4 points ranked",
        ),
    ],
)
def test_groups_that_the_candidates_cannot_fill_are_told(executor: Executor, options: SearchOptions, part: str) -> None:
    strategy = Fusion.rrf().over(Nearest("dense", limit=4), Nearest("dense", limit=3))
    with pytest.warns(PlanWarning, match=part):
        executor.retrieve(strategy, question(), options)


def test_nothing_is_told_where_groups_are_full_or_all_points_are_ranked(executor: Executor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        executor.retrieve(
            Fusion.rrf().over(Nearest("dense", limit=4), Nearest("dense", limit=3)),
            question(),
            SearchOptions(2, group_by="doc"),
        )
        for strategy in (Fusion.rrf().over(Nearest("dense"), Nearest("dense", limit=3)), Mmr("dense")):
            assert len(executor.retrieve(strategy, question(), SearchOptions(30, group_by="doc", group_size=9))) == 24


def test_a_point_is_in_the_group_of_each_text_and_whole_number_under_the_key() -> None:
    values = {"x": ["x"], 7: [7]}
    assert all(group_keys({"k": value}, "k") == keys for value, keys in values.items())
    assert group_keys({"k": ["x", 7, "x"]}, "k") == ["x", 7]
    assert group_keys({"k": {"n": [1, 2]}}, "k.n") == [1, 2]
    assert [group_keys({"k": value}, "k") for value in (True, 2.5, None, [], ["x", None])] == [[]] * 5
    assert group_keys({}, "k") == []
