"""Small LLMs for tests: what they see of a prompt, and models of each framework that answer by a function of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_completion_callback
from llama_index.core.llms.mock import MockFunctionCallingLLM
from pydantic import Field


def token(prompt: str) -> str:
    """The token of a prompt's fences, as its message from the system says it."""
    found = re.search(r"The token (\w+) is new", prompt)
    assert found
    return found[1]


def documents(prompt: str) -> dict[int, str]:
    """What stands between fences with the right token, by number."""
    key = token(prompt)
    found = re.findall(rf"<document id=(\d+) k={key}>\n(.*?)\n</document k={key}>", prompt, re.DOTALL)
    return {int(number): text for number, text in found}


def outside(prompt: str) -> str:
    """What stands outside the fences of documents with the right token."""
    key = token(prompt)
    return re.sub(rf"<document id=\d+ k={key}>\n.*?\n</document k={key}>", "", prompt, flags=re.DOTALL)


class Scripted:
    """A function that gives one answer after the other, and the last one for ever; keeps the prompts."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.prompts: list[str] = []

    def __call__(self, prompt: str) -> Any:
        with self._lock:
            self.prompts.append(prompt)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def length_score(prompt: str) -> str:
    """A score that depends on the document alone: the number of its words, up to ten."""
    (text,) = documents(prompt).values()
    return f'{{"score": {min(10, len(text.split()))}}}'


def length_arguments(prompt: str) -> dict[str, Any]:
    """The same as arguments of a structure."""
    (text,) = documents(prompt).values()
    return {"score": len(text.split())}


class ToolModel(BaseChatModel):
    """A LangChain chat model that calls the tool it is offered, with arguments that depend on the prompt."""

    arguments: Callable[[str], dict[str, Any]]
    offered: list[str] = Field(default_factory=list)
    model_name: str = "tools-1"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        self.offered.append(tools[0].__name__)
        return self.bind(name=tools[0].__name__)

    def _generate(self, messages: list[BaseMessage], *args: Any, name: str = "", **kwargs: Any) -> ChatResult:
        assert name, "asked without the tool"
        prompt = "\n\n".join(str(message.content) for message in messages)
        call = {"name": name, "args": self.arguments(prompt), "id": "1"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="", tool_calls=[call]))])

    @property
    def _llm_type(self) -> str:
        return "tools"


class Completes(CustomLLM):
    """A LlamaIndex LLM that completes by a function of the prompt; LlamaIndex makes its other methods of that."""

    answer: Callable[[str], str]

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="completes-1")

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=self.answer(prompt))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


def calling(arguments: Callable[[str], dict[str, Any]] | None) -> MockFunctionCallingLLM:
    """A LlamaIndex LLM that calls the function it is offered, or answers prose if `arguments` is None."""

    def generate(messages: Sequence[ChatMessage], tools: Sequence[Any] = (), **kwargs: Any) -> ChatMessage:
        if arguments is None:
            return ChatMessage(role="assistant", content="I would rather talk about it.")
        given = arguments("\n\n".join(str(message.content) for message in messages))
        name = tools[0].metadata.name
        block = ToolCallBlock(tool_call_id=str(uuid4()), tool_name=name, tool_kwargs=given)
        return ChatMessage(role="assistant", blocks=[block])

    return MockFunctionCallingLLM(response_generator=generate)


class Runs(BaseCallbackHandler):
    """Collects which run is whose child."""

    def __init__(self) -> None:
        self.parents: dict[UUID, UUID | None] = {}
        self.chats: list[UUID] = []

    def on_chain_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self.parents[run_id] = parent_run_id

    def on_retriever_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self.parents[run_id] = parent_run_id

    def on_chat_model_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self.parents[run_id] = parent_run_id
        self.chats.append(run_id)

    def root(self, run: UUID) -> UUID:
        """The run that a run is under, at the top."""
        parent = self.parents[run]
        return run if parent is None else self.root(parent)
