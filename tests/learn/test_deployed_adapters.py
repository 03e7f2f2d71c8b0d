"""A learned ranker from its file in both frameworks' retrievers: the same scores, refused and warned of alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.schema import QueryBundle
from qdrant_client import QdrantClient, models

import langchain_qdrant_rerank
import llama_index_qdrant_rerank
from qdrant_rerank import Formula, Nearest, PlanError, PlanWarning, field, load, save, score
from qdrant_rerank._internals import Reference
from qdrant_rerank.learn import Feature, LearnedRanker, Training
from tests.learn.logs import POINTS, world
from tests.support import CountingClient, refused

FEATURES = {"dense": Feature(score("dense")), "year": Feature(field("year", default=2000.0))}


def vector(text: str) -> list[float]:
    return [1.0, 0.0, 0.5, 0.0, -0.2, 0.0, 0.0, 0.1]


@pytest.fixture
def client() -> CountingClient:
    made = CountingClient()
    world(made)
    made.set_payload("films", {"text": "a film"}, points=models.Filter())
    return made


@pytest.fixture
def file(client: QdrantClient, tmp_path: Path) -> Path:
    years = [float((record.payload or {})["year"]) for record in client.scroll("films", limit=POINTS)[0]]
    ranker = LearnedRanker(
        margin=2.0 * score("dense") + 0.05 * (field("year", default=2000.0) - 1990.0),
        candidates=(Nearest("dense", limit=30),),
        features=FEATURES,
        training=Training("f", ("q",), 100, 10, "pointwise"),
        reference={"year": Reference.of(np.array(years))},
    )
    ranker.save(tmp_path / "ranker.json")
    return tmp_path / "ranker.json"


class _LangChain:
    def __init__(self, client: QdrantClient, strategy: Any) -> None:
        self.retriever = langchain_qdrant_rerank.QdrantRerankRetriever(
            client=client, collection_name="films", encoders={"dense": vector}, strategy=strategy, k=5, payload="flat"
        )

    def sync(self) -> list[float]:
        return [score for _, score in self.retriever.search_with_scores("a film")]

    async def awaited(self) -> list[float]:
        return [score for _, score in await self.retriever.asearch_with_scores("a film")]


class _LlamaIndex:
    def __init__(self, client: QdrantClient, strategy: Any) -> None:
        self.retriever = llama_index_qdrant_rerank.QdrantRerankRetriever(
            client=client, collection_name="films", encoders={"dense": vector}, strategy=strategy, similarity_top_k=5
        )

    def sync(self) -> list[float]:
        return [node.get_score() for node in self.retriever.retrieve(QueryBundle("a film"))]

    async def awaited(self) -> list[float]:
        return [node.get_score() for node in await self.retriever.aretrieve(QueryBundle("a film"))]


@pytest.fixture(params=[_LangChain, _LlamaIndex])
def adapter(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_a_ranker_gives_the_same_probabilities_here_and_in_qdrant(adapter: Any, client: QdrantClient, file: Path) -> None:
    there = adapter(client, Formula.load(file))
    here = adapter(client, Formula.load(file).on_client())
    assert len(there.sync()) == 5
    assert here.sync() == pytest.approx(there.sync(), abs=1e-6)
    assert await here.awaited() == here.sync()
    assert await there.awaited() == there.sync()


def test_a_formula_on_the_client_travels_as_a_file(adapter: Any, client: QdrantClient, file: Path, tmp_path: Path) -> None:
    save(Formula.load(file).on_client(), tmp_path / "here.json")
    assert adapter(client, load(tmp_path / "here.json")).sync() == adapter(client, Formula.load(file).on_client()).sync()


@pytest.mark.parametrize("on_client", [False, True])
async def test_a_collection_that_lacks_its_keys_is_refused(
    adapter: Any, client: QdrantClient, file: Path, on_client: bool
) -> None:
    client.delete_payload("films", ["year"], points=models.Filter())
    formula = Formula.load(file)
    retriever = adapter(client, formula.on_client() if on_client else formula)
    with refused(PlanError, "reads 'year', but no point of 'films' has a number there"):
        retriever.sync()
    with refused(PlanError, "reads 'year', but no point of 'films' has a number there"):
        await retriever.awaited()
    with pytest.warns(PlanWarning, match="no point of 'films' has 'year'"):
        assert len(adapter(client, formula.uncheck()).sync()) == 5


async def test_values_that_have_moved_are_warned_of_once(adapter: Any, client: CountingClient, file: Path) -> None:
    client.set_payload("films", {"year": 3000}, points=models.Filter())
    retriever = adapter(client, load(file))
    with pytest.warns(PlanWarning, match="feature 'year' is far from what it was trained on"):
        retriever.sync()
    start = len(client.calls)
    retriever.sync()  # and no second time: warnings are errors here
    assert client.calls[start:] == ["query_points"]
