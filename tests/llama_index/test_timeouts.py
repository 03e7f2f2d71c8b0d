"""`timeout=` of the retriever and the postprocessor: a call ends in time, whatever hangs; and what is made is closed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from qdrant_client import QdrantClient

from llama_index_qdrant_rerank import (
    ParamsQueryBundle,
    QdrantRerankPostprocessor,
    QdrantRerankRetriever,
    RerankerPostprocessor,
)
from qdrant_rerank import Formula, Nearest, PlanWarning, QueryError, score
from qdrant_rerank.errors import ClientError
from tests.slow_qdrant import (
    LIMIT,
    LONGER,
    READ_BY_A_MODEL,
    STRATEGIES,
    AwaitedModel,
    HangingModel,
    How,
    SlowQdrant,
    all_at_once,
    all_awaited,
    check_ends,
)
from tests.stub_qdrant import StubQdrant, collection
from tests.support import refused

ASKED = ParamsQueryBundle("fox", vectors={"dense": [1.0, 0.0, 0.0, 0.0]})


def scores(query: str, texts: Any) -> list[float]:
    return [0.0 for _ in texts]


def over(server: StubQdrant, **settings: Any) -> QdrantRerankRetriever:
    client = QdrantClient(url=server.url, check_compatibility=False, verify=False)  # reads no certificates: they take long
    return QdrantRerankRetriever(client=client, collection_name="docs", similarity_top_k=3, payload="flat", **settings)


async def retrievers(server: SlowQdrant, **settings: Any) -> dict[str, QdrantRerankRetriever]:
    """One for each strategy, that know the collection already."""
    used = {"reranker": scores, "timeout": LIMIT} | settings
    plain = {**used, "reranker": None}  # strategies that ask none refuse one
    made = {
        name: over(server, strategy=strategy, **(plain if strategy.model_use == "none" else used))
        for name, strategy in STRATEGIES.items()
    }
    for retriever in made.values():
        retriever._source.executor().target()
        await retriever._source.async_executor().target()
    return made


@pytest.mark.parametrize("how", ["hangs", "drips"])
async def test_a_call_ends_in_time_whatever_the_strategy_and_the_server_do(how: How) -> None:
    with SlowQdrant(how) as server:
        known = await retrievers(server)
        check_ends(all_at_once({n: partial(r.retrieve, ASKED) for n, r in known.items()}), "searching$")
        check_ends(await all_awaited({n: partial(r.aretrieve, ASKED) for n, r in known.items()}), "searching$")
        patient = (await retrievers(server, timeout=60.0))["nearest"]
        check_ends(all_at_once({"batch": partial(patient.retrieve_batch, [ASKED], timeout=LIMIT)}), "searching$")
        check_ends(await all_awaited({"batch": partial(patient.aretrieve_batch, [ASKED], timeout=LIMIT)}), "searching$")


@pytest.mark.parametrize("model", [HangingModel, AwaitedModel])
async def test_a_call_ends_in_time_whatever_models_do(model: type[HangingModel]) -> None:
    hanging = model()
    with SlowQdrant("hangs", after=100) as server:
        known = await retrievers(server, reranker=hanging, timeout=LONGER)
        asked = {name: known[name] for name in READ_BY_A_MODEL}
        check_ends(all_at_once({n: partial(r.retrieve, ASKED) for n, r in asked.items()}), "scoring 5 texts$", LONGER)
        check_ends(await all_awaited({n: partial(r.aretrieve, ASKED) for n, r in asked.items()}), "scoring 5 texts$", LONGER)
        known = await retrievers(server, encoders={"dense": hanging})
        check_ends(all_at_once({n: partial(r.retrieve, "fox") for n, r in known.items()}), "embedding the query for 'dense'$")
        ended = await all_awaited({n: partial(r.aretrieve, "fox") for n, r in known.items()})
        check_ends(ended, "embedding the query for 'dense'$")
    hanging.free.set()


NODES = [NodeWithScore(node=TextNode(text=text, id_=f"0000000{text}-0000-0000-0000-000000000000"), score=0.5) for text in "12"]


@pytest.mark.parametrize("model", [HangingModel, AwaitedModel])
async def test_a_postprocessor_s_model_ends_in_time(model: type[HangingModel]) -> None:
    hanging, bundle = model(), QueryBundle("fox")
    made = RerankerPostprocessor(reranker=hanging, timeout=LIMIT)
    check_ends(all_at_once({"sync": partial(made.postprocess_nodes, NODES, bundle)}), "scoring 2 texts$")
    check_ends(await all_awaited({"async": partial(made.apostprocess_nodes, NODES, bundle)}), "scoring 2 texts$")
    kept = RerankerPostprocessor(reranker=hanging, timeout=LIMIT, on_error="keep_order")
    with pytest.warns(PlanWarning, match="TimeoutError"):
        assert [each.text for each in kept.postprocess_nodes(NODES, bundle)] == ["1", "2"]
    made.close()
    with refused(ClientError, "are closed"):
        made.postprocess_nodes(NODES, bundle)
    await kept.aclose()
    hanging.free.set()


@pytest.mark.parametrize("how", ["hangs", "drips"])
async def test_a_postprocessor_s_search_ends_in_time(how: How) -> None:
    with SlowQdrant(how) as server:
        client = QdrantClient(url=server.url, check_compatibility=False)
        made = QdrantRerankPostprocessor(
            Formula(2 * score()),
            client=client,
            collection_name="docs",
            timeout=LIMIT,
            encoders={"dense": lambda text: [1.0] * 4},
        )
        assert made._source is not None
        made._source.executor().target()
        await made._source.async_executor().target()
        bundle = QueryBundle("fox")
        check_ends(all_at_once({"sync": partial(made.postprocess_nodes, NODES, bundle)}), "searching$")
        check_ends(await all_awaited({"async": partial(made.apostprocess_nodes, NODES, bundle)}), "searching$")
        await made.aclose()
        made.close()
        with refused(ClientError, "this is closed"):
            made.postprocess_nodes(NODES, bundle)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), "soon", True])
def test_a_timeout_is_a_finite_number_above_0(timeout: Any) -> None:
    message = "timeout must be a finite number of seconds above 0"
    with pytest.raises(QueryError, match=message):
        RerankerPostprocessor(reranker=scores, timeout=timeout)
    retriever = QdrantRerankRetriever(client=QdrantClient(":memory:"), collection_name="docs")
    with pytest.raises(QueryError, match=message):
        retriever.with_options(timeout=timeout)


async def test_a_closed_retriever_answers_nothing_and_leaves_what_it_was_given_open() -> None:
    with StubQdrant([{"id": 1, "score": 0.5, "payload": {"text": "one"}}], {"docs": collection({"dense": 4})}) as server:
        with over(server, strategy=Nearest("dense")) as retriever:
            assert retriever.retrieve(ASKED)
            copy = retriever.with_options(similarity_top_k=1)
        for each in (retriever, copy):
            with refused(ClientError, "this is closed", "make another"):
                each.retrieve(ASKED)
            with refused(ClientError, "this is closed"):
                await each.aretrieve(ASKED)
        given: Any = retriever.client
        assert not given._client.closed
        async with over(server, strategy=Nearest("dense")) as other:
            assert await other.aretrieve(ASKED)
            made: Any = other._source.async_executor().clients.asynchronous()
        assert made._client.closed


def test_from_edge_closes_its_folder_at_the_end(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    for _ in range(2):  # one owner at a time
        with QdrantRerankRetriever.from_edge(tmp_path / "folder", "docs") as retriever:
            assert retriever.client is not None
