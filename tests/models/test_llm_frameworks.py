"""LLMs of LangChain and LlamaIndex: structured output, and text where there is none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel, FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from llama_index.core.llms import ChatMessage, ChatResponse, MockLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM

from qdrant_rerank import StrategyError
from qdrant_rerank._internals import as_reranker
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.models import LlmListwise, LlmPointwise, LlmStats
from tests.models.llms import Completes, Scripted, ToolModel, calling, documents, length_arguments, length_score

TEXTS = ["one", "one two", "", "one two three"]


def length_of_messages(messages: list[tuple[str, str]]) -> str:
    return length_score("\n\n".join(text for _, text in messages))


def last_first(prompt: str) -> dict[str, Any]:
    return {"order": sorted(documents(prompt), reverse=True)}


@pytest.mark.parametrize(
    "llm",
    [
        lambda: ToolModel(arguments=length_arguments),
        lambda: RunnableLambda(length_of_messages),
        lambda: Completes(answer=length_score),
        lambda: calling(length_arguments),
    ],
)
async def test_every_framework_gives_the_same_scores_sync_and_async(llm: Callable[[], Any]) -> None:
    model = LlmPointwise(llm())
    assert model.score("q", TEXTS) == [1.0, 2.0, 0.0, 3.0]
    assert await model.ascore("q", TEXTS) == [1.0, 2.0, 0.0, 3.0]
    assert model.stats == LlmStats(calls=6, empty=2)


@pytest.mark.parametrize("llm", [lambda: ToolModel(arguments=last_first), lambda: calling(last_first)])
async def test_orders_come_by_structured_output_too(llm: Callable[[], Any]) -> None:
    model = LlmListwise(llm())
    assert model.score("q", ["a", "b"]) == await model.ascore("q", ["a", "b"]) == [0.5, 1.0]
    assert model.stats == LlmStats(calls=2)


def test_a_langchain_model_is_offered_the_answer_as_a_structure() -> None:
    llm = ToolModel(arguments=length_arguments)
    LlmPointwise(llm).score("q", ["a"])
    assert set(llm.offered) == {"ScoreAnswer"}


def test_arguments_that_do_not_fit_the_structure_are_bad_answers() -> None:
    answers = Scripted({"score": "high"}, {"points": 3}, {"score": 99}, {"score": 4})
    model = LlmPointwise(ToolModel(arguments=answers), retries=3)
    assert model.score("q", ["a"]) == [4.0]
    assert model.stats.bad == {"not_a_number": 2, "out_of_range": 1}
    listwise = LlmListwise(ToolModel(arguments=Scripted({"order": ["2", "x"]})))
    assert listwise.score("q", ["a", "b"]) == [0.5, 1.0]
    assert listwise.stats.bad == {"not_a_number": 1, "missing": 1}


async def test_a_langchain_model_without_structured_output_is_asked_for_json() -> None:
    model = LlmPointwise(FakeListChatModel(responses=["7", "I would say good.", '{"score": 3}']), concurrency=1)
    assert model.score("q", ["a", "b"]) == [7.0, 3.0]
    assert await model.ascore("q", ["a"]) == [7.0]
    assert model.stats == LlmStats(calls=4, retried=1, bad={"prose": 1})


def test_completion_models_and_messages_in_blocks_are_read() -> None:
    assert LlmPointwise(FakeListLLM(responses=["4"])).score("q", ["a"]) == [4.0]
    blocks: list[str | dict[str, Any]] = [
        {"type": "reasoning", "reasoning": "hm 9"},
        {"type": "text", "text": '{"score": '},
        {"type": "text", "text": "6}"},
    ]
    llm = GenericFakeChatModel(messages=iter([AIMessage(content=blocks)]))
    assert LlmPointwise(llm).score("q", ["a"]) == [6.0]


def test_a_bound_model_keeps_what_was_bound() -> None:
    class Levelled(ToolModel):
        def _generate(self, messages: Any, *args: Any, level: int = 0, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(content=str(level)))])

    model = LlmPointwise(Levelled(arguments=length_arguments).bind(level=8, temperature=0.5))
    assert model.score("q", ["a"]) == [8.0]
    assert ":Levelled/tools-1@0.5:" in model.fingerprint


def test_text_beside_structured_output_is_read_if_the_tool_is_not_called() -> None:
    class Talks(ToolModel):
        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            return ChatResult(generations=[ChatGeneration(message=AIMessage(content='It is a {"score": 6}.'))])

    model = LlmPointwise(Talks(arguments=length_arguments))
    assert model.score("q", ["a"]) == [6.0]
    assert model.stats == LlmStats(calls=1)


async def test_a_llama_index_llm_that_does_not_call_the_function_is_asked_for_text() -> None:
    model = LlmPointwise(calling(None), retries=0)
    assert model.score("q", ["a"]) == await model.ascore("q", ["a"]) == [0.0]
    assert model.stats == LlmStats(calls=4, retried=2, unusable=2, bad={"unstructured": 2, "prose": 2})


async def test_an_error_of_a_llama_index_llm_passes_as_it_is() -> None:
    def refused(prompt: str) -> dict[str, Any]:
        raise ValueError("no API key")

    for model in (LlmPointwise(calling(refused)), LlmPointwise(Completes(answer=refused))):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="no API key"):
            model.score("q", ["a"])
        with pytest.raises(ValueError, match="no API key"):
            await model.ascore("q", ["a"])


def test_braces_in_texts_are_not_taken_for_templates() -> None:
    seen: list[str] = []

    def keeps(prompt: str) -> dict[str, Any]:
        seen.append(prompt)
        return {"score": 1}

    LlmPointwise(calling(keeps)).score("{qr_system}", ["a {qr_user} {{b}} {"])
    assert documents(seen[0]) == {1: "a {qr_user} {{b}} {"}
    assert "{qr_system}" in seen[0]


def test_a_mock_that_echoes_or_babbles_gives_bad_answers() -> None:
    babbles = LlmListwise(MockLLM(max_tokens=5), retries=0)
    assert babbles.score("q", ["a", "b"]) == [1.0, 0.5]
    assert babbles.stats.bad == {"prose": 1}


def test_the_model_name_is_in_the_fingerprint() -> None:
    assert ":ToolModel/tools-1:" in LlmPointwise(ToolModel(arguments=length_arguments)).fingerprint
    assert ":Temperate/completes-1@0.1:" in LlmListwise(Temperate(answer=str)).fingerprint
    assert ":MockLLM:" in LlmPointwise(MockLLM()).fingerprint


class Temperate(Completes):
    temperature: float = 0.1


def test_an_llm_alone_is_no_feedback_model_and_the_error_says_what_makes_it_one() -> None:
    with pytest.raises(StrategyError, match=r"LlmPointwise\(llm\)"):
        as_reranker(FakeListChatModel(responses=[""]))  # type: ignore[arg-type]


class Unable(ToolModel):
    """Offers structured output and finds out that it has none when it is asked."""

    def _generate(self, messages: Any, *args: Any, name: str = "", **kwargs: Any) -> ChatResult:
        if name:
            raise NotImplementedError
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="3"))])


class Awaited(ToolModel):
    """A chat model with an async method of its own."""

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        asyncio.get_running_loop()  # fails in a thread
        return self._generate(messages, *args, **kwargs)


class AwaitedUnable(Unable):
    """As `Unable`, with an async method of its own."""

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        asyncio.get_running_loop()
        return self._generate(messages, *args, **kwargs)


async def test_native_async_methods_of_a_chat_model_are_used() -> None:
    model = LlmPointwise(Awaited(arguments=length_arguments))
    assert await model.ascore("q", TEXTS) == [1.0, 2.0, 0.0, 3.0]
    assert model.stats == LlmStats(calls=3, empty=1)


@pytest.mark.parametrize("llm", [Unable, AwaitedUnable])
async def test_a_model_that_turns_out_to_lack_structured_output_is_asked_for_text_from_then_on(llm: type[ToolModel]) -> None:
    for score in (lambda model: model.score("q", ["a"]), lambda model: asyncio.run(model.ascore("q", ["a"]))):
        model = LlmPointwise(llm(arguments=length_arguments))
        assert await asyncio.to_thread(score, model) == await asyncio.to_thread(score, model) == [3.0]
        assert model.stats == LlmStats(calls=3, retried=1)


def test_a_llama_index_llm_that_lacks_structured_output_is_asked_for_text_from_then_on() -> None:
    class Unstructured(MockFunctionCallingLLM):
        def structured_predict(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    llm = Unstructured()
    llm.response_generator = lambda messages, **kwargs: ChatMessage(content="3")
    model = LlmPointwise(llm)
    assert model.score("q", ["a"]) == model.score("q", ["a"]) == [3.0]
    assert model.stats == LlmStats(calls=3, retried=1)


async def test_native_async_methods_of_a_llama_index_llm_are_used() -> None:
    class Native(Completes):
        async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
            asyncio.get_running_loop()  # fails in a thread
            return ChatResponse(message=ChatMessage(role="assistant", content='{"score": 8}'))

    assert await LlmPointwise(Native(answer=length_score)).ascore("q", ["a"]) == [8.0]


def test_a_langchain_model_may_return_the_structure_itself() -> None:
    class Direct(FakeListChatModel):
        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return RunnableLambda(lambda messages: schema(score=4))

    assert LlmPointwise(Direct(responses=[""])).score("q", ["a"]) == [4.0]


def test_an_llm_that_refuses_to_describe_itself_is_named_by_its_class() -> None:
    class Unknown(Completes):
        @property
        def metadata(self) -> Any:
            raise ValueError("unknown model")

    assert ":Unknown:" in LlmPointwise(Unknown(answer=length_score)).fingerprint


def test_without_llama_index_an_llm_with_its_methods_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LlmPointwise(Completes(answer=length_score))
    monkeypatch.setitem(sys.modules, "llama_index.core.llms", None)
    with pytest.raises(MissingExtra, match=r"qdrant-rerank\[llama-index\]"):
        model.score("q", ["a"])
