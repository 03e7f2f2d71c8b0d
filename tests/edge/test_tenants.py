"""A fixed filter restricts all that an executor searches, for every kind of strategy, on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import models

from qdrant_rerank import (
    AsyncExecutor,
    Executor,
    Formula,
    Nearest,
    PlanError,
    QdrantRerankError,
    SearchOptions,
    StrategyError,
    field,
)
from qdrant_rerank._internals import Search, random_points
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.evaluate import Qrels, unknown_documents
from tests.core.tenants import MINE, OURS, OURS_OR, QUERY, STRATEGIES, fill_two_tenants, read
from tests.engines import open_client
from tests.support import refused

pytestmark = pytest.mark.filterwarnings("ignore:.* shards:qdrant_rerank.PlanWarning")  # on a server with several


@pytest.fixture(scope="module", params=["local", "edge"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    made = open_client() if request.param == "local" else EdgeClient(tmp_path_factory.mktemp("tenants"))
    yield fill_two_tenants(made)
    made.close()


def executor(client: Any, only: models.Filter = OURS, **options: Any) -> Executor:
    return Executor(client, "two", reranker=read, fixed_filter=only, **options)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("only", [OURS, OURS_OR])
def test_no_kind_of_strategy_finds_the_others_documents(client: Any, name: str, only: models.Filter) -> None:
    strategy = STRATEGIES[name]
    within = executor(client, only)
    alternatives = models.Filter(should=[models.FieldCondition(key="group", match=models.MatchAny(any=[0, 1, 2]))])
    for call in (None, alternatives):
        points = within.retrieve(strategy, QUERY, SearchOptions(limit=3, filter=call))
        assert len(points) == 3  # the other's, which are nearer, took no candidate's place
        assert {point.id for point in points} <= set(MINE)


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_explanation_names_the_others_documents(client: Any, name: str) -> None:
    explained = executor(client).explain(STRATEGIES[name], QUERY, SearchOptions(limit=3))
    assert {point.id for point in (*explained.points, *explained.first)} <= set(MINE)
    assert {reason.id for reason in explained.reasons} <= set(MINE)
    assert not [
        hit for reason in explained.reasons for hit in reason.candidates if hit.rank is not None and hit.rank > len(MINE)
    ]


@pytest.mark.parametrize("name", ["nearest", "rrf", "formula"])
async def test_awaited_groups_keep_to_the_tenant_too(client: Any, name: str) -> None:
    within = AsyncExecutor(client, "two", fixed_filter=OURS)
    points = await within.retrieve(STRATEGIES[name], QUERY, SearchOptions(limit=3, group_by="group"))
    assert points
    assert {point.id for point in points} <= set(MINE)


def test_whatever_else_is_searched_keeps_to_the_tenant(client: Any) -> None:
    within = executor(client)
    [drawn] = within.search(Search([random_points(100, with_payload=True)]))
    assert {point.id for point in drawn} == set(MINE)
    assert unknown_documents(Qrels({"q": {"1": 1, "101": 1}}), within) == ("101",)


def test_a_key_that_only_the_others_documents_lack_or_have_is_not_named(client: Any) -> None:
    with pytest.raises(Exception, match=r"."):
        Executor(client, "two").retrieve(Formula(field("size")).over(Nearest("dense")), QUERY)  # all of B's lack it
    assert executor(client).retrieve(Formula(field("size")).over(Nearest("dense")), QUERY)
    with refused(PlanError, "reads 'secret' without a default, but e.g. point") as caught:
        executor(client).retrieve(Formula(field("secret")).over(Nearest("dense")), QUERY)
    assert any(f"point {number} of" in str(caught.value) for number in MINE)


def test_a_plan_shows_the_fixed_filter(client: Any) -> None:
    shown = str(executor(client).plan(STRATEGIES["rrf"], SearchOptions(limit=3)).describe())
    assert "'tenant'" in shown or '"tenant"' in shown
    assert "tenant" not in str(Executor(client, "two").plan(STRATEGIES["rrf"], SearchOptions(limit=3)).describe())


def test_what_is_no_filter_is_refused(client: Any) -> None:
    with refused(StrategyError, "fixed_filter must be a qdrant_client.models.Filter, got str 'A'"):
        executor(client, "A")  # type: ignore[arg-type]
    assert issubclass(StrategyError, QdrantRerankError)


def test_an_older_local_mode_which_hands_no_filter_on_is_told_at_every_search(tmp_path: Path) -> None:
    from qdrant_rerank._internals import restrict

    leaf = models.Prefetch(query=[1.0, 0.0], using="dense")
    request = models.QueryRequest(prefetch=models.Prefetch(prefetch=[leaf, leaf], query=[1.0]), limit=3)
    inner = restrict(request, OURS, everywhere=True).prefetch
    assert isinstance(inner, list)
    assert inner[0].filter == OURS
    assert [each.filter for each in inner[0].prefetch or []] == [OURS, OURS]  # type: ignore[union-attr]
    assert request.filter is None
    only_root = restrict(request, OURS, everywhere=False)
    assert only_root.filter == OURS
    assert only_root.prefetch == request.prefetch
    assert restrict(request, None, everywhere=True) is request
