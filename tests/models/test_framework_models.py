"""LangChain's document compressors and LlamaIndex's node postprocessors as rerankers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker, LLMListwiseRerank
from langchain_classic.retrievers.document_compressors.cross_encoder import BaseCrossEncoder
from langchain_core.callbacks import CallbackManager
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables.config import set_config_context
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.postprocessor.rankGPT_rerank import RankGPTRerank
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import (
    AsyncReranker,
    CompressorModel,
    FrameworkStats,
    PostprocessorModel,
    Returned,
    as_reranker,
    complete_scores,
)
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.models import from_compressor, from_postprocessor
from tests.models.llms import Completes, Runs, ToolModel

TEXTS = ["one", "one two", "", "one two three", "one two three four"]

Compress = Callable[[Sequence[Document]], Sequence[Document]]
Postprocess = Callable[[list[NodeWithScore]], list[NodeWithScore]]


class Compressor(BaseDocumentCompressor):
    """Does what it is told to documents."""

    does: Compress
    top_n: int | None = None

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> Sequence[Document]:
        assert query == "q"
        return self.does(documents)


class Postprocessor(BaseNodePostprocessor):
    """Does what it is told to nodes."""

    does: Postprocess

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        assert query_bundle is not None
        assert query_bundle.query_str == "q"
        return self.does(nodes)


def words(text: str) -> float:
    return len(text.split()) / 10


def with_scores(documents: Sequence[Document], top_n: int = 9) -> list[Document]:
    """Copies with scores, best first, as LangChain's Cohere reranker makes them."""
    copies = [Document(page_content=each.page_content, metadata=deepcopy(each.metadata)) for each in documents]
    for each in copies:
        each.metadata["relevance_score"] = words(each.page_content)
    return sorted(copies, key=lambda each: -words(each.page_content))[:top_n]


def nodes_with_scores(nodes: list[NodeWithScore], top_n: int = 9) -> list[NodeWithScore]:
    best = sorted(nodes, key=lambda each: -words(each.node.get_content()))[:top_n]
    return [NodeWithScore(node=each.node, score=words(each.node.get_content())) for each in best]


MODELS: list[Callable[[int], CompressorModel | PostprocessorModel]] = [
    lambda top_n: from_compressor(Compressor(does=lambda documents: with_scores(documents, top_n))),
    lambda top_n: from_postprocessor(Postprocessor(does=lambda nodes: nodes_with_scores(nodes, top_n))),
]
RANKING: list[Callable[[int], CompressorModel | PostprocessorModel]] = [
    lambda top_n: from_compressor(Compressor(does=lambda documents: list(documents)[::-1][:top_n])),
    lambda top_n: from_postprocessor(Postprocessor(does=lambda nodes: nodes[::-1][:top_n])),
]


@pytest.mark.parametrize("make", MODELS)
async def test_scores_are_those_that_the_reranker_wrote_and_empty_texts_come_last(make: Any) -> None:
    model = make(9)
    expected = [0.1, 0.2, pytest.approx(-0.9), 0.3, 0.4]
    assert model.score("q", TEXTS) == expected
    assert await model.ascore("q", TEXTS) == expected
    assert model.stats == FrameworkStats(calls=2, empty=2)
    assert isinstance(model, AsyncReranker)


@pytest.mark.parametrize("make", MODELS)
def test_texts_that_it_drops_come_last_together_and_are_counted(make: Any) -> None:
    model = make(2)
    assert model.score("q", TEXTS) == [-0.7, -0.7, -0.7, 0.3, 0.4]
    assert model.stats == FrameworkStats(calls=1, empty=1, dropped=2)


@pytest.mark.parametrize("make", RANKING)
async def test_without_scores_the_order_counts(make: Any) -> None:
    model = make(3)
    assert model.score("q", TEXTS) == [pytest.approx(-0.4), 0.6, pytest.approx(-0.4), 0.8, 1.0]
    assert await model.ascore("q", TEXTS) == model.score("q", TEXTS)
    assert model.stats == FrameworkStats(calls=3, empty=3, dropped=3, ranked=3)


@pytest.mark.parametrize("make", [*MODELS, *RANKING])
def test_a_reranker_that_keeps_nothing_gives_all_the_same_score(make: Any) -> None:
    model = make(0)
    assert model.score("q", TEXTS) == [0.0] * 5
    assert model.stats == FrameworkStats(calls=1, empty=1, dropped=4)


