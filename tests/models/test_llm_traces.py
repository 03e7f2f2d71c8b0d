"""Calls of an LLM appear in traces below the run that they are made in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManager
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import set_config_context
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.llm import LLMChatStartEvent
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import instrument_tags

from qdrant_rerank.models import LlmPointwise
from tests.models.llms import Completes, Runs, ToolModel, length_arguments, length_score

TEXTS = ["one", "one two", "", "one two three"]


def retriever_run(runs: Runs) -> Any:
    """A retriever's run as LangChain starts it, and the config for what it calls."""
    run = CallbackManager.configure(inheritable_callbacks=[runs]).on_retriever_start(None, "q")
    return run.run_id, {"callbacks": run.get_child()}


@pytest.mark.parametrize("structured", [True, False])
def test_calls_in_threads_are_child_runs_of_the_retriever(structured: bool) -> None:
    runs = Runs()
    run_id, config = retriever_run(runs)
    llm = ToolModel(arguments=length_arguments) if structured else FakeListChatModel(responses=["1"])
    model = LlmPointwise(llm)
    with set_config_context(config) as context:
        context.run(model.score, "q", TEXTS)
    assert len(runs.chats) == 3
    assert {runs.root(chat) for chat in runs.chats} == {run_id}
    if not structured:
        assert {runs.parents[chat] for chat in runs.chats} == {run_id}


@pytest.mark.parametrize("structured", [True, False])
async def test_calls_in_tasks_are_child_runs_of_the_retriever(structured: bool) -> None:
    runs = Runs()
    run_id, config = retriever_run(runs)
    llm = ToolModel(arguments=length_arguments) if structured else FakeListChatModel(responses=["1"])
    with set_config_context(config) as context:
        await asyncio.create_task(LlmPointwise(llm).ascore("q", TEXTS), context=context)
    assert len(runs.chats) == 3
    assert {runs.root(chat) for chat in runs.chats} == {run_id}


async def test_two_retrievers_at_once_keep_their_runs_apart() -> None:
    model = LlmPointwise(FakeListChatModel(responses=["1"]), concurrency=2)
    both = [Runs(), Runs()]
    chain = RunnableLambda(lambda query: model.score(query, TEXTS), afunc=lambda query: model.ascore(query, TEXTS))
    await asyncio.gather(*(chain.ainvoke("q", {"callbacks": [runs]}) for runs in both))
    for runs in both:
        assert len(runs.chats) == 3
        assert len({runs.root(chat) for chat in runs.chats}) == 1


def test_llama_index_spans_are_under_the_callers_span() -> None:
    parents: list[str | None] = []

    class Events(BaseEventHandler):
        def handle(self, event: Any, **kwargs: Any) -> None:
            if isinstance(event, LLMChatStartEvent):
                parents.append(event.tags.get("query"))

    dispatcher, handler = get_dispatcher(), Events()
    dispatcher.add_event_handler(handler)
    try:
        with instrument_tags({"query": "q-17"}):
            LlmPointwise(Completes(answer=length_score)).score("q", TEXTS)
    finally:
        dispatcher.event_handlers.remove(handler)
    assert parents == ["q-17"] * 3
