"""What pointwise and listwise models share: their settings, how they ask, what they count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel

from ...errors import ScoringError, StrategyError
from ...threads import carrying
from ...values import is_whole
from .answers import Bad
from .chat import as_chat
from .gate import Gate
from .naming import named
from .prompts import Prompt, again
from .stats import Counters, LlmStats

__all__ = ["Asking", "LlmModel", "check_text", "checked"]

T = TypeVar("T")
Asking: TypeAlias = Generator[Prompt, object, T]
"""Yields what to ask, is sent the answers, returns what they amount to: written once for threads and event loops."""


class LlmModel(ABC):
    """A reranker that asks an LLM; see `LlmPointwise` and `LlmListwise`."""

    def __init__(
        self,
        llm: Any,
        form: type[BaseModel],
        *,
        instructions: str | None,
        concurrency: int,
        max_chars: int,
        retries: int,
        name: str | None,
    ) -> None:
        checked("concurrency", concurrency, 1)
        checked("max_chars", max_chars, 1)
        checked("retries", retries, 0)
        check_text("instructions", instructions)
        check_text("name", name)
        self.llm = llm
        self.instructions = instructions
        self.max_chars = max_chars
        self.retries = retries
        self.name = named(llm) if name is None else name
        self._counters = Counters()
        self._gate = Gate(concurrency)
        self._chat = as_chat(llm, form, self._counters, self._gate)

    @property
    def concurrency(self) -> int:
        """How many calls may be under way at once."""
        return self._gate.limit

    @property
    def stats(self) -> LlmStats:
        """What was counted so far: calls, repetitions, bad answers by kind."""
        return self._counters.snapshot()

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Same for models that give the same scores."""

    def __repr__(self) -> str:  # without the LLM, whose repr may show a key
        return f"<{type(self).__name__} {self.fingerprint}>"

    def _named(self) -> str:
        return f"the LLM {self.name}"

    def _all(self, askings: Sequence[Asking[T]]) -> list[T]:
        return self._gate.each([partial(self._driven, asking) for asking in askings])

    async def _aall(self, askings: Sequence[Asking[T]]) -> list[T]:
        return await self._gate.aeach([partial(self._adriven, asking) for asking in askings])

    def _driven(self, asking: Asking[T]) -> T:
        try:
            prompt = next(asking)
            while True:
                with carrying(ScoringError, self._named):
                    answer = self._chat.ask(prompt)
                prompt = asking.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    async def _adriven(self, asking: Asking[T]) -> T:
        try:
            prompt = next(asking)
            while True:
                with carrying(ScoringError, self._named, awaits=True):
                    answer = await self._chat.aask(prompt)
                prompt = asking.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value

    def _asked(self, make: Callable[[], Prompt], read: Callable[[object], T | Bad], shown: Sequence[str]) -> Asking[T | Bad]:
        """Ask until an answer can be used, or `retries` are used up; each time with new fences."""
        cut = sum(len(text) > self.max_chars for text in shown)
        result = self._counted(read((yield make())), cut)
        for _ in range(self.retries):
            if not isinstance(result, Bad):
                break
            self._counters.add("retried")
            result = self._counted(read((yield again(make()))), cut)
        return result

    def _counted(self, result: T | Bad, cut: int) -> T | Bad:
        self._counters.add("cut", cut)
        if isinstance(result, Bad):
            self._counters.bad(result.kind)
        return result

    def _given_up(self, bad: Bad, wanted: str, raises: bool) -> None:
        self._counters.add("unusable")
        if raises:
            raise ScoringError(
                f"the LLM's answer is not {wanted} ({bad.kind}); it was asked {1 + self.retries} times, "
                f"and its last answer begins: {bad.answer!r}"
            )


def checked(name: str, value: object, least: int) -> None:
    """Raise StrategyError unless `value` is a whole number of at least `least`."""
    if not is_whole(value, least):
        raise StrategyError(f"{name} is a whole number of at least {least}, not {value!r}")


def check_text(name: str, value: object) -> None:
    """Raise StrategyError unless `value` is a text with words, or None."""
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise StrategyError(f"{name} is a text, or None; not {value!r}")