@pytest.mark.parametrize("make", MODELS)
def test_it_is_not_called_for_nothing(make: Any) -> None:
    model = make(9)
    assert model.score("q", []) == []
    assert model.score("q", ["", " "]) == [0.0, 0.0]
    assert model.stats == FrameworkStats(empty=2)


def test_of_a_text_that_comes_back_in_parts_the_best_counts() -> None:
    def splits(documents: Sequence[Document]) -> list[Document]:
        return [
            Document(page_content=word, metadata={**each.metadata, "relevance_score": len(word)})
            for each in documents
            for word in each.page_content.split()
        ]

    model = from_compressor(Compressor(does=splits))
    assert model.score("q", ["three one", "a bb", "", "cccc"]) == [5.0, 2.0, 1.0, 4.0]
    assert model.stats == FrameworkStats(calls=1, empty=1, repeated=2)


def test_ranks_of_parts_count_once() -> None:
    assert complete_scores([Returned(1, None), Returned(1, None), Returned(0, None)], 3, 0.5) == [
        1 - 1 / 3,
        1.0,
        1 - 1 / 3 - 0.5,
    ]


def test_scores_for_some_only_are_not_mixed_with_ranks() -> None:
    assert complete_scores([Returned(1, 7.0), Returned(0, None)], 2, 1.0) == [0.5, 1.0]


def test_scores_of_numpy_become_floats() -> None:
    model = from_postprocessor(Postprocessor(does=lambda nodes: [_scored(each, np.float32(0.5)) for each in nodes]))
    assert [type(score) for score in model.score("q", ["a"])] == [float]


def _scored(node: NodeWithScore, score: Any) -> NodeWithScore:
    return NodeWithScore.model_construct(node=node.node, score=score)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "0.5", True, [1]])
def test_scores_that_are_no_finite_numbers_are_refused(score: Any) -> None:
    def writes(documents: Sequence[Document]) -> list[Document]:
        return [Document(page_content="a", metadata={**each.metadata, "relevance_score": score}) for each in documents]

    with pytest.raises(ScoringError, match="Compressor wrote a score that isn't a finite number"):
        from_compressor(Compressor(does=writes)).score("q", ["a"])


def test_documents_that_the_reranker_was_not_given_are_refused() -> None:
    forgets = Compressor(does=lambda documents: [Document(page_content="a")])
    with pytest.raises(ScoringError, match="Compressor returned a Document that can't be told to be one of the 2"):
        from_compressor(forgets).score("q", ["a", "b"])


@pytest.mark.parametrize("made_up", ["7", "qdrant-rerank-7", "qdrant-rerank-²"])
def test_nodes_that_the_reranker_was_not_given_are_refused(made_up: str) -> None:
    invents = Postprocessor(does=lambda nodes: [NodeWithScore(node=TextNode(text="a", id_=made_up))])
    with pytest.raises(ScoringError, match="Postprocessor returned a NodeWithScore"):
        from_postprocessor(invents).score("q", ["a", "b"])


def test_a_node_shows_the_text_and_nothing_else() -> None:
    shown: list[str] = []

    def looks(nodes: list[NodeWithScore]) -> list[NodeWithScore]:
        shown.extend(each.node.get_content(mode) for each in nodes for mode in MetadataMode)
        return nodes

    from_postprocessor(Postprocessor(does=looks)).score("q", ["the text"])
    assert set(shown) == {"the text"}


# Rerankers of the frameworks themselves


class WordCount(BaseCrossEncoder):
    model_name = "words-1"

    def score(self, text_pairs: Any) -> list[float]:
        return [words(text) for _, text in text_pairs]


def test_a_cross_encoder_of_langchain_gives_ranks_as_it_writes_no_scores() -> None:
    model = from_compressor(CrossEncoderReranker(model=WordCount(), top_n=2))
    assert model.score("q", ["a", "a b", "a b c"]) == [pytest.approx(2 / 3 - 1), pytest.approx(2 / 3), 1.0]
    assert str(model.fingerprint).endswith("CrossEncoderReranker/words-1:top_n=2:margin=1")


def test_an_llm_in_a_compressor_is_a_child_run_of_the_retriever() -> None:
    llm = ToolModel(arguments=lambda prompt: {"ranked_document_ids": [1, 0]})
    model = from_compressor(LLMListwiseRerank.from_llm(llm))
    runs = Runs()
    run = CallbackManager.configure(inheritable_callbacks=[runs]).on_retriever_start(None, "q")
    with set_config_context({"callbacks": run.get_child()}) as context:
        assert context.run(model.score, "q", ["a", "b"]) == [0.5, 1.0]
    assert {runs.root(chat) for chat in runs.chats} == {run.run_id}


