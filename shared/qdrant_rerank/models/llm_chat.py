"""One way to ask any LLM: LangChain's models, LlamaIndex's LLMs, and functions from text to text.

Its methods show which one it is; LlamaIndex's message classes are imported when one of its LLMs is asked.
"""

from __future__ import annotations

import inspect
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from .._lazy import load_extra
from ..errors import ClientError, StrategyError
from ..threads import inherits
from ..values import is_finite, model_name, qualname_of
from .llm_prompts import Prompt

T = TypeVar("T")


def llm_name(model: Any) -> str:
    """Class and model name, with the temperature if it has one; module and name of a function.

    What runs is not known of a lambda, a closure, a method, a partial, or an object that says no model name: these get a
    random ending, so that no two are taken for the same.
    """
    bound = getattr(model, "bound", model)  # of LangChain's `model.bind(…)` and `model.with_config(…)`
    if bound is not model:
        kwargs = getattr(model, "kwargs", {})
        return llm_name(bound) + (_temperature(kwargs.get("temperature")) if isinstance(kwargs, Mapping) else "")
    if inspect.isroutine(model):
        known = not inspect.ismethod(model) and "<" not in model.__qualname__
        return qualname_of(model) + ("" if known else _random_ending())
    name = model_name(model)
    of_framework = hasattr(model, "invoke") or hasattr(model, "chat")
    ending = f"/{name}" if name else "" if of_framework else _random_ending()
    return type(model).__name__ + ending + _temperature(getattr(model, "temperature", None))


def _random_ending() -> str:
    return f"#{secrets.token_hex(4)}"


def _temperature(value: object) -> str:
    return f"@{value:g}" if isinstance(value, int | float) and is_finite(value) else ""


@dataclass(frozen=True)
class LlmStats:
    """Counts since the model was made; a copy that doesn't change.

    Attributes:
        calls: how often the LLM was asked, repetitions included.
        retried: how often it was asked again, after an answer that could not be used or without structured output.
        unusable: how often `on_bad` took effect: all answers for a text or a window were bad.
        empty: texts without a visible character, which are scored lowest without a call.
        cut: texts that were shown only up to `max_chars`, counted once for each call that shows them.
        bad: answers by their faults; an answer that is put right counts too, once for each fault.
    """

    calls: int = 0
    retried: int = 0
    unusable: int = 0
    empty: int = 0
    cut: int = 0
    bad: Mapping[str, int] = field(default_factory=dict)


