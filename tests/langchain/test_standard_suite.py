"""LangChain's own tests for retrievers, for every strategy that Qdrant runs by itself; and what must hold for each."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import Rerank, SearchOptions, Strategy
from tests.langchain.models import Lengths
from tests.langchain.support import QUERY, STRATEGIES, assert_same, counting_client, ids, make, settings
from tests.support import searches_of


class Standard(RetrieversIntegrationTests):
    """The suite for the strategy whose name the subclass gives."""

    strategy: str

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return QdrantRerankRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {**settings(), "strategy": STRATEGIES[self.strategy]}

    @property
    def retriever_query_example(self) -> str:
        return QUERY


class TestDense(Standard):
    strategy = "dense"


class TestSparse(Standard):
    strategy = "sparse"


class TestRrf(Standard):
    strategy = "rrf"


class TestDbsf(Standard):
    strategy = "dbsf"


class TestFormula(Standard):
    strategy = "formula"


class TestFormulaOverTwoLegs(Standard):
    strategy = "formula_two_candidates"


class TestMmr(Standard):
    strategy = "mmr"


class TestColbert(Standard):
    strategy = "colbert"


class TestNested(Standard):
    strategy = "nested"


class TestRescore(Standard):
    """A model that reads texts, over the strategy."""

    strategy = "rrf"

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        strategy = Rerank(reads=20).over(STRATEGIES[self.strategy])
        return {**settings(), "strategy": strategy, "reranker": Lengths()}


def test_the_suite_runs_for_every_strategy() -> None:
    assert {suite.strategy for suite in Standard.__subclasses__()} == set(STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_ainvoke_finds_what_invoke_finds(strategy: Strategy) -> None:
    retriever = make(strategy=strategy, k=7)
    found = retriever.invoke(QUERY)
    assert len(found) == 7
    assert_same(await retriever.ainvoke(QUERY), found)


def test_strategies_rank_differently() -> None:
    rankings = {tuple(ids(make(strategy=strategy, k=8).invoke(QUERY))) for strategy in STRATEGIES.values()}
    assert len(rankings) > 5


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_a_query_is_one_round_trip_after_the_first(strategy: Strategy) -> None:
    client = counting_client()
    retriever = make(client=client, strategy=strategy)
    found = retriever.invoke(QUERY)
    unseen = "rating" in repr(strategy) and not any(isinstance(each.metadata.get("rating"), int | float) for each in found)
    looks = searches_of(strategy) + unseen  # at the payload, where no result has what the formula reads
    assert client.calls == ["info", "get_collection", *["query_points"] * looks]
    client.calls.clear()
    retriever.invoke("lazy dog", k=2)
    assert client.calls == ["query_points"] * searches_of(strategy)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
async def test_an_async_query_is_one_round_trip_after_the_first(strategy: Strategy) -> None:
    client = counting_client()
    retriever = make(client=client, strategy=strategy)
    await retriever.ainvoke(QUERY)
    client.calls.clear()
    await retriever.ainvoke("lazy dog", k=2)
    assert client.calls == ["query_points"] * searches_of(strategy)


def test_grouping_is_one_round_trip() -> None:
    client = counting_client()
    retriever = make(client=client, strategy=STRATEGIES["nested"], options=SearchOptions(group_by="metadata.doc"))
    retriever.invoke(QUERY)
    client.calls.clear()
    retriever.invoke(QUERY)
    assert client.calls == ["query_points_groups"]