async def test_rerankers_of_llama_index_work() -> None:
    rank_gpt = from_postprocessor(RankGPTRerank(llm=Completes(answer=lambda prompt: "[2] > [1]"), top_n=5))
    assert rank_gpt.score("q", ["a", "b"]) == await rank_gpt.ascore("q", ["a", "b"]) == [0.5, 1.0]
    chooses = from_postprocessor(LLMRerank(llm=Completes(answer=lambda prompt: "Doc: 2, Relevance: 7"), top_n=5))
    assert chooses.score("q", ["a", "b"]) == [6.0, 7.0]
    assert str(chooses.fingerprint).endswith("LLMRerank/completes-1:top_n=5:margin=1")


async def test_native_async_methods_are_used() -> None:
    class Awaited(Compressor):
        async def acompress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Any:
            return with_scores(documents)

    class AwaitedNodes(Postprocessor):
        async def _apostprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
            return nodes_with_scores(nodes)

    def never(given: Any) -> Any:
        raise AssertionError("the sync method was called")

    assert await from_compressor(Awaited(does=never)).ascore("q", ["a", "a b"]) == [0.1, 0.2]
    assert await from_postprocessor(AwaitedNodes(does=never)).ascore("q", ["a", "a b"]) == [0.1, 0.2]


# Which is which


def test_rerankers_are_taken_for_feedback_models_as_they_are() -> None:
    assert isinstance(as_reranker(Compressor(does=list)), CompressorModel)
    assert isinstance(as_reranker(Postprocessor(does=list)), PostprocessorModel)


def test_a_class_is_not_a_reranker() -> None:
    with pytest.raises(StrategyError, match=r"the class Compressor \(pass an object of it\)"):
        from_compressor(Compressor)  # type: ignore[arg-type]
    with pytest.raises(StrategyError, match="the class Postprocessor"):
        from_postprocessor(Postprocessor)  # type: ignore[arg-type]
    with pytest.raises(StrategyError, match="the class Compressor"):
        as_reranker(Compressor)  # type: ignore[arg-type]


def test_other_things_are_refused() -> None:
    with pytest.raises(StrategyError, match="not a document compressor: Postprocessor lacks compress_documents"):
        from_compressor(Postprocessor(does=list))  # type: ignore[arg-type]
    with pytest.raises(StrategyError, match="not a node postprocessor: str lacks postprocess_nodes"):
        from_postprocessor("reranker")  # type: ignore[arg-type]


@pytest.mark.parametrize("margin", [0, -1, float("nan"), "1", True])
def test_a_margin_is_above_0(margin: Any) -> None:
    with pytest.raises(StrategyError, match="margin is a finite number above 0"):
        from_compressor(Compressor(does=list), margin=margin)


def test_a_reranker_is_known_by_its_class_and_model_or_a_name_and_no_repr_shows_it() -> None:
    class Keyed(Compressor):
        api_key: str = "sk-secret"

    model = from_compressor(Keyed(does=list, top_n=4), margin=0.5)
    assert model.fingerprint is None  # it doesn't say its model, and others of its class may score otherwise
    assert repr(model).endswith("Keyed:top_n=4:margin=0.5>")
    assert "sk-secret" not in repr(model)
    assert from_compressor(Keyed(does=list), name="mine").fingerprint == "mine:margin=1"
    assert repr(from_compressor(Keyed(does=list), name="mine")) == "<CompressorModel mine:margin=1>"


def test_without_the_framework_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    compressor, postprocessor = from_compressor(Compressor(does=list)), from_postprocessor(Postprocessor(does=list))
    monkeypatch.setitem(sys.modules, "langchain_core.documents", None)
    monkeypatch.setitem(sys.modules, "llama_index.core.schema", None)
    with pytest.raises(MissingExtra, match=r"qdrant-rerank\[langchain\]"):
        compressor.score("q", ["a"])
    with pytest.raises(MissingExtra, match=r"qdrant-rerank\[llama-index\]"):
        postprocessor.score("q", ["a"])


def test_errors_of_a_reranker_pass_as_they_are() -> None:
    def fails(documents: Sequence[Document]) -> list[Document]:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        from_compressor(Compressor(does=fails)).score("q", ["a"])
