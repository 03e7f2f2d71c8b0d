"""In the place of `store.as_retriever()` it finds the same documents, and says what is called otherwise."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from langchain_classic.retrievers.multi_query import MultiQueryRetriever
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_qdrant import QdrantVectorStore, RetrievalMode
from pydantic import ValidationError
from qdrant_client import models

from langchain_qdrant_rerank import QdrantRerankRetriever
from qdrant_rerank import (
    Formula,
    Fusion,
    Mmr,
    Nearest,
    Query,
    RankedPoint,
    Rerank,
    SearchOptions,
    StrategyError,
    field,
    param,
    score,
)
from tests.engines import current, open_client, skip_on_shards
from tests.langchain.models import Lengths
from tests.langchain.support import DOCS, QUERY, STRATEGIES, WordEmbeddings, ids, make, must
from tests.langchain.test_documents import documents
from tests.support import near

TEXTS = [f"quick fox number {number}" for number in range(12)]


@pytest.fixture
def store() -> QdrantVectorStore:
    client = open_client()
    client.create_collection("trips", vectors_config=models.VectorParams(size=4, distance=models.Distance.COSINE))
    made = QdrantVectorStore(client, "trips", WordEmbeddings(), retrieval_mode=RetrievalMode.DENSE)
    made.add_texts(TEXTS, [{"number": number} for number in range(12)])
    return made


def several_queries(retriever: Any) -> list[str]:
    """The texts that a MultiQueryRetriever finds by three queries."""
    llm = FakeListChatModel(responses=["quick fox number 1\nquick fox number 3\nfox"])
    return [found.page_content for found in MultiQueryRetriever.from_llm(retriever, llm).invoke("fox")]


@pytest.mark.parametrize("reranked", [False, True])
def test_a_document_that_several_queries_find_comes_once(store: QdrantVectorStore, reranked: bool) -> None:
    changed: dict[str, Any] = {"strategy": Rerank(reads=12).over(Nearest()), "reranker": Lengths()} if reranked else {}
    ours = several_queries(QdrantRerankRetriever.from_vector_store(store, k=4, **changed))
    assert len(ours) == len(set(ours))
    if not reranked:
        assert ours == several_queries(store.as_retriever(search_kwargs={"k": 4}))
    with_scores = QdrantRerankRetriever.from_vector_store(store, k=4, score_key="score", **changed)
    assert len(several_queries(with_scores)) > len(ours)


def test_documents_are_equal_to_the_stores(store: QdrantVectorStore) -> None:
    theirs = store.as_retriever(search_kwargs={"k": 3}).invoke("fox number 3")
    ours = QdrantRerankRetriever.from_vector_store(store, k=3).invoke("fox number 3")
    assert [each.model_copy(update={"id": None}) for each in ours] == theirs
    assert ids(ours) == [each.metadata["_id"] for each in theirs]


async def test_scores_come_beside_the_documents() -> None:
    retriever = make(score_key=None, k=3)
    found = retriever.search_with_scores(QUERY, filter=must("category", "news"))
    expected = make(k=3).invoke(QUERY, filter=must("category", "news"))
    assert near([points for _, points in found]) == near([each.metadata["score"] for each in expected])
    assert all("score" not in each.metadata for each, _ in found)
    if current().kind == "local":
        assert [each.id for each, _ in found] == ids(expected)
    again = await retriever.asearch_with_scores(QUERY, filter=must("category", "news"))
    assert near([points for _, points in again]) == near([points for _, points in found])
    by_vector = retriever.search_with_scores(Query(QUERY, vectors={"dense": [1.0, 0.0, 0.0, 0.0]}))
    assert len(by_vector) == 3
    with pytest.raises(TypeError, match="a call has no option 'limit'"):
        retriever.search_with_scores(QUERY, limit=3)  # type: ignore[call-arg]


def test_a_document_in_several_groups_has_the_score_of_its_best_rank() -> None:
    options = SearchOptions(group_by="metadata.category", group_size=3)
    found = make(score_key=None, k=5).search_with_scores(QUERY, options=options)
    scores = {each.id: each.metadata["score"] for each in make(k=5).invoke(QUERY, options=options)}
    assert near({each.id: points for each, points in found}) == near(scores)


def test_without_a_score_key_notes_say_no_more_than_that_a_reranker_failed() -> None:
    notes: list[dict[str, Any]] = [
        {"relevance_score": 0.5, "retrieval_score": 0.1},
        {"not_reranked": "no text"},
        {"not_reranked": "beyond what the model reads"},
        {"not_reranked": "TimeoutError", "retrieval_score": 0.1},
    ]
    noted = [
        RankedPoint(id=number, version=0, score=0.5, payload={"page_content": "t"}, notes=own)
        for number, own in enumerate(notes)
    ]
    found = [each.metadata.keys() - {"_id", "_collection_name"} for each in documents(*noted, score_key=None)]
    assert found == [set(), set(), set(), {"not_reranked"}]


# What is called otherwise

OF_MMR = r"strategy=Mmr\(diversity={}, candidates_limit={}\)"
TRANSLATED = [
    ({"search_kwargs": {"k": 5}}, r"search_kwargs is of as_retriever\(\), not of this retriever: pass k=5 instead($| .type)"),
    ({"search_type": "similarity"}, "search_type is of .*: leave it out($| .type)"),
    ({"search_type": "similarity", "search_kwargs": {}}, "search_type and search_kwargs are of .*: leave it out($| .type)"),
    ({"search_kwargs": {"filter": {"a": "secret"}, "offset": 2}}, r"pass filter=…, offset=2 instead($| .type)"),
    ({"search_type": "mmr"}, OF_MMR.format(0.5, 20)),
    (
        {"search_type": "mmr", "search_kwargs": {"k": 3, "lambda_mult": 0.7, "fetch_k": 50}},
        OF_MMR.format(0.7, 50) + ", k=3 instead .*hands lambda_mult to Qdrant as the diversity.* write 1 minus it",
    ),
    ({"fetch_k": 30}, OF_MMR.format(0.5, 30)),
    ({"lambda_mult": 0.25}, OF_MMR.format(0.25, 20)),
    ({"lambda_mult": "all"}, OF_MMR.format("…", 20)),
    (
        {"search_type": "similarity_score_threshold", "search_kwargs": {"score_threshold": 0.8}},
        r"pass score_threshold=0\.6 instead \(their threshold t compares \(cosine \+ 1\) / 2",
    ),
    ({"search_type": "similarity_score_threshold", "score_threshold": 0.5}, r"pass score_threshold=0 instead"),
    (
        {"search_type": "similarity_score_threshold", "search_kwargs": {"score_threshold": "x"}},
        r"pass score_threshold=… instead",
    ),
    ({"search_type": "similarity_score_threshold"}, r"pass score_threshold=… instead"),
    ({"search_kwargs": {"score_threshold": 0.8}}, r"pass score_threshold=0.8 instead($| .type)"),
    ({"search_kwargs": {"search_params": models.SearchParams(exact=True)}}, r"pass options=SearchOptions\(search_params=…\)"),
    (
        {"search_kwargs": {"timeout": 3, "hybrid_fusion": models.FusionQuery(fusion=models.Fusion.RRF)}},
        r"pass timeout=3, strategy=Fusion.rrf\(\).over\(Nearest\(''",
    ),
    (
        {"search_kwargs": {"hybrid_fusion": models.FusionQuery(fusion=models.Fusion.DBSF)}},
        r"pass strategy=Fusion.dbsf\(\).over\(",
    ),
    (
        {"search_kwargs": {"search_params": models.SearchParams(exact=True), "consistency": "all"}},
        r"pass options=SearchOptions\(search_params=…, consistency=…\) instead",
    ),
    ({"search_kwargs": {"namespace": "x"}}, r"leave it out \(namespace has no counterpart here\)"),
    ({"search_kwargs": {"k": 3, "with_vectors": True}}, r"pass k=3 instead \(with_vectors has no counterpart here\)"),
    ({"search_type": "nope"}, r"leave it out \(there is no such search_type, but 'similarity', 'mmr', 'similarity_score_thres"),
    ({"search_kwargs": [("k", 3)]}, "leave it out"),
]


@pytest.mark.parametrize(("given", "said"), TRANSLATED)
async def test_arguments_of_as_retriever_are_errors_that_say_what_to_pass(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        make(**given)
    assert "secret" not in str(caught.value)
    call = {name: value for name, value in given.items() if name != "score_threshold"}
    if call == given:
        with pytest.raises(TypeError, match=said):
            make().invoke(QUERY, **call)
        with pytest.raises(TypeError, match=said):
            await make().ainvoke(QUERY, **call)


@pytest.mark.parametrize("given", [given for given, _ in TRANSLATED])
def test_what_is_told_to_pass_is_python_that_a_retriever_takes(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**given)
    said = re.search(r"retriever: pass (.*?) instead", str(caught.value))
    if said is None:
        assert "leave it out" in str(caught.value)
        return
    names = {"Mmr": Mmr, "Fusion": Fusion, "Nearest": Nearest, "SearchOptions": SearchOptions}
    written = f"dict({said[1].replace('…', '...')})"  # an ellipsis stands for what the reader has
    compile(written, "told", "eval")
    if "…" not in said[1]:
        arguments = eval(written, names)
        call: Any = {name: arguments.pop(name) for name in ("k", "offset") if name in arguments}
        assert make(**arguments)._call(call).options.limit == call.get("k", make().k)


@pytest.mark.parametrize("theirs", [0.5, 0.97, 0.99])
def test_the_threshold_that_is_told_lets_the_same_documents_through(store: QdrantVectorStore, theirs: float) -> None:
    kwargs = {"k": 12, "score_threshold": theirs}
    with pytest.raises(ValidationError) as caught:
        QdrantRerankRetriever.from_vector_store(store, search_type="similarity_score_threshold", search_kwargs=kwargs)
    threshold = float(str(caught.value).split("score_threshold=")[1].split()[0])
    ours = QdrantRerankRetriever.from_vector_store(store, k=12, score_threshold=threshold).invoke(TEXTS[3])
    found = store.as_retriever(search_type="similarity_score_threshold", search_kwargs=kwargs).invoke(TEXTS[3])
    assert 0 < len(found) == len(ours)
    assert {each.page_content for each in found} == {each.page_content for each in ours}


def test_the_diversity_that_is_told_finds_the_same_documents(store: QdrantVectorStore) -> None:
    skip_on_shards("langchain-qdrant takes what each shard chose, in any order; ours asks for the candidates first")
    kwargs = {"k": 4, "lambda_mult": 0.7, "fetch_k": 10}
    theirs = store.as_retriever(search_type="mmr", search_kwargs=kwargs).invoke("fox")
    told = Mmr(diversity=0.7, candidates_limit=10)
    ours = QdrantRerankRetriever.from_vector_store(store, k=4, strategy=told).invoke("fox")
    assert [each.page_content for each in ours] == [each.page_content for each in theirs]


# LCEL

BUDGET = Formula(score() + param("weight") * field("metadata.popularity", default=0)).over(Nearest("dense", limit=24))


def first(found: list[Document]) -> str | None:
    return found[0].id


async def test_params_are_a_field_and_a_calls_are_added() -> None:
    retriever = make(strategy=BUDGET, params={"weight": 100.0, "unread": "x"})
    assert first(retriever.invoke(QUERY)) == first(make(strategy=BUDGET).invoke(QUERY, params={"weight": 100.0}))
    assert first(retriever.invoke(QUERY, params={"weight": 0.0})) == first(make().invoke(QUERY))
    assert first(retriever.bind(params={"weight": 0.0}).invoke(QUERY)) == first(make().invoke(QUERY))
    configurable = retriever.configurable_fields(params=ConfigurableField(id="params"))
    config: Any = {"configurable": {"params": {"weight": 0.0}}}
    assert first(await configurable.ainvoke(QUERY, config)) == first(make().invoke(QUERY))
    assert first((await configurable.abatch([QUERY], config))[0]) == first(make().invoke(QUERY))
    assert "100.0" not in repr(retriever)  # they may be a user's
    for wrong in ("weight", {1: 2}):
        with pytest.raises(ValidationError, match="params takes request-time values by name"):
            make(params=wrong)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_dump_keeps_the_kinds_of_strategies_and_makes_the_same_retriever(name: str) -> None:
    retriever = make(strategy=STRATEGIES[name])
    dumped = retriever.model_dump()
    assert dumped["strategy"]["kind"]
    assert json.loads(retriever.model_dump_json())["strategy"] == dumped["strategy"]
    assert make(strategy=dumped["strategy"]).strategy == STRATEGIES[name]


def test_a_strategy_of_ones_own_is_dumped_as_text_and_one_that_is_none_is_refused() -> None:
    class Own(Nearest):
        pass

    assert make(strategy=Own("dense")).model_dump()["strategy"] == "Own('dense')"
    with pytest.raises(ValidationError, match=r"unknown kind of strategy 'nearst'.*did you mean 'nearest'"):
        make(strategy={"kind": "nearst"})


def test_the_schema_of_a_config_is_published() -> None:
    names = ("k", "strategy", "filter", "score_threshold", "params", "timeout", "options", "explanations")
    fields: Any = {name: ConfigurableField(id=name) for name in names}
    configurable = make(strategy=STRATEGIES["formula"]).configurable_fields(**fields)
    properties = configurable.get_config_jsonschema()["$defs"]["Configurable"]["properties"]
    assert set(properties) == set(names)
    assert properties["k"] == {"default": 4, "title": "K", "type": "integer"}
    assert properties["strategy"]["default"]["kind"] == "formula"
    assert properties["strategy"]["type"] == "object"
    sent: Any = {"configurable": {"strategy": {"kind": "nearest", "using": "bm25"}}}  # as JSON has it
    assert ids(configurable.invoke(QUERY, sent)) == ids(make(strategy=STRATEGIES["sparse"]).invoke(QUERY))
    described = ConfigurableField(id="s", annotation=dict)
    annotated: Any = make().configurable_fields(strategy=described).config_specs[0]
    assert annotated.annotation is dict


# Traces


@pytest.mark.filterwarnings("ignore:no point of 'docs' has 'metadata.tenant':qdrant_rerank.PlanWarning")
async def test_traces_carry_strategy_k_collection_and_the_filters_keys() -> None:
    runs = RunCollectorCallbackHandler()
    mine = must("tenant", "acme")
    retriever = make(strategy=STRATEGIES["formula_two_candidates"], fixed_filter=mine, filter=must("category", "news"))
    config: Any = {"callbacks": [runs]}
    retriever.invoke(QUERY, config, k=3, filter=must("lang", "de"))
    await retriever.ainvoke(QUERY, config)
    retriever.search_batch([QUERY], config, k=2)
    seen = [run.metadata or {} for run in runs.traced_runs]
    assert [each["qdrant_k"] for each in seen] == [3, 4, 2]
    assert seen[0]["qdrant_collection"] == DOCS
    assert seen[0]["qdrant_strategy"] == "Formula(Nearest('dense'), Nearest('bm25'))"
    assert seen[0]["qdrant_filter_keys"] == ["metadata.category", "metadata.lang", "metadata.tenant"]
    assert seen[1]["qdrant_filter_keys"] == ["metadata.category", "metadata.tenant"]
    for each in seen:
        assert "acme" not in str(each)
        assert each["ls_vector_store_provider"] == "QdrantVectorStore"


def test_traces_of_a_call_that_cant_be_say_so_without_failing_themselves() -> None:
    runs = RunCollectorCallbackHandler()
    wrong: Any = {"k": "three", "filter": "all", "strategy": "best"}
    with pytest.raises((StrategyError, ValueError)):
        make().invoke(QUERY, {"callbacks": [runs]}, **wrong)
    [run] = runs.traced_runs
    assert run.metadata is not None
    assert (run.metadata["qdrant_strategy"], run.metadata["qdrant_k"]) == ("str", "three")
    assert run.metadata["qdrant_filter_keys"] == []
