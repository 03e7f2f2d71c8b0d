"""The postprocessor with a model: nodes of any retriever, read and ranked here, as `Rerank` would rank them."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode
from llama_index_instrumentation import get_dispatcher

from llama_index_qdrant_rerank import ParamsQueryBundle, QdrantRerankPostprocessor, RerankerPostprocessor
from qdrant_rerank import Formula, Nearest, PlanWarning, QueryError, Rerank, ScoringError, StrategyError, field, param, score
from qdrant_rerank.expressions import rerank_score
from tests.llama_index.stores import QUERY, numbers, ranking
from tests.llama_index.test_rescore import Down, Lengths, LongestFirst, retriever
from tests.support import dense
from tests.waiting import Patient

TEXTS = ("bb", "dddd", "a", "ccc")


def nodes(*texts: str, scores: Any = None, **metadata: Any) -> list[NodeWithScore]:
    chosen = texts or TEXTS
    return [
        NodeWithScore(node=TextNode(id_=text, text=text, metadata={**metadata}), score=score)
        for text, score in zip(chosen, scores or [0.5] * len(chosen), strict=True)
    ]


def by(reader: Any = None, **settings: Any) -> RerankerPostprocessor:
    return RerankerPostprocessor(reranker=reader or Lengths(), **settings)


async def both(of: RerankerPostprocessor, given: list[NodeWithScore], query: Any = QUERY) -> list[NodeWithScore]:
    """The answer, which must be the same sync and async."""
    asked: dict[str, Any] = {"query_str": query} if isinstance(query, str) else {"query_bundle": query}
    found = of.postprocess_nodes(given, **asked)
    again = await of.apostprocess_nodes(given, **asked)
    assert [each.to_dict() for each in again] == [each.to_dict() for each in found]
    return found


def texts(found: list[NodeWithScore]) -> list[str]:
    return [each.text for each in found]


async def test_nodes_come_in_the_models_order_with_its_scores_as_plain_numbers() -> None:
    found = await both(by(lambda query, texts: np.array([len(text) for text in texts], np.float32)), nodes())
    assert ranking(found) == [("dddd", 4.0), ("ccc", 3.0), ("bb", 2.0), ("a", 1.0)]
    assert {type(each.score) for each in found} == {float}
    json.loads(found[0].to_json())


async def test_the_nodes_that_come_in_stay_as_they_are() -> None:
    given = nodes(rating=3)
    before = [each.to_dict() for each in given]
    found = await both(by(keep_retrieval_score=True, top_n=2), given)
    assert [each.to_dict() for each in given] == before
    assert [each.metadata for each in found] == [{"rating": 3, "retrieval_score": 0.5}] * 2
    assert "retrieval_score" not in found[0].node.get_content(MetadataMode.EMBED)


async def test_the_model_reads_what_embedding_models_are_shown() -> None:
    reader, given = Lengths(), nodes("aa", "b", rating=3, secret="x")
    for each in given:
        each.node.excluded_embed_metadata_keys = ["secret"]
    by(reader).postprocess_nodes(given, query_str=QUERY)
    assert reader.read == ["rating: 3\n\naa", "rating: 3\n\nb"]


BLEND = rerank_score() + 10 * field("popularity", default=0.0) - 100 * score()


@pytest.mark.parametrize("rescoring", [{}, {"top_n": 3}, {"blend": BLEND}], ids=str)
async def test_the_order_is_that_of_rescore_over_the_same_candidates(rescoring: dict[str, Any]) -> None:
    candidates = retriever(Nearest(), similarity_top_k=8).retrieve(QUERY)
    strategy = Rerank(reads=8, **rescoring).over(Nearest())
    expected = retriever(strategy, reranker=Lengths(), similarity_top_k=rescoring.get("top_n", 8)).retrieve(QUERY)
    found = await both(by(**rescoring), candidates)
    assert numbers(found) == numbers(expected)
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-4)


async def test_a_blend_notes_the_models_own_score_and_reads_request_time_values() -> None:
    of = by(blend="rerank_score() + param('bonus') * field('rating', default=0.0)", params={"bonus": 2.0})
    assert ranking(await both(of, nodes("aa", rating=3)))[0][1] == 8.0 + len("rating: 3\n\n")
    bundle = ParamsQueryBundle(QUERY, params={"bonus": 0.0})
    [found] = await both(of, nodes("aa", rating=3), bundle)
    assert found.score == found.metadata["relevance_score"] == 13.0
    assert "relevance_score" not in found.node.get_content(MetadataMode.LLM)
    assert isinstance(of.blend, type(rerank_score() + param("bonus")))


async def test_a_node_without_a_score_counts_as_0_in_a_blend() -> None:
    found = await both(by(blend=0 * rerank_score() + score()), nodes("a", "b", "c", scores=[-1.0, None, 1.0]))
    assert texts(found) == ["c", "b", "a"]


async def test_another_postprocessor_is_a_model() -> None:
    assert texts(await both(by(LongestFirst()), nodes())) == ["dddd", "ccc", "bb", "a"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("last", [("bb", 13.0), ("a", 12.0), ("", None)]), ("drop", [("bb", 13.0), ("a", 12.0)]), ("raise", None)],
)
async def test_nodes_without_text_follow_the_policy(policy: Any, expected: Any) -> None:
    given = nodes("", "a", "bb", rating=3)  # metadata alone is no text
    of = by(missing_text=policy)
    if expected is None:
        with pytest.raises(ScoringError, match="1 of 3 candidates have no text"):
            of.postprocess_nodes(given, query_str=QUERY)
        return
    found = await both(of, given)
    assert ranking(found) == expected
    assert [each.metadata.get("not_reranked") for each in found] == [None, None, "no text"][: len(found)]


async def test_a_failure_is_raised_or_leaves_the_order() -> None:
    with pytest.raises(TimeoutError, match="no answer"):
        by(Down()).postprocess_nodes(nodes(), query_str=QUERY)
    with pytest.raises(TimeoutError, match="no answer"):
        await by(Down()).apostprocess_nodes(nodes(), query_str=QUERY)
    with pytest.warns(PlanWarning, match="TimeoutError"):
        found = await both(by(Down(), on_error="keep_order", top_n=3), nodes(scores=[0.4, None, 0.2, 0.1]))
    assert ranking(found) == [("bb", 0.4), ("dddd", None), ("a", 0.2)]
    assert {each.metadata["not_reranked"] for each in found} == {"TimeoutError"}
    again = await both(by(), found)
    assert not any("not_reranked" in each.metadata for each in again)


async def test_no_nodes_are_no_work() -> None:
    assert await both(by(Down()), []) == []


def test_a_query_is_needed() -> None:
    with pytest.raises(QueryError, match="pass query_bundle or query_str"):
        by().postprocess_nodes(nodes())
    with pytest.raises(QueryError, match="query's text is empty"):
        by().postprocess_nodes(nodes(), query_str="")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "missing 1 required positional argument: 'reranker'"),
        ({"reranker": None}, "NoneType has no score"),
        ({"reranker": Lengths(), "strategy": Formula(field("a", default=0.0))}, "unexpected keyword argument 'strategy'"),
        ({"reranker": Lengths(), "collection_name": "docs"}, "unexpected keyword argument 'collection_name'"),
        ({"reranker": Lengths(), "encoders": {"dense": dense}}, "unexpected keyword argument 'encoders'"),
        ({"reranker": Lengths(), "missing": "drop"}, "unexpected keyword argument 'missing'"),
        ({"reranker": Lengths}, "the class Lengths: pass an object"),
        ({"reranker": 3}, "int has no score"),
        ({"reranker": Lengths(), "top_n": 0}, "top_n must be a whole number"),
        ({"reranker": Lengths(), "on_error": "ignore"}, "on_error of Rerank is one of"),
        ({"reranker": Lengths(), "blend": score()}, "doesn't read rerank_score"),
    ],
)
def test_what_can_not_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((StrategyError, QueryError, TypeError), match=message):
        RerankerPostprocessor(**wrong)


def test_a_rerankers_settings_are_none_of_a_strategy() -> None:
    arguments: dict[str, Any] = {"on_error": "keep_order", "blend": rerank_score()}
    for name, value in arguments.items():
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
            QdrantRerankPostprocessor(Formula(field("a", default=0.0)), collection_name="d", **{name: value})


def test_the_dump_has_the_settings_and_not_the_model() -> None:
    dumped = by(top_n=3, blend=2 * rerank_score()).to_dict()
    assert (dumped["top_n"], dumped["blend"], dumped["class_name"]) == (3, "2.0 * rerank_score()", "RerankerPostprocessor")
    assert "reranker" not in dumped
    assert "reranker='Lengths'" in repr(by())


async def test_events_and_callbacks_are_those_of_rerankers() -> None:
    class Recorder(BaseEventHandler):
        seen: ClassVar[list[Any]] = []

        def handle(self, event: Any, **_: Any) -> None:
            self.seen.append(event)

    class Named(Lengths):
        model = "tiny-1"

    Recorder.seen.clear()
    recorder, debug = Recorder(), LlamaDebugHandler(print_trace_on_end=False)
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(recorder)
    try:
        of = by(Named(), top_n=2, callback_manager=CallbackManager([debug]))
        of.postprocess_nodes(nodes(), query_str=QUERY)
        await of.apostprocess_nodes(nodes(), query_str=QUERY)
    finally:
        dispatcher.event_handlers.remove(recorder)
    starts = [event for event in recorder.seen if isinstance(event, ReRankStartEvent)]
    assert [(event.model_name, event.top_n, len(event.nodes)) for event in starts] == [("Named tiny-1", 2, 4)] * 2
    ends = [event for event in recorder.seen if isinstance(event, ReRankEndEvent)]
    assert [texts(event.nodes) for event in ends] == [["dddd", "ccc"]] * 2
    assert len(debug.get_event_pairs(CBEventType.RERANKING)) == 2


async def test_a_slow_sync_model_does_not_block_the_event_loop() -> None:
    assert texts(await by(Patient()).apostprocess_nodes(nodes(), query_str=QUERY))[0] == "dddd"


async def test_a_key_of_a_blend_that_no_node_has_is_told() -> None:
    with pytest.warns(PlanWarning, match="none of 4 results has 'metadata.rating'; did you mean 'rating'?"):
        await both(by(blend=rerank_score() + field("metadata.rating", default=3.0)), nodes(rating=2))
    await both(by(blend=rerank_score() + field("rating", default=3.0)), nodes(rating=2))
