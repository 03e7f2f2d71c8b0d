"""Bad input is answered by an error that says what is wrong, what there is, and what to do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from llama_index.core.schema import QueryBundle
from llama_index.core.vector_stores.types import MetadataFilters, VectorStoreQueryMode
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from llama_index_qdrant_rerank import ParamsQueryBundle, QdrantRerankRetriever
from qdrant_rerank import (
    Formula,
    Fusion,
    Nearest,
    PlanError,
    PlanWarning,
    QueryError,
    SearchOptions,
    StrategyError,
    field,
    load,
    param,
    score,
)
from qdrant_rerank.errors import ClientError, FormatError, PayloadError
from tests.engines import open_async_client, open_client
from tests.llama_index.stores import TinyEmbedding, nodes, store
from tests.support import COLLECTION, QUERY, bm25, create_toy, dense, fill_toy


def retriever(client: Any, **arguments: Any) -> QdrantRerankRetriever:
    settings: dict[str, Any] = {
        "client": client,
        "collection_name": COLLECTION,
        "embed_model": TinyEmbedding(),
        "payload": "flat",
    }
    return QdrantRerankRetriever(**(settings | arguments))


def test_a_reranker_that_the_strategy_does_not_ask_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"the reranker would read nothing: the strategy Nearest\(\) asks none"):
        retriever(open_client(), reranker=lambda query, texts: [0.0 for _ in texts])


STRATEGIES: list[tuple[Any, type[Exception], str]] = [
    (Nearest("colbret"), PlanError, r"no vector named 'colbret'; the collection 'toy' has .*: did you mean 'colbert'\?"),
    (Nearest("bm25"), QueryError, r"nothing to embed the query with for the sparse vector 'bm25': pass encoders=\{'bm25': …\}"),
    (
        Formula(field("rating")).over(Nearest("dense", limit=24)),
        PlanError,
        "reads 'rating' without a default, but e.g. point .*",
    ),
    (
        Nearest("dense").over(Nearest("dense", limit=1)),
        PlanError,
        "the call asks for 2 points, but .* hand on 1: raise the limit",
    ),
    (Formula(score()), PlanError, r"has no candidates to score: add .over\(Nearest\(limit=100\)\)"),
    (Formula(param("budget")).over(Nearest("dense")), QueryError, "the formula needs the request-time value 'budget'"),
]


@pytest.mark.parametrize(("strategy", "kind", "message"), STRATEGIES, ids=lambda each: repr(each)[:40])
async def test_a_strategy_that_doesnt_fit_says_why(toy: QdrantClient, strategy: Any, kind: Any, message: str) -> None:
    own = retriever(toy, strategy=strategy)
    with pytest.raises(kind, match=message):
        own.retrieve(QUERY)
    with pytest.raises(kind, match=message):
        await own.aretrieve(QUERY)


SPARSE = r"Nearest\('text-sparse-new', limit={}\)\)"
TRANSLATED: list[tuple[dict[str, Any], str]] = [
    ({"k": 3}, "k is of LlamaIndex's retriever, not of this one: pass similarity_top_k=3 instead$"),
    ({"k": "secret"}, "pass similarity_top_k=… instead$"),
    ({"vector_store_query_mode": "default"}, "leave it out$"),
    (
        {"vector_store_query_mode": VectorStoreQueryMode.SPARSE},
        r"pass strategy=Nearest\('text-sparse-new'\) instead \(with the",
    ),
    (
        {"vector_store_query_mode": "hybrid", "alpha": 0.5, "sparse_top_k": 7, "hybrid_top_k": 4},
        r"vector_store_query_mode and alpha and sparse_top_k and hybrid_top_k are of .*: pass strategy=Fusion.rrf\(\).over\("
        r"Nearest\('text-dense', limit=100\), " + SPARSE.format(7) + r", similarity_top_k=4 instead \(LlamaIndex adds up",
    ),
    ({"alpha": 0.8}, r"Fusion.rrf\(weights=\[1.6, 0.4\]\).over\(Nearest\('text-dense', limit=100\), " + SPARSE.format(100)),
    ({"alpha": 1.0}, r"Fusion.rrf\(\).over"),
    ({"sparse_top_k": 9}, r"Fusion.rrf\(\).over.*limit=9"),
    ({"vector_store_query_mode": "mmr"}, r"leave it out \(the mode 'mmr' has no counterpart here\)"),
    (
        {"vector_store_kwargs": {"qdrant_filters": models.Filter(), "x": 1}},
        r"pass filter=… instead \(x has no counterpart here\)",
    ),
    ({"vector_store_kwargs": 3}, "leave it out$"),
]
ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"similarity_top_k": 0}, QueryError, "similarity_top_k must be a whole number of at least 1, got 0"),
    ({"similarity_top_k": True}, QueryError, "similarity_top_k must be a whole number of at least 1, got True"),
    ({"filter": {"must": []}}, QueryError, r"filter must be a qdrant_client.models.Filter, got dict \{'must': \[\]\}"),
    ({"filters": {"year": 2020}}, QueryError, r"filters must be LlamaIndex's MetadataFilters, got dict \{'year': 2020\}"),
    ({"strategy": "rrf"}, StrategyError, r"not a strategy: 'rrf'; e.g. Nearest\(\)"),
    ({"options": {"group_by": "x"}}, QueryError, "options must be a qdrant_rerank.SearchOptions, got dict"),
    ({"options": SearchOptions(limit=3)}, QueryError, "limit has an argument of its own: pass similarity_top_k=… instead"),
    ({"options": SearchOptions(with_payload=False)}, QueryError, "with_payload=False leaves nothing to make nodes of"),
    ({"options": SearchOptions(group_size=3)}, QueryError, "group_size has no effect without group_by"),
    ({"payload": "flt"}, StrategyError, r"no payload preset 'flt'; .*did you mean 'flat'\?"),
    ({"embed_model": 5}, StrategyError, "embed_model must be a LlamaIndex embedding model, got int"),
    ({"encoders": {"dense": 5}}, StrategyError, "not an encoder: int"),
    ({"node_ids": ["1", "one"]}, QueryError, "node_ids must be UUIDs or whole numbers, .*, got 'one'"),
    ({"node_ids": "1"}, QueryError, "node_ids must be a list of node ids, got the string '1'"),
    (
        {"doc_ids": ["a"]},
        QueryError,
        "doc_ids are kept by collections that LlamaIndex wrote; with another payload= use filters",
    ),
    ({"doc_ids": "a", "payload": "llama_index"}, QueryError, "doc_ids must be a list of document ids, got 'a'"),
    ({"collection_name": None}, StrategyError, "collection_name must be the name of a collection, got None"),
    ({"client": None}, ClientError, "a Qdrant client is needed: pass client="),
    ({"client": AsyncQdrantClient(":memory:")}, ClientError, "this is an AsyncQdrantClient: pass it as async_client="),
    ({"top_k": 3}, TypeError, "the retriever has no argument 'top_k'"),
    ({"limit": 3}, TypeError, "the retriever has no argument 'limit': pass similarity_top_k=…"),
    ({"group_by": "x"}, TypeError, r"no argument 'group_by': pass options=SearchOptions\(group_by=…\)"),
    ({"others": 3}, TypeError, "the retriever has no argument 'others'"),
    ({"params": "x"}, QueryError, "params= is a map of name to value, .* got 'x'"),
    *((given, TypeError, said) for given, said in TRANSLATED),
]


@pytest.mark.parametrize("given", [given for given, _ in TRANSLATED])
def test_what_is_told_to_pass_instead_of_llama_indexs_arguments_is_python_that_a_retriever_takes(given: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"client": open_client(), "collection_name": COLLECTION, "embed_model": TinyEmbedding()}
    with pytest.raises(TypeError) as caught:
        QdrantRerankRetriever(**settings, **given)
    if said := re.search(r"not of this one: pass (.*?) instead", str(caught.value)):
        arguments = eval(f"dict({said[1].replace('…', '...')})", {"Fusion": Fusion, "Nearest": Nearest})
        if ... not in arguments.values():  # which stands for what the reader has
            assert QdrantRerankRetriever(**settings, **arguments).strategy is not None
    else:
        assert "leave it out" in str(caught.value)


@pytest.mark.parametrize(("arguments", "kind", "message"), ARGUMENTS, ids=lambda each: repr(each)[:40])
def test_an_argument_that_cant_be_is_refused_at_once(toy: QdrantClient, arguments: Any, kind: Any, message: str) -> None:
    settings = {"client": toy, "collection_name": COLLECTION, "embed_model": TinyEmbedding(), "payload": "flat"}
    with pytest.raises(kind, match=message):
        QdrantRerankRetriever(**(settings | arguments))


async def test_a_misspelt_param_is_told_where_the_retriever_has_the_right_one(toy: QdrantClient) -> None:
    strategy = Formula(score() * param("boost")).over(Nearest("dense"))
    own = retriever(toy, strategy=strategy, params={"boost": 1.0})
    said = r"reads no request-time value 'bost'; it reads: 'boost': did you mean 'boost'\?"
    with pytest.raises(QueryError, match=said):
        own.with_options(params={"bost": 2.0})
    with pytest.raises(QueryError, match=said):
        await own.aretrieve(ParamsQueryBundle(QUERY, params={"bost": 2.0}))
    with pytest.raises(QueryError, match="params= is a map"):
        own.with_options(params="x")  # type: ignore[arg-type]
    assert own.with_options(params={"boost": 2.0, "user": 3}).retrieve(QUERY)


async def test_an_unknown_option_of_a_call_is_refused_with_those_that_there_are(toy: QdrantClient) -> None:
    wrong: Any = {"similarity_topk": 3}
    message = r"there is no option 'similarity_topk'; there are doc_ids, .*: did you mean 'similarity_top_k'\?"
    with pytest.raises(TypeError, match=message):
        retriever(toy).with_options(**wrong)
    with pytest.raises(TypeError, match=message):
        retriever(toy).retrieve_batch([QUERY], **wrong)
    with pytest.raises(TypeError, match=message):
        await retriever(toy).aretrieve_batch([QUERY], **wrong)


def test_weights_that_dont_fit_the_candidates_are_refused() -> None:
    with pytest.raises(StrategyError, match="rrf has 3 weights for 2 candidates: give one for each"):
        Fusion.rrf(weights=[1, 2, 3]).over(Nearest("a"), Nearest("b"))


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_an_empty_query_is_refused(toy: QdrantClient, text: str) -> None:
    with pytest.raises(QueryError, match=r"the query's text is empty .* there is nothing to embed for 'dense'"):
        retriever(toy).retrieve(text)
    with pytest.raises(QueryError, match="the query's text is empty"):
        await retriever(toy).aretrieve(text)


def test_queries_that_arent_queries_are_refused(toy: QdrantClient) -> None:
    wrong: Any = [5]
    with pytest.raises(QueryError, match="a query must be a text or a QueryBundle, got int 5"):
        retriever(toy).retrieve_batch(wrong)
    for single in (QUERY, QueryBundle(QUERY)):
        wrong = single
        with pytest.raises(TypeError, match="retrieve_batch takes a list of queries; for a single one call retrieve"):
            retriever(toy).retrieve_batch(wrong)


def test_an_embedding_of_another_size_is_refused(toy: QdrantClient) -> None:
    with pytest.raises(QueryError, match="'dense' has 4 dimensions, the query's has 3: is this the embedding model"):
        retriever(toy).retrieve(QueryBundle(QUERY, embedding=[0.1, 0.2, 0.3]))


def test_a_dense_vector_for_a_sparse_one_is_refused(toy: QdrantClient) -> None:
    with pytest.raises(
        QueryError, match=r"'bm25' is sparse: the query must bring a models.SparseVector, got a list of 4 \(float\)"
    ):
        retriever(toy, strategy=Nearest("bm25")).retrieve(ParamsQueryBundle("", vectors={"bm25": dense("x")}))


@pytest.mark.parametrize("texts", [[], ["fox", " "]])
def test_empty_custom_embedding_strings_are_refused(toy: QdrantClient, texts: list[str]) -> None:
    with pytest.raises(QueryError, match="the query's custom_embedding_strs must be texts that aren't empty, got "):
        retriever(toy).retrieve(QueryBundle(QUERY, custom_embedding_strs=texts))


def test_custom_embedding_strings_cant_be_averaged_by_the_server(toy: QdrantClient) -> None:
    own = retriever(toy, encoders={"dense": lambda text: models.Document(text=text, model="x")})
    with pytest.raises(QueryError, match="the encoder of 'dense' leaves embedding to the server: custom_embedding_strs can't"):
        own.retrieve(QueryBundle(QUERY, custom_embedding_strs=["a", "b"]))


def test_an_image_is_refused_unless_it_comes_with_its_vector(toy: QdrantClient) -> None:
    with pytest.raises(QueryError, match="the query is an image, and this package embeds text"):
        retriever(toy).retrieve(QueryBundle(QUERY, image_path="cat.png"))
    assert len(retriever(toy).retrieve(QueryBundle(QUERY, image_path="cat.png", embedding=dense("cat")))) == 2


def test_a_collection_that_isnt_there_is_named_with_those_that_are(toy: QdrantClient) -> None:
    with pytest.raises(PlanError, match=r"there is no collection 'toys'; this Qdrant has 'toy': did you mean 'toy'\?"):
        retriever(toy, collection_name="toys").retrieve(QUERY)


async def test_an_empty_collection_finds_nothing_and_warns() -> None:
    client = open_client()
    create_toy(client)
    own = retriever(client)
    with pytest.warns(PlanWarning, match="the collection 'toy' is empty: there is nothing to find"):
        assert own.retrieve(QUERY) == []
    with pytest.warns(PlanWarning, match="the collection 'toy' is empty"):
        assert await own.aretrieve(QUERY) == []
    fill_toy_again = fill_toy(open_client(), "other")
    assert len(retriever(fill_toy_again, collection_name="other").retrieve(QUERY)) == 2


async def test_a_sync_call_with_only_an_async_client_says_what_to_do() -> None:
    own = retriever(None, async_client=open_async_client())
    with pytest.raises(ClientError, match=r"a sync call, but there is only an async client: await the async method"):
        own.retrieve(QUERY)


def test_a_store_without_a_sparse_function_says_how_to_get_one() -> None:
    its = store(hybrid=True)
    its.set_query_functions()
    own = QdrantRerankRetriever.from_vector_store(its, TinyEmbedding())
    with pytest.raises(
        QueryError, match="the vector store has no sparse_query_fn; make it with enable_hybrid=True, or pass sparse"
    ):
        own.retrieve(QUERY)


def test_a_typo_in_a_strategy_file_is_reported_with_path_and_line(tmp_path: Any) -> None:
    path = tmp_path / "strategy.json"
    path.write_text('{\n "kind": "nearest",\n "usin": "dense"\n}\n')
    with pytest.raises(FormatError, match=r"strategy.json:3: nearest has no 'usin'; .*did you mean 'using'\?"):
        load(path)


def test_points_without_text_and_with_ids_of_both_kinds_are_found() -> None:
    client = store().client
    bare = [
        models.PointStruct(id=number, vector=dense(QUERY), payload=payload)
        for number, payload in ((7, None), (8, {"text": None, "year": 2020}))
    ]
    client.upsert("nodes", bare)
    own = QdrantRerankRetriever.from_vector_store(store_over(client), TinyEmbedding(), similarity_top_k=10)
    with pytest.warns(PlanWarning, match="points without text in 'nodes': (7, 8|8, 7); their text is empty"):
        found = own.retrieve(QUERY)
    assert {each.node.node_id for each in found} == {"7", "8", *(each.node_id for each in nodes())}
    assert [each.text for each in found[:2]] == ["", ""]
    only = own.with_options(node_ids=["7", nodes()[0].node_id])
    with pytest.warns(PlanWarning, match="points without text"):
        assert {each.node.node_id for each in only.retrieve(QUERY)} == {"7", nodes()[0].node_id}


def store_over(client: QdrantClient) -> Any:
    from llama_index.vector_stores.qdrant import QdrantVectorStore

    return QdrantVectorStore("nodes", client=client)


def test_a_collection_whose_text_is_elsewhere_says_what_its_payload_has(toy: QdrantClient) -> None:
    with pytest.raises(
        PayloadError, match=r"has text under 'page_content'; their payload has 'category', 'doc', 'meta', 'place', "
    ):
        retriever(toy, payload="langchain").retrieve(QUERY)


def test_doc_ids_restrict_collections_that_llama_index_wrote() -> None:
    own = QdrantRerankRetriever.from_vector_store(store(), TinyEmbedding(), similarity_top_k=8, doc_ids=["doc0", "doc2"])
    assert sorted(each.node.node_id for each in own.retrieve(QUERY)) == [nodes()[n].node_id for n in (0, 1, 2, 6)]
    assert own.with_options(doc_ids=["doc1"]).retrieve(QUERY) == []
    assert own.with_options(doc_ids=[]).retrieve(QUERY) == []


def test_empty_filters_are_no_filter(toy: QdrantClient) -> None:
    own = retriever(toy, filters=MetadataFilters(filters=[]), encoders={"bm25": bm25})
    assert "filter" not in own.describe().requests[0]
