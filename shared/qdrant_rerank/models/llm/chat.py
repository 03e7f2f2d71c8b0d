"""One way to ask any LLM: LangChain's models, LlamaIndex's LLMs, and functions from text to text.

Which it is shows in its methods; LlamaIndex's message classes are imported when one of its LLMs is asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from pydantic import BaseModel

from ...errors import ClientError, MissingExtra, StrategyError
from ...threads import inherits
from .gate import Gate
from .prompts import Prompt
from .stats import Counters

__all__ = ["Chat", "as_chat"]


class Chat(Protocol):
    """An LLM that can be asked; the answer is structured, or text."""

    def ask(self, prompt: Prompt) -> object: ...

    async def aask(self, prompt: Prompt) -> object: ...


def as_chat(llm: Any, form: type[BaseModel], counters: Counters, gate: Gate) -> Chat:
    """What asks `llm` for answers of `form`; calls that block run in threads of `gate` under async.

    Raises:
        StrategyError: it is neither a LangChain model, nor a LlamaIndex LLM, nor callable.
    """
    if isinstance(llm, type):
        raise StrategyError(f"the LLM is the class {llm.__name__}: pass an object of it")
    if callable(getattr(llm, "invoke", None)):
        return _LangChain(llm, form, counters, gate)
    if callable(getattr(llm, "chat", None)) and callable(getattr(llm, "complete", None)):
        return _LlamaIndex(llm, form, counters, gate)
    if callable(llm):
        return _Function(llm, counters, gate)
    raise StrategyError(
        f"not an LLM: {type(llm).__name__} has neither invoke (LangChain) nor chat and complete (LlamaIndex), "
        "and can't be called with a text"
    )


class _LangChain:
    """A chat model, or any Runnable from messages to a message or text."""

    def __init__(self, llm: Any, form: type[BaseModel], counters: Counters, gate: Gate) -> None:
        self._llm, self._form, self._counters, self._gate = llm, form, counters, gate
        # asked of the class: a bound model passes the method on, but loses what was bound
        self._structures = hasattr(type(llm), "with_structured_output")

    def ask(self, prompt: Prompt) -> object:
        messages = [("system", prompt.system), ("human", prompt.user)]
        if (structured := self._structured()) is not None:
            try:
                self._counters.add("calls")
                return _parsed(structured.invoke(messages))
            except NotImplementedError:
                self._unable()
        self._counters.add("calls")
        return _text(self._llm.invoke(messages))

    async def aask(self, prompt: Prompt) -> object:
        if _has_no_async(self._llm):
            return await self._gate.in_thread(partial(self.ask, prompt))
        messages = [("system", prompt.system), ("human", prompt.user)]
        if (structured := self._structured()) is not None:
            try:
                self._counters.add("calls")
                return _parsed(await structured.ainvoke(messages))
            except NotImplementedError:
                self._unable()
        self._counters.add("calls")
        return _text(await self._llm.ainvoke(messages))

    def _structured(self) -> Any:
        """What answers in the form, or None if the model can't."""
        try:
            return self._llm.with_structured_output(self._form, include_raw=True) if self._structures else None
        except NotImplementedError:
            self._structures = False
            return None

    def _unable(self) -> None:
        self._structures = False
        self._counters.add("retried")


class _LlamaIndex:
    """An LLM of LlamaIndex: by function calls if it can, in messages if not."""

    def __init__(self, llm: Any, form: type[BaseModel], counters: Counters, gate: Gate) -> None:
        self._llm, self._form, self._counters, self._gate = llm, form, counters, gate
        self._structures = True

    def ask(self, prompt: Prompt) -> object:
        if self._structures and self._llm.metadata.is_function_calling_model:
            try:
                self._counters.add("calls")
                return self._llm.structured_predict(self._form, _template(), qr_system=prompt.system, qr_user=prompt.user)
            except _UNSTRUCTURED as error:
                self._without_structure(error)
        self._counters.add("calls")
        return _text(self._llm.chat(_messages(prompt)))

    async def aask(self, prompt: Prompt) -> object:
        if _blocks(self._llm):
            return await self._gate.in_thread(partial(self.ask, prompt))
        if self._structures and self._llm.metadata.is_function_calling_model:
            try:
                self._counters.add("calls")
                predict = self._llm.astructured_predict
                return await predict(self._form, _template(), qr_system=prompt.system, qr_user=prompt.user)
            except _UNSTRUCTURED as error:
                self._without_structure(error)
        self._counters.add("calls")
        return _text(await self._llm.achat(_messages(prompt)))

    def _without_structure(self, error: Exception) -> None:
        """Note that the answer had no structure. It is asked for as text, so that errors of other causes show there."""
        if isinstance(error, NotImplementedError):
            self._structures = False
        else:
            self._counters.bad("unstructured")
        self._counters.add("retried")


