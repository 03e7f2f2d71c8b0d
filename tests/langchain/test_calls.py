"""What a call may ask for, and how it is joined with the retriever's own settings."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from langchain_qdrant_rerank import CallOptions, QdrantRerankRetriever
from qdrant_rerank import Formula, Fusion, Nearest, Query, QueryError, SearchOptions, param, score
from tests.langchain.support import CANDIDATES, QUERY, STRATEGIES, WordEmbeddings, assert_same, ids, make, must
from tests.support import bm25, colbert, dense


def values(documents: list[Any], key: str) -> set[Any]:
    """The values of a metadata key."""
    return {document.metadata[key] for document in documents}


def test_the_calls_filter_is_anded_with_the_retrievers() -> None:
    retriever = make(filter=must("category", "news"), k=24)
    assert len(retriever.invoke(QUERY)) == 8
    documents = retriever.invoke(QUERY, filter=must("doc", "d2"))
    assert values(documents, "category") == {"news"}
    assert values(documents, "doc") == {"d2"}
    assert retriever.invoke(QUERY, filter=must("category", "blog")) == []


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_a_filter_holds_for_every_strategy(strategy: Any) -> None:
    documents = make(strategy=strategy, k=8).invoke(QUERY, filter=must("category", "news"))
    assert values(documents, "category") == {"news"}


def test_k_and_offset_choose_a_part_of_the_ranking() -> None:
    retriever = make(k=6)
    ranking = ids(retriever.invoke(QUERY))
    assert ids(retriever.invoke(QUERY, k=2)) == ranking[:2]
    assert ids(retriever.invoke(QUERY, k=2, offset=3)) == ranking[3:5]


def test_none_means_the_retrievers_own_setting() -> None:
    retriever = make(k=3, filter=must("category", "news"))
    assert_same(retriever.invoke(QUERY, k=None, filter=None, strategy=None), retriever.invoke(QUERY))


def test_a_calls_score_threshold_goes_before_the_retrievers() -> None:
    scores = [document.metadata["score"] - 1e-6 for document in make(k=24).invoke(QUERY)]  # local mode varies by as much
    retriever = make(k=24, score_threshold=scores[5])
    assert len(retriever.invoke(QUERY)) == 6
    assert len(retriever.invoke(QUERY, score_threshold=scores[2])) == 3


def test_a_calls_strategy_goes_before_the_retrievers() -> None:
    retriever = make(strategy=STRATEGIES["dense"])
    assert ids(retriever.invoke(QUERY, strategy=STRATEGIES["sparse"])) == ids(make(strategy=STRATEGIES["sparse"]).invoke(QUERY))


def test_features_reach_the_formula() -> None:
    strategy = Formula(score() + param("bonus", default=0)).over(Nearest("dense"))
    plain, raised = (make(strategy=strategy).invoke(QUERY, params=features) for features in (None, {"bonus": 100}))
    assert raised[0].metadata["score"] == pytest.approx(plain[0].metadata["score"] + 100)


def test_group_by_returns_k_groups_of_group_size() -> None:
    retriever = make(k=2, options=SearchOptions(group_by="metadata.category", group_size=3))
    documents = retriever.invoke(QUERY)
    assert len(documents) == 6
    assert len(values(documents, "category")) == 2
    assert len(values(retriever.invoke(QUERY, k=3, options=replace(retriever.options, group_size=1)), "category")) == 3
    assert len(make(k=4).invoke(QUERY, options=SearchOptions(group_by="metadata.doc"))) == 4


@pytest.mark.parametrize(
    "vectors", [{"dense": dense(QUERY)}, dense(QUERY), np.array(dense(QUERY))], ids=["named", "bare", "numpy"]
)
async def test_a_vector_that_the_caller_has_is_not_embedded_again(vectors: Any) -> None:
    expected = ids(make(strategy=Nearest("dense")).invoke(QUERY))
    embeddings = WordEmbeddings()
    retriever = make(strategy=Nearest("dense"), embedding=embeddings)
    assert ids(retriever.invoke("something else", vectors=vectors)) == expected
    assert ids(await retriever.ainvoke("something else", vectors=vectors)) == expected
    assert embeddings.calls == []


def test_a_bare_vector_is_the_only_one_that_the_strategy_compares() -> None:
    assert ids(make(strategy=Nearest("bm25")).invoke("", vectors=bm25(QUERY))) == ids(
        make(strategy=Nearest("bm25")).invoke(QUERY)
    )
    assert ids(make(strategy=Nearest("colbert")).invoke("", vectors=colbert(QUERY))) == ids(
        make(strategy=Nearest("colbert")).invoke(QUERY)
    )


def test_a_bare_vector_is_the_only_dense_one_of_several_and_the_text_is_embedded_for_the_others() -> None:
    strategy = Fusion.rrf().over(*CANDIDATES)
    embeddings = WordEmbeddings()
    documents = make(strategy=strategy, embedding=embeddings).invoke(QUERY, vectors=dense(QUERY))
    assert_same(documents, make(strategy=strategy).invoke(QUERY))
    assert embeddings.calls == []


def test_a_bare_vector_that_could_be_several_is_refused() -> None:
    strategy = Nearest("colbert").over(Nearest("bm25"))
    with pytest.raises(QueryError, match=r"which vector is this\? The strategy compares 'bm25', 'colbert': pass vectors="):
        make(strategy=strategy).invoke(QUERY, vectors=dense(QUERY))


@pytest.mark.parametrize("kind", ["embedding", "function", "encoder"])
def test_encoders_by_name_go_before_embeddings(kind: str) -> None:
    class Encoder:
        def encode_query(self, text: str) -> list[float]:
            return dense(QUERY)

        def encode_documents(self, texts: Any) -> Any:
            raise NotImplementedError

    class Fixed(WordEmbeddings):
        def embed_query(self, text: str) -> list[float]:
            return dense(QUERY)

    encoder = {"embedding": Fixed(), "function": lambda text: dense(QUERY), "encoder": Encoder()}[kind]
    embeddings = WordEmbeddings()
    retriever = make(encoders={"dense": encoder}, embedding=embeddings, strategy=Nearest("dense"))
    assert ids(retriever.invoke("something else")) == ids(make(strategy=Nearest("dense")).invoke(QUERY))
    assert embeddings.calls == []


async def test_async_calls_use_the_embeddings_own_async_method() -> None:
    embeddings = WordEmbeddings()
    await make(embedding=embeddings, strategy=STRATEGIES["rrf"]).ainvoke(QUERY)
    assert embeddings.calls == ["aembed_query"]


def test_verbose_is_tolerated() -> None:
    assert_same(make(strategy=Nearest()).invoke(QUERY, verbose=True), make().invoke(QUERY))


def test_every_way_to_search_takes_the_same_keyword_only_parameters() -> None:
    cls = QdrantRerankRetriever
    ways: list[Any] = [
        cls._get_relevant_documents,
        cls._aget_relevant_documents,
        cls.search_batch,
        cls.asearch_batch,
        cls.describe,
    ]
    for way in ways:
        parameters = inspect.signature(way).parameters.values()
        keywords = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
        assert [name for name in keywords if name != "run_manager"] == list(CallOptions.__annotations__)
        assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def test_a_query_object_is_only_for_batches() -> None:
    documents = make(strategy=Nearest("dense")).search_batch([Query(vectors={"dense": dense(QUERY)})])
    assert ids(documents[0]) == ids(make(strategy=Nearest("dense")).invoke(QUERY))


def test_a_field_that_is_another_object_counts_from_the_next_call_on() -> None:
    retriever = make(k=6, strategy=Nearest("dense"), encoders={"dense": dense})
    whole = ids(retriever.invoke(QUERY))
    assert retriever._get_ls_params()["qdrant_k"] == 6  # type: ignore[typeddict-item]
    retriever.k = 2
    assert ids(retriever.invoke(QUERY)) == whole[:2]
    assert retriever._get_ls_params()["qdrant_k"] == 2  # type: ignore[typeddict-item]
    retriever.filter = must("category", "news")
    assert values(retriever.invoke(QUERY), "category") == {"news"}
    assert retriever.filter is not None
    retriever.filter.must = must("category", "blog").must  # in its place
    assert values(retriever.invoke(QUERY), "category") == {"blog"}
    retriever.encoders["dense"] = lambda text: dense("something else")  # type: ignore[index]
    retriever.filter, retriever.k = None, 6
    assert ids(retriever.invoke(QUERY)) == ids(make(k=6, strategy=Nearest("dense")).invoke("something else"))
    assert ids(retriever.model_copy(update={"k": 1}).invoke(QUERY)) == ids(retriever.invoke(QUERY))[:1]


def test_params_that_are_changed_in_place_count_from_the_next_call_on() -> None:
    formula = Formula(score() + param("boost")).over(Nearest("dense", limit=24))
    retriever = make(strategy=formula, params={"boost": 0.0}, k=1)
    [before] = retriever.invoke(QUERY)
    retriever.params["boost"] = 10.0  # type: ignore[index]
    [after] = retriever.invoke(QUERY)
    assert after.metadata["score"] == pytest.approx(before.metadata["score"] + 10.0, abs=1e-4)


def test_an_option_that_few_need_is_pointed_to_its_place() -> None:
    with pytest.raises(TypeError, match=r"no option 'stable_ties'; it takes .*: pass options=SearchOptions\(stable_ties=…\)"):
        make().invoke("fox", stable_ties=True)