class Counters:
    """Counts from several threads; copies and unpickled ones start at zero."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._bad: Counter[str] = Counter()

    def add(self, name: str, by: int = 1) -> None:
        """Count up an attribute of `LlmStats`."""
        with self._lock:
            self._counts[name] += by

    def bad(self, *kinds: str) -> None:
        """Count an answer with these faults."""
        with self._lock:
            self._bad.update(set(kinds))

    def snapshot(self) -> LlmStats:
        with self._lock:
            return LlmStats(**self._counts, bad=dict(self._bad))

    def __reduce__(self) -> tuple[type[Counters], tuple[()]]:
        return type(self), ()


@dataclass(frozen=True)
class Call:
    """One call of an LLM, which whoever drives an asking makes: in this thread, or awaited.

    `arun` is None for a call that blocks, which then runs in a thread.
    """

    run: Callable[[], Any]
    arun: Callable[[], Awaitable[Any]] | None


Asking: TypeAlias = Generator[Call, Any, T]
"""Yields what to call, is sent the answers, returns what they amount to: written once for threads and event loops."""


class Chat(Protocol):
    """An LLM that can be asked; the answer is structured, or text."""

    def ask(self, prompt: Prompt) -> Asking[object]: ...


def as_chat(llm: Any, form: type[BaseModel], counters: Counters) -> Chat:
    """What asks `llm` for answers of `form`.

    Raises StrategyError: it is neither a LangChain model, nor a LlamaIndex LLM, nor callable.
    """
    if isinstance(llm, type):
        raise StrategyError(f"the LLM is the class {llm.__name__}: pass an object of it")
    if callable(getattr(llm, "invoke", None)):
        return _LangChain(llm, form, counters)
    if callable(getattr(llm, "chat", None)) and callable(getattr(llm, "complete", None)):
        return _LlamaIndex(llm, form, counters)
    if callable(llm):
        return _Function(llm, counters)
    raise StrategyError(
        f"not an LLM: {type(llm).__name__} has neither invoke (LangChain) nor chat and complete (LlamaIndex), "
        "and can't be called with a text"
    )


class _LangChain:
    """A chat model, or any Runnable from messages to a message or text."""

    def __init__(self, llm: Any, form: type[BaseModel], counters: Counters) -> None:
        self._llm, self._form, self._counters = llm, form, counters
        # asked of the class: a bound model passes the method on, but loses what was bound
        self._structures = hasattr(type(llm), "with_structured_output")

    def ask(self, prompt: Prompt) -> Asking[object]:
        messages = [("system", prompt.system), ("human", prompt.user)]
        if self._structures:
            try:
                structured = self._llm.with_structured_output(self._form, include_raw=True)
            except NotImplementedError:
                self._structures = False
            else:
                try:
                    return _read_structured((yield self._call(structured, messages)))
                except NotImplementedError:
                    self._structures = False
                    self._counters.add("retried")
        return _read_text((yield self._call(self._llm, messages)))

    def _call(self, runnable: Any, messages: list[tuple[str, str]]) -> Call:
        self._counters.add("calls")
        blocks = _has_no_async(self._llm)
        return Call(partial(runnable.invoke, messages), None if blocks else partial(runnable.ainvoke, messages))


class _LlamaIndex:
    """An LLM of LlamaIndex: by function calls if it can, in messages if not."""

    def __init__(self, llm: Any, form: type[BaseModel], counters: Counters) -> None:
        self._llm, self._form, self._counters = llm, form, counters
        self._structures = True

    def ask(self, prompt: Prompt) -> Asking[object]:
        if self._structures and self._llm.metadata.is_function_calling_model:
            texts = {"qr_system": prompt.system, "qr_user": prompt.user}
            try:
                return (yield self._call("structured_predict", self._form, _template(), **texts))
            except _UNSTRUCTURED as error:  # it is asked for as text, so that errors of other causes show there
                if isinstance(error, NotImplementedError):
                    self._structures = False
                else:
                    self._counters.bad("unstructured")
                self._counters.add("retried")
        llms = _llama_index("llms")
        messages = [llms.ChatMessage(role="system", content=prompt.system), llms.ChatMessage(role="user", content=prompt.user)]
        return _read_text((yield self._call("chat", messages)))

    def _call(self, method: str, *args: Any, **named: Any) -> Call:
        self._counters.add("calls")
        awaited = None if _blocks(self._llm) else partial(getattr(self._llm, f"a{method}"), *args, **named)
        return Call(partial(getattr(self._llm, method), *args, **named), awaited)


_UNSTRUCTURED = (NotImplementedError, ValueError, TypeError, AssertionError)
"""What LlamaIndex raises if an answer isn't a call of the function, or its arguments don't fit."""


class _Function:
    """A function, sync or async, from a text to a text; the message from the system comes first in the text."""

    def __init__(self, function: Any, counters: Counters) -> None:
        self._function, self._counters = function, counters
        by_class = getattr(type(function), "__call__", None)  # noqa: B004  an object may have an async __call__
        self._async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(by_class)

    def ask(self, prompt: Prompt) -> Asking[object]:
        self._counters.add("calls")
        call = partial(self._function, f"{prompt.system}\n\n{prompt.user}")
        answer = yield Call(_refuse, call) if self._async else Call(call, None)
        if not inspect.isawaitable(answer):
            return _read_text(answer)
        waiting = answer
        return _read_text((yield Call(partial(_refuse, waiting), lambda: waiting)))


def _refuse(answer: object = None) -> None:
    if inspect.iscoroutine(answer):
        answer.close()
    raise ClientError("the LLM is an async function: use ascore, or an async call of the retriever")


def _read_structured(answer: Any) -> object:
    """Of LangChain's structured output: the structure, or else what the model said."""
    if not isinstance(answer, Mapping) or "raw" not in answer:
        return answer
    if answer.get("parsed") is not None:
        return answer["parsed"]
    calls = getattr(answer["raw"], "tool_calls", None)
    return calls[0].get("args") if calls else _read_text(answer["raw"])


def _read_text(answer: Any) -> object:
    """The text of a message: LangChain's `content`, LlamaIndex's `message.content`; other things as they are."""
    message = getattr(answer, "message", answer)
    content = getattr(message, "content", message)
    if isinstance(content, list):  # blocks; those that think aloud are left out
        parts = [block if isinstance(block, str) else block.get("text", "") for block in content]
        return "".join(parts)
    return content


def _llama_index(part: str) -> Any:
    """A package of LlamaIndex; that isn't installed where an LLM has the same methods, but isn't LlamaIndex's."""
    return load_extra(f"llama_index.core.{part}", "an LLM of LlamaIndex", "llama-index")


def _template() -> Any:
    """A template of two variables: texts that are substituted aren't searched for further `{variables}`."""
    llms, prompts = _llama_index("llms"), _llama_index("prompts")
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
    return inherits(llm, _llama_index("llms").CustomLLM, "achat")
