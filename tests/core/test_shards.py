"""How many shards a call searches, and what a plan says of what changes with their number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    Coefficients,
    Executor,
    Formula,
    Fusion,
    Mmr,
    Nearest,
    PlanWarning,
    Query,
    RelevanceFeedback,
    Rerank,
    SearchOptions,
    score,
)
from qdrant_rerank._internals import Points
from qdrant_rerank.feedback import FeedbackCandidates
from qdrant_rerank.planning import Capabilities, Plan, Schema, aread_schema, plan, read_schema
from tests.engines import open_client
from tests.support import COLLECTION, NOW, SCHEMA, encoders, fill_toy, query_vectors, script

SERVER = Capabilities((1, 20, 0))


def planned(strategy: Any, schema: Schema = SCHEMA) -> Plan:
    return plan(strategy, schema, SERVER)


THREE = replace(SCHEMA, shards=3)
DENSE, LATE = Nearest("dense", limit=100), Nearest("colbert", limit=100)
FEEDBACK = RelevanceFeedback(seeds=DENSE, coefficients=Coefficients(1, 0.5, 0.2), trust=True)


def told_on_shards(strategy: Any, schema: Schema = THREE) -> list[str]:
    return [lint.code for lint in planned(strategy, schema).warnings if lint.code.endswith(("shard", "shards"))]


@pytest.mark.parametrize("nested", [Fusion.rrf().over(DENSE), Fusion.dbsf().over(DENSE), Mmr("dense").over(DENSE)])
def test_fusion_below_another_stage_is_warned_about_where_there_are_shards(nested: Any) -> None:
    formula = Formula(2.0 * score()).over(nested)

    [warning] = [lint for lint in planned(formula, THREE).warnings if lint.code == "nested-under-shards"]
    assert "in each of the 3 shards by itself" in warning
    assert told_on_shards(formula) == ["nested-under-shards"]
    assert told_on_shards(formula, SCHEMA) == []


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (DENSE, []),
        (Fusion.rrf().over(DENSE, LATE), []),
        (Fusion.dbsf().over(DENSE, LATE), []),
        (Rerank().over(DENSE), []),
        (FEEDBACK, []),
        (Formula(score("dense") + score("colbert")).over(DENSE, LATE).on_client(), []),
        (Formula(2.0 * score()).over(Fusion.rrf().over(DENSE, LATE)).on_client(), []),
        (Formula(2.0 * score()).over(LATE.over(DENSE)).on_client(), []),
        (Formula(2.0 * score()).over(LATE.over(LATE.over(DENSE))).on_client(), []),
        (Formula(2.0 * score()).over(Formula(score()).over(DENSE)).on_client(), ["candidates-per-shard"]),
        (Formula(2.0 * score()).over(LATE.over(Nearest("bm25"), Nearest("bm25"))).on_client(), ["idf-per-shard"]),
        (Formula(2.0 * score()).over(DENSE), ["candidates-per-shard"]),
        (LATE.over(DENSE), ["candidates-per-shard"]),
        (Fusion.rrf().over(LATE.over(DENSE), DENSE), ["candidates-per-shard"]),
        (Rerank().over(LATE.over(DENSE)), ["candidates-per-shard"]),
        (Formula(score("rrf")).over(Fusion.rrf().over(LATE), DENSE), ["candidates-per-shard", "nested-under-shards"]),
        (replace(FEEDBACK, seeds=LATE.over(DENSE)), ["candidates-per-shard"]),
        (Mmr("dense"), ["mmr-on-shards"]),
        (Mmr("dense").over(DENSE), ["mmr-on-shards"]),
        (Nearest("bm25"), ["idf-per-shard"]),
        (Fusion.rrf().over(DENSE, Nearest("bm25", limit=9), Nearest("bm25", limit=9)), ["idf-per-shard"]),
        (Formula(score("bm25")).over(Nearest("bm25")).on_client(), ["idf-per-shard"]),
    ],
)  # fmt: skip
def test_what_changes_with_the_number_of_shards_is_told(strategy: Any, expected: list[str]) -> None:
    assert told_on_shards(strategy) == expected
    assert told_on_shards(strategy, SCHEMA) == []


def test_a_call_to_one_shard_key_is_warned_of_the_shards_of_that_key_alone() -> None:
    schema = replace(SCHEMA, shards=4, shard_keys={"eu": 1, "us": 3})
    formula = Formula(2.0 * score()).over(DENSE)
    counts = {}
    selectors: list[Any] = [None, "eu", "us", ["eu", "us"], models.ShardKeyWithFallback(target="eu", fallback="us"), "unknown"]
    for selector in selectors:
        made = plan(formula, schema, Capabilities.of("1.20.0"), SearchOptions(shard_key_selector=selector))
        warnings = [lint for lint in made.warnings if lint.code == "candidates-per-shard"]
        counts[str(selector)] = warnings[0].split(" shards")[0] if warnings else ""
    assert list(counts.values()) == ["each of the 4", "", "each of the 3", "each of the 4", "each of the 3", ""]


def test_the_warning_of_candidates_says_how_to_have_the_same_on_any_number_of_shards() -> None:
    [formula] = [lint for lint in planned(Formula(2.0 * score()).over(DENSE), THREE).warnings if "per-shard" in lint.code]
    [rescoring] = [lint for lint in planned(LATE.over(DENSE), THREE).warnings if "per-shard" in lint.code]
    assert "Formula(…).over(…).on_client() ranks" in formula
    assert "Formula(score()).over(…).on_client() around it ranks" in rescoring


def test_only_plain_searches_and_fusions_and_mmr_of_them_are_alike_on_shards() -> None:
    alike = [DENSE, Fusion.rrf().over(DENSE, LATE), Fusion.dbsf().over(DENSE), Mmr("dense"), Mmr("dense").over(DENSE)]
    others = [Formula(score()).over(DENSE), LATE.over(DENSE), Fusion.rrf().over(LATE.over(DENSE))]
    others += [
        Mmr("dense").over(LATE.over(DENSE)),
        Fusion.rrf().over(Fusion.dbsf().over(DENSE)),
        Fusion.rrf().over(Mmr("dense")),
    ]
    assert all(stage.alike_on_shards(THREE) for stage in alike)
    assert not any(stage.alike_on_shards(THREE) for stage in others)
    assert all(stage.alike_on_shards(SCHEMA) for stage in [*alike, *others])


# What is asked so that the number of shards makes no difference


def asked_on_shards(strategy: Any, *answers: list[Points], schema: Schema = THREE, limit: int = 2) -> list[list[Any]]:
    """The requests of each step."""
    made = plan(strategy, schema, SERVER, SearchOptions(limit))
    steps: Any = script(made.flow(Query(vectors=query_vectors(), now=NOW)), *answers).steps
    return [list(step.requests) for step in steps]


def found(*ids: int) -> Points:
    return [models.ScoredPoint(id=id, version=0, score=1.0 / id, payload={}) for id in ids]


def only(request: Any) -> Any:
    """The ids that a request is about."""
    return request.filter.must[-1].has_id


def test_mmr_chooses_among_points_that_are_asked_for_first() -> None:
    [[first], [second]] = asked_on_shards(Mmr("dense", diversity=0.3, candidates_limit=7), [found(4, 2)], [found(2)])
    assert (first.query.mmr, first.using, first.limit, first.with_payload) == (None, "dense", 7, False)
    assert (second.query.mmr.candidates_limit, only(second), second.prefetch, second.limit) == (7, [4, 2], None, 2)
    [[alone]] = asked_on_shards(Mmr("dense"), [found(2)], schema=SCHEMA)
    assert alone.filter is None


def test_mmr_that_is_grouped_chooses_among_as_many_as_the_groups_may_take() -> None:
    made = plan(Mmr("dense"), THREE, SERVER, SearchOptions(60, group_by="doc", group_size=3))
    steps: Any = script(made.flow(Query(vectors=query_vectors(), now=NOW)), [found(2)], [[]]).steps
    [[first], [second]] = [step.requests for step in steps]
    assert (first.limit, second.query.mmr.candidates_limit, second.limit) == (180, 180, 180)


def test_mmr_over_candidates_asks_for_each_of_them_and_for_the_nearest_where_they_are_too_many() -> None:
    strategy = Mmr("dense", candidates_limit=3).over(DENSE, LATE)
    [candidates, [last]] = asked_on_shards(strategy, [found(4, 2), found(2, 5)], [found(2)])
    assert [(candidate.using, candidate.limit) for candidate in candidates] == [("dense", 100), ("colbert", 100)]
    assert (only(last), last.query.mmr.candidates_limit) == ([4, 2, 5], 3)
    [_, [nearest], [last]] = asked_on_shards(strategy, [found(4, 2), found(2, 5, 6)], [found(6, 5, 4)], [found(2)])
    assert (nearest.limit, nearest.query.mmr, only(nearest)) == (3, None, [4, 2, 5, 6])
    assert only(last) == [6, 5, 4]


ON_CLIENT = Formula(score("colbert") + score("dense")).over(LATE.over(DENSE), DENSE).on_client()
STEERED = RelevanceFeedback(seeds=Mmr("dense", limit=5), coefficients=Coefficients(1.0, 0.5, 0.3), trust=True)


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        (DENSE, 0),
        (LATE.over(DENSE), 0),
        (Mmr("dense"), 1),
        (Mmr("dense").over(DENSE, LATE), 1),
        (Mmr("dense", candidates_limit=3).over(DENSE, LATE), 2),
        (Mmr("dense").over(LATE.over(DENSE)), 2),
        (Rerank(reads=5).over(Mmr("dense")), 1),
        (ON_CLIENT, 1),
        (STEERED, 1),
        (replace(STEERED, within=Mmr("dense").over(FeedbackCandidates(limit=9))), 2),
        (replace(STEERED, coefficients=Coefficients(1.0, 0.0, 0.0)), 1),
        (Formula(score()).over(Fusion.rrf().over(Nearest("dense", limit=9), Nearest("bm25", limit=9))).on_client(), 0),
    ],
)
def test_plans_count_the_round_trips_that_shards_add(strategy: Any, more: int) -> None:
    made = plan(strategy, THREE, SERVER, SearchOptions(2))
    assert made.cost.round_trips == made.describe().round_trips == strategy.cost.round_trips + more
    assert plan(strategy, SCHEMA, SERVER, SearchOptions(2)).cost == strategy.cost
    by_key = replace(SCHEMA, shards=3, shard_keys={"eu": 1, "us": 2})
    one_key = plan(strategy, by_key, SERVER, SearchOptions(2, shard_key_selector="eu"))
    assert one_key.cost == strategy.cost


def test_mmr_is_explained_as_it_is_asked() -> None:
    made = plan(Mmr("dense").over(DENSE), THREE, SERVER, SearchOptions(2))
    flow = made.explain(Query(vectors=query_vectors(), now=NOW))
    said = script(flow, [found(4, 2)], [found(2, 4), found(4, 2)])
    assert [hit.rank for reason in said.result.reasons for hit in reason.candidates] == [2, 1]


def test_rescorings_below_a_formula_on_the_client_rank_the_whole_collections_candidates() -> None:
    strategy = Formula(score("colbert") + score("dense")).over(LATE.over(DENSE), DENSE).on_client()
    [[candidates], [late, dense]] = asked_on_shards(strategy, [found(4, 2)], [found(2, 4), found(4, 2)])
    assert (candidates.using, candidates.limit) == ("dense", 100)
    assert (only(late), late.prefetch, late.limit) == ([4, 2], None, 100)
    assert (dense.filter, dense.limit) == (None, 100)
    [[late, _]] = asked_on_shards(strategy, [found(2, 4), found(4, 2)], schema=SCHEMA)
    assert late.prefetch is not None


# What is known of shards


class Cluster:
    """A client that knows one collection of shards."""

    def __init__(
        self, shard_number: int, method: models.ShardingMethod | None, shards: Sequence[tuple[int, Any]] | None
    ) -> None:
        self.info = fill_toy(open_client()).get_collection(COLLECTION)
        self.info.config.params.shard_number, self.info.config.params.sharding_method = shard_number, method
        self.shards = shards

    def get_collection(self, collection: str) -> models.CollectionInfo:
        return self.info

    def collection_cluster_info(self, collection: str) -> models.CollectionClusterInfo:
        assert self.shards is not None, "not allowed"
        active = models.ReplicaState.ACTIVE
        here = [models.LocalShardInfo(shard_id=id, shard_key=key, points_count=1, state=active) for id, key in self.shards]
        there = [models.RemoteShardInfo(shard_id=id, shard_key=key, peer_id=2, state=active) for id, key in self.shards[:1]]
        return models.CollectionClusterInfo(
            peer_id=1, shard_count=len(here), local_shards=here, remote_shards=there, shard_transfers=[]
        )


class AsyncCluster:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def get_collection(self, collection: str) -> Any:
        return self.cluster.get_collection(collection)

    async def collection_cluster_info(self, collection: str) -> Any:
        return self.cluster.collection_cluster_info(collection)


CUSTOM, KEYS = models.ShardingMethod.CUSTOM, [(1, "eu"), (2, "us"), (3, "us"), (4, 7)]


@pytest.mark.parametrize(
    ("cluster", "shards", "keys"),
    [
        (Cluster(3, None, None), 3, {}),
        (Cluster(3, models.ShardingMethod.AUTO, None), 3, {}),
        (Cluster(1, CUSTOM, KEYS), 4, {"eu": 1, "us": 2, 7: 1}),
        (Cluster(1, CUSTOM, []), 1, {}),
        (Cluster(3, CUSTOM, None), 6, {}),  # it may not be asked: of the keys, which aren't known, there are several
    ],
)
def test_shards_are_those_of_all_shard_keys(cluster: Any, shards: int, keys: dict[Any, int]) -> None:
    schema = read_schema(cluster, "docs")
    assert (schema.shards, dict(schema.shard_keys)) == (shards, keys)
    awaited = asyncio.run(aread_schema(AsyncCluster(cluster), "docs"))  # type: ignore[arg-type]
    assert (awaited.shards, awaited.shard_keys) == (schema.shards, schema.shard_keys)


def test_a_call_is_told_what_its_own_shard_keys_make_of_it() -> None:
    executor = Executor(fill_toy(open_client()), COLLECTION, encoders=encoders())
    target = executor.target()
    executor._target = replace(target, schema=replace(target.schema, shards=4, shard_keys={"eu": 1, "us": 3}))
    strategy = Formula(2.0 * score()).over(DENSE)
    executor.plan(strategy, SearchOptions(shard_key_selector="eu"))  # which warns of nothing
    for options, several in ((SearchOptions(), 4), (SearchOptions(shard_key_selector="us"), 3)):
        with pytest.warns(PlanWarning, match=f"each of the {several} shards hands"):
            executor.plan(strategy, options)
    executor.plan(strategy, SearchOptions(limit=5))  # told already
    assert len(executor.retrieve(strategy, Query("fox"), SearchOptions(3))) == 3