_UNSTRUCTURED = (NotImplementedError, ValueError, TypeError, AssertionError)
"""What LlamaIndex raises if an answer isn't a call of the function, or its arguments don't fit."""


class _Function:
    """A function, sync or async, from a text to a text; the message from the system comes first in the text."""

    def __init__(self, function: Any, counters: Counters, gate: Gate) -> None:
        self._function, self._counters, self._gate = function, counters, gate
        by_class = getattr(type(function), "__call__", None)  # noqa: B004  an object may have an async __call__
        self._async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(by_class)

    def ask(self, prompt: Prompt) -> object:
        if not self._async:
            self._counters.add("calls")
            answer = self._function(_joined(prompt))
            if not inspect.isawaitable(answer):
                return _text(answer)
            if inspect.iscoroutine(answer):
                answer.close()
        raise ClientError("the LLM is an async function: use ascore, or an async call of the retriever")

    async def aask(self, prompt: Prompt) -> object:
        self._counters.add("calls")
        if self._async:
            return _text(await self._function(_joined(prompt)))
        answer = await self._gate.in_thread(partial(self._function, _joined(prompt)))
        return _text(await answer if inspect.isawaitable(answer) else answer)


def _joined(prompt: Prompt) -> str:
    return f"{prompt.system}\n\n{prompt.user}"


def _parsed(answer: Any) -> object:
    """Of LangChain's structured output: the structure, or else what the model said."""
    if not isinstance(answer, Mapping) or "raw" not in answer:
        return answer
    if answer.get("parsed") is not None:
        return answer["parsed"]
    calls = getattr(answer["raw"], "tool_calls", None)
    return calls[0].get("args") if calls else _text(answer["raw"])


def _text(answer: Any) -> object:
    """The text of a message: LangChain's `content`, LlamaIndex's `message.content`; other things as they are."""
    message = getattr(answer, "message", answer)
    content = getattr(message, "content", message)
    if isinstance(content, list):  # blocks, of which those that think aloud are left out
        parts = [block if isinstance(block, str) else block.get("text", "") for block in content]
        return "".join(parts)
    return content


def _llama_index() -> Any:
    try:
        from llama_index.core import llms, prompts
    except ImportError as error:  # an LLM with the same methods, but not of LlamaIndex
        raise MissingExtra("an LLM of LlamaIndex", "llama-index") from error
    return llms, prompts


def _messages(prompt: Prompt) -> list[Any]:
    llms, _ = _llama_index()
    return [llms.ChatMessage(role="system", content=prompt.system), llms.ChatMessage(role="user", content=prompt.user)]


def _template() -> Any:
    """A template of two variables: texts that are substituted aren't searched for further `{variables}`."""
    llms, prompts = _llama_index()
    roles = {"system": "{qr_system}", "user": "{qr_user}"}
    return prompts.ChatPromptTemplate([llms.ChatMessage(role=role, content=content) for role, content in roles.items()])


def _has_no_async(llm: Any) -> bool:
    """Whether a chat model's async method is LangChain's own, which runs the sync one in asyncio's pool."""
    if not hasattr(llm, "_agenerate"):
        return False
    from langchain_core.language_models import BaseChatModel

    return inherits(llm, BaseChatModel, "_agenerate")


def _blocks(llm: Any) -> bool:
    """Whether an LLM's `achat` is that of LlamaIndex's `CustomLLM`, which calls the sync method in the event loop."""
    llms, _ = _llama_index()
    return inherits(llm, llms.CustomLLM, "achat")
