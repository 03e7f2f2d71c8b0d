"""What a formula costs in Qdrant and here: what decides where it is computed, and what is told."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Coefficients,
    Formula,
    Fusion,
    Nearest,
    PlanError,
    Query,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    Strategy,
    affinity,
    field,
    from_json,
    score,
    to_json,
)
from qdrant_rerank._internals import PRICES, Inputs, Search, estimate, extent
from qdrant_rerank.expressions import Expression, raw, when
from qdrant_rerank.feedback import FeedbackCandidates
from qdrant_rerank.planning import Capabilities, Plan, Schema, plan
from qdrant_rerank.stages import ClientFormula
from tests.support import SCHEMA, query_vectors

SERVER = Capabilities((1, 18, 3))
FEW: Expression = 0.5 * score() + 0.1 * field("x", default=0.0)
QUERY = Query(vectors=query_vectors())
DENSE = Nearest("dense", limit=100)


def many_tests(count: int) -> Expression:
    """As a forest has them: many conditions on one key."""
    ranges = [models.FieldCondition(key="x", range=models.Range(lte=number / 7)) for number in range(count)]
    return sum((when(each, 0.25) for each in ranges), 0.5 * score())


MANY, SOME = many_tests(1_000), many_tests(170)
LIKED = affinity("genre", param="tastes", default=0.0)
TASTES = sum((when(models.FieldCondition(key="x", range=models.Range(lte=n / 7)), LIKED) for n in range(60)), score())


def planned(
    strategy: Strategy,
    capabilities: Capabilities = SERVER,
    indexed: bool = True,
    options: SearchOptions | None = None,
    schema: Schema = SCHEMA,
) -> Plan:
    indexes = {"x": models.PayloadSchemaType.FLOAT} if indexed else {}
    return plan(strategy, replace(schema, indexes=indexes), capabilities, options)


def over(expression: Expression, *candidates: Any) -> Formula:
    return Formula(expression).over(*(candidates or (DENSE,)))


def codes(made: Plan) -> list[str]:
    return [warning.code for warning in made.warnings]


def asked(made: Plan, query: Query = QUERY) -> list[Any]:
    """The requests that a query makes first."""
    step = next(made.flow(query))
    assert isinstance(step, Search)
    return list(step.requests)


def is_here(made: Plan, query: Query = QUERY) -> bool:
    return not any(isinstance(request.query, models.FormulaQuery) for request in asked(made, query))


def test_a_large_formula_is_computed_here_by_itself_and_a_small_one_is_not() -> None:
    made = planned(over(MANY))
    assert is_here(made)
    assert codes(made) == []
    assert made.strategy == over(MANY)  # what it is doesn't change
    described = made.describe()
    assert described.computed.startswith("here by itself (.on_server() would keep it in Qdrant): the formula takes about ")
    assert [request["limit"] for request in described.requests] == [100]
    assert described.requests[0]["with_payload"] is True
    assert described.round_trips == made.cost.round_trips == 1
    for indexed in (True, False):  # of which another warning tells
        assert not is_here(planned(over(FEW), indexed=indexed))
        assert "faster-here" not in codes(planned(over(FEW), indexed=indexed))


def test_one_that_is_somewhat_faster_here_is_told_to_be() -> None:
    made = planned(over(SOME))
    assert not is_here(made)
    [told] = made.warnings
    assert told.code == "faster-here"
    assert "for 100 candidates (1." in told
    assert ".on_client() computes it here" in told
    assert codes(planned(over(SOME).on_server())) == []


def test_each_place_can_be_pinned() -> None:
    there, here = over(MANY).on_server(), over(FEW).on_client()
    assert not is_here(planned(there))
    assert planned(there).describe().computed.startswith("in Qdrant, as .on_server() says: the formula takes about ")
    assert "faster-here" not in codes(planned(there))
    assert is_here(planned(here))
    assert planned(here).describe().computed.startswith("here, as .on_client() says: the formula takes about ")
    assert there.on_client() == over(MANY).on_client() == ClientFormula(there)
    assert here.on_server() == over(FEW).on_server()


def test_where_it_is_pinned_is_a_part_of_its_value() -> None:
    pinned = over(FEW).on_server()
    assert pinned != over(FEW)
    assert repr(pinned) == f"{over(FEW)!r}.on_server()"
    assert eval(repr(pinned), {"Formula": Formula, "Nearest": Nearest, "score": score, "field": field}) == pinned
    assert from_json(to_json(pinned)) == pinned
    assert '"pinned": true' in to_json(pinned)
    assert "pinned" not in to_json(over(FEW))
    assert pickle.loads(pickle.dumps(pinned)) == copy.deepcopy(pinned) == pinned
    assert pinned.over(Nearest("bm25", limit=50)).pinned


def test_engines_in_process_are_sent_nothing_and_raw_parts_can_be_computed_in_qdrant_only() -> None:
    for capabilities in (Capabilities((1, 20, 0), "local"), Capabilities((1, 19, 2), "edge")):
        made = planned(over(MANY), capabilities)
        assert "faster-here" not in codes(made)
        assert not is_here(made)
        assert made.describe().computed == ""
        assert planned(over(FEW).on_client(), capabilities).describe().computed == "here, as .on_client() says"
    only = planned(over(MANY + raw(models.AbsExpression(abs="x"))))
    assert "faster-here" not in codes(only)
    assert not is_here(only)
    assert only.describe().computed == ""


def test_a_description_says_where_a_formula_is_computed_and_what_it_takes() -> None:
    there = planned(over(FEW)).describe()
    assert there.computed.startswith("in Qdrant: the formula takes about ")
    assert f"computed     {there.computed}" in str(there)
    assert "computed" not in str(planned(Nearest("dense")).describe())
    unread = Formula(raw(models.AbsExpression(abs="$score"))).over(Nearest("dense", limit=50))
    assert planned(unread).describe().computed == ""


UNKNOWN_WORDS = models.FieldCondition(key="title", match=models.MatchText(text="a b"))


@pytest.mark.parametrize(
    ("expression", "changes", "options", "why"),
    [
        (MANY, {}, SearchOptions(group_by="x"), "Only Qdrant makes groups of its results"),
        (MANY + field("y"), {}, SearchOptions(), "'y' is read without a default, and Qdrant may never come to read it"),
        (
            MANY,
            {"strict": models.StrictModeConfigOutput(enabled=True, max_query_limit=250), "shards": 3},
            SearchOptions(),
            r"searches of 250 points \(max_query_limit\), and Formula asks for 300",
        ),
        (
            MANY + when(UNKNOWN_WORDS, 0.1),
            {
                "index_params": {
                    "title": models.TextIndexParams(type=models.TextIndexType.TEXT, tokenizer=models.TokenizerType.MULTILINGUAL)
                }
            },
            SearchOptions(),
            "can be decided by Qdrant only: its full-text index",
        ),
    ],
)
def test_it_stays_in_qdrant_where_a_call_would_get_something_else(
    expression: Expression, changes: Any, options: SearchOptions, why: str
) -> None:
    indexes = {"x": models.PayloadSchemaType.FLOAT, "title": models.PayloadSchemaType.TEXT}
    made = plan(over(expression), replace(SCHEMA, indexes=indexes, **changes), SERVER, options)
    assert not is_here(made)
    [told] = [lint for lint in made.warnings if lint.code == "faster-here"]
    assert re.search(why, told)
    assert re.search(why, made.describe().computed)


def test_what_servers_refuse_counts_where_a_call_keeps_it_there() -> None:
    grown = MANY
    for _ in range(70):
        grown = -(2.0 * grown)
    made = planned(over(grown))  # too deep for a server
    assert is_here(made)
    with pytest.raises(PlanError, match="levels deep as JSON, and servers take"):
        made.within(SearchOptions(group_by="x"))
    with pytest.raises(PlanError, match="levels deep as JSON, and servers take"):
        planned(over(grown).on_server())
    with pytest.raises(PlanError, match="levels deep as JSON, and servers take"):
        planned(Fusion.rrf().over(over(grown), DENSE))


def test_only_the_outermost_stage_is_client_side() -> None:
    for strategy in (
        Fusion.rrf().over(over(MANY), DENSE),
        over(FEW, over(MANY)),
        over(FEW, over(MANY)).on_client(),
        RelevanceFeedback(
            seeds=DENSE, coefficients=Coefficients(1, 0.5, 0.2), trust=True, within=over(MANY, FeedbackCandidates(limit=50))
        ),
    ):
        [told] = [lint for lint in planned(strategy).warnings if lint.code == "faster-here"]
        assert "Only the outermost stage can be computed here instead" in told


def test_below_a_reranker_and_as_seeds_of_feedback_it_is_outermost_still() -> None:
    reranked = planned(Rerank().over(replace(over(MANY), limit=30)))
    assert reranked.describe().computed.startswith("here by itself")
    assert reranked.cost.reads == 30
    assert is_here(reranked, replace(QUERY, text="a"))
    assert planned(Rerank().over(over(FEW))).describe().computed.startswith("in Qdrant: ")
    seeded = planned(RelevanceFeedback(seeds=over(MANY), coefficients=Coefficients(1, 0.5, 0.2), trust=True))
    assert codes(seeded) == []
    assert not any("formula" in (request.get("query") or {}) for request in seeded.describe().requests)


def liking(count: int) -> Query:
    return replace(QUERY, params={"tastes": {f"g{number}": 0.5 for number in range(count)}})


def test_the_size_of_a_map_decides_query_by_query() -> None:
    made = planned(over(TASTES))
    assert not is_here(made)  # a query without a map
    assert not is_here(made, liking(0))
    assert not is_here(made, replace(QUERY, params={"unread": 1.0}))
    assert is_here(made, liking(50))
    assert made.describe(liking(50)).computed.startswith("here by itself")
    assert made.describe(liking(1)).computed.startswith("in Qdrant: ")
    assert not is_here(planned(over(TASTES).on_server()), liking(50))


def test_with_several_shards_each_hands_on_its_own_candidates_as_in_qdrant() -> None:
    made = planned(over(MANY), schema=replace(SCHEMA, shards=3))
    assert codes(made) == ["candidates-per-shard"]
    assert made.cost.round_trips == 1
    [request] = asked(made)
    assert request.limit == 300
    assert request.query == models.FormulaQuery(formula="$score")
    assert [prefetch.limit for prefetch in request.prefetch] == [100]


def weighed(options: SearchOptions) -> Any:
    found = over(SOME, Nearest("dense")).weigh(Inputs(planned(over(SOME)).target), options)
    assert found is not None
    return found


def test_what_a_call_asks_for_counts() -> None:
    usual = weighed(SearchOptions())
    assert usual.candidates == 100
    assert weighed(SearchOptions(with_payload=["x"])).here < usual.here
    assert weighed(SearchOptions(with_payload=models.PayloadSelectorExclude(exclude=["x"]))) == usual
    named, whole = (weighed(SearchOptions(with_vectors=asked)).here for asked in (["dense"], True))
    assert usual.here < named < whole
    assert weighed(SearchOptions(limit=300)).candidates == 300


def test_what_is_known_of_places_is_bounded() -> None:
    formula, made = over(MANY, Nearest("dense")), planned(over(MANY))
    for limit in range(101, 200):
        assert formula.find_client_formula(SearchOptions(limit=limit), made.target) is not None
    assert len(formula.__dict__["_choices"]) <= 32


def test_bytes_conditions_and_missing_indexes_cost_in_qdrant_and_candidates_and_nodes_here() -> None:
    size = extent(0.5)
    large = replace(size, bytes=100_000)
    asked = replace(size, conditions=100)
    base = estimate(size, 10, 50, 100, 2)
    assert estimate(large, 10, 50, 100, 2).in_qdrant > 100 * base.in_qdrant
    assert estimate(large, 10, 50, 100, 2).here == base.here
    slow, quick = estimate(asked, 10, 50, 100, 2, unindexed=2), estimate(asked, 10, 50, 100, 2)
    assert slow.in_qdrant > 5 * quick.in_qdrant
    assert estimate(size, 10, 50, 1_000, 2).here > 5 * base.here
    assert estimate(size, 10_000, 50, 100, 2).here > 5 * base.here
    assert base.here < estimate(size, 10, 5_000, 100, 2).here < estimate(size, 5_000, 50, 100, 2).here
    assert estimate(size, 10, 50, 100, 0).in_qdrant == base.in_qdrant
    assert estimate(size, 10, 50, 100, 2, whole_payload=True).here > base.here
    assert estimate(size, 10, 50, 100, 2, vector_numbers=384).here > 3 * base.here
    assert str(base).startswith("about 0.0 ms in Qdrant and ")


def test_each_price_has_its_source() -> None:
    assert all(price.microseconds > 0 and len(price.source) > 15 for price in PRICES.values())
