"""Laws of running strategies, tried with random ones on each engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, settings
from hypothesis import given as having
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from qdrant_rerank import AsyncExecutor, Executor, Fusion, Nearest, Query, SearchOptions
from qdrant_rerank.stages import Stage
from tests.core.generators import features_for, filters, is_reproducible, stages
from tests.engines import current
from tests.support import COLLECTION, NOW, alike, encoders, ids

pytestmark = pytest.mark.filterwarnings(
    "ignore:Local mode performs exact",  # random strategies have search parameters
    "ignore:(no|the) (sampled )?point:qdrant_rerank.PlanWarning",  # and keys that no point has, as the first query tells
)

TEXTS = ("quick brown fox", "river stone", "night")


def ask(strategy: Stage, text: str = TEXTS[0]) -> Query:
    assume(is_reproducible(strategy))
    return Query(text, params=features_for(strategy), now=NOW)


def outcome(call: Any) -> Any:
    """What a call returns; or the error, as some random formulas can't be computed (Qdrant refuses 1e300 ** 3)."""
    try:
        return call()
    except Exception as error:
        return type(error), str(error)


def agree(ask: Callable[[], Any], otherwise: Callable[[], Any]) -> bool:
    """Whether two ways of asking give the same answer, at once or when they are asked again.

    Where candidates tie, an engine cuts them in any order, and a fusion of them has several answers. So ways disagree only
    where the first one gives one answer each time and the other never gives it. If it gives this answer with the chance p
    in truth, that passes for a fault with p**25 * (1 - p)**25: at most once in 10**15.
    """
    first = ask()
    for _ in range(1 if current().kind == "local" else 25):
        answer = ask()
        if not same(first, answer) or same(answer, otherwise()):
            return True
    return False


def same(one: Any, other: Any) -> bool:
    """Whether two outcomes are the same: answers alike, each of a batch's answers alike, or equal errors."""
    if not (isinstance(one, list) and isinstance(other, list)):
        return bool(one == other)
    if one and isinstance(one[0], list):
        return len(one) == len(other) and all(map(same, one, other))
    return alike(one, other)


@having(stages(), st.none() | filters())
@settings(max_examples=60)
def test_async_finds_what_sync_finds(
    toy: QdrantClient, executor: Executor, strategy: Stage, filter: models.Filter | None
) -> None:
    asynchronous = AsyncExecutor(toy, COLLECTION, encoders=encoders())
    query, options = ask(strategy), SearchOptions(filter=filter)
    assert agree(
        lambda: outcome(lambda: executor.retrieve(strategy, query, options)),
        lambda: outcome(lambda: asyncio.run(asynchronous.retrieve(strategy, query, options))),
    )


@having(stages(), st.sampled_from([None, "doc"]))
@settings(max_examples=60)
def test_a_batch_finds_what_its_queries_find_one_by_one(executor: Executor, strategy: Stage, group_by: str | None) -> None:
    options = SearchOptions(limit=5, group_by=group_by)
    queries = [ask(strategy, text) for text in TEXTS]
    assert agree(  # the first query that fails ends them all
        lambda: outcome(lambda: [executor.retrieve(strategy, query, options) for query in queries]),
        lambda: outcome(lambda: executor.retrieve_batch(strategy, queries, options)),
    )


@having(stages(4), filters(), st.integers(1, 24), st.sampled_from([None, "doc"]))
@settings(max_examples=80)
def test_no_result_violates_the_filter(
    toy: QdrantClient, executor: Executor, strategy: Stage, filter: models.Filter, limit: int, group_by: str | None
) -> None:
    allowed = {point.id for point in toy.scroll(COLLECTION, filter, limit=100)[0]}
    options = SearchOptions(limit, filter, group_by=group_by)
    found = outcome(lambda: ids(executor.retrieve(strategy, ask(strategy, TEXTS[1]), options)))
    assert isinstance(found, tuple) or allowed.issuperset(found)


@having(st.sampled_from(["dense", "colbert"]), filters())
@settings(max_examples=40)
def test_the_filter_reaches_candidates_so_none_is_lost_to_a_limit(
    toy: QdrantClient, executor: Executor, using: str, filter: models.Filter
) -> None:
    allowed = {point.id for point in toy.scroll(COLLECTION, filter, limit=100)[0]}
    strategy = Fusion.rrf().over(Nearest(using, limit=4), Nearest("dense", limit=4).over(Nearest("colbert", limit=5)))
    found = ids(executor.retrieve(strategy, ask(strategy), SearchOptions(4, filter)))
    assert len(found) == min(4, len(allowed))  # filtering after the candidates were cut would leave fewer


@having(stages(), st.integers(1, 8), st.integers(0, 20))
@settings(max_examples=60)
def test_pages_are_slices_of_the_whole_answer(executor: Executor, strategy: Stage, limit: int, offset: int) -> None:
    def ask_for(options: SearchOptions) -> Any:
        return outcome(lambda: executor.retrieve(strategy, ask(strategy, TEXTS[2]), options))

    def slice_of_the_whole() -> Any:
        whole = ask_for(SearchOptions(28))
        return whole if isinstance(whole, tuple) else whole[offset : offset + limit]

    assert agree(slice_of_the_whole, lambda: ask_for(SearchOptions(limit, offset=offset)))


@pytest.mark.parametrize("explicit", [True, False])
def test_candidates_have_a_limit_that_leaves_something_to_choose(executor: Executor, explicit: bool) -> None:
    inner = Nearest("dense", limit=24) if explicit else Nearest("dense")
    by_colbert = executor.retrieve(Nearest("colbert"), Query(TEXTS[0]), SearchOptions(3))
    assert alike(executor.retrieve(Nearest("colbert").over(inner), Query(TEXTS[0]), SearchOptions(3)), by_colbert)
