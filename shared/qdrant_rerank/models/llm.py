"""Large language models as rerankers: `LlmPointwise` has each text scored, `LlmListwise` has lists put in order, by windows.

The LLM is a LangChain chat model, a LlamaIndex LLM or a function from text to text; no framework is imported until one of
its models is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel

from ..errors import ScoringError, StrategyError
from ..steps import adrive, drive
from ..threads import carrying
from ..values import check_counts, is_finite
from .base import Gate, check_whole
from .llm_chat import Asking, Call, Counters, LlmStats, as_chat, llm_name
from .llm_prompts import (
    Bad,
    OrderAnswer,
    Prompt,
    ScoreAnswer,
    again,
    digest,
    is_blank,
    listwise,
    pointwise,
    read_order,
    read_score,
    windows,
)

T = TypeVar("T")


class _LlmModel(ABC):
    """A reranker that asks an LLM; see `LlmPointwise` and `LlmListwise`."""

    _kind: ClassVar[Literal["pointwise", "listwise"]]
    _on_bad: ClassVar[str]

    def __init__(
        self,
        llm: Any,
        form: type[BaseModel],
        instructions: str | None,
        concurrency: int,
        max_chars: int,
        retries: int,
        on_bad: str,
        name: str | None,
    ) -> None:
        check_whole(self, concurrency=concurrency, max_chars=max_chars)
        check_counts(0, retries=retries)
        for what, text in (("instructions", instructions), ("name", name)):
            if text is not None and not (isinstance(text, str) and text.strip()):
                raise StrategyError(f"{what} is a text, or None; not {text!r}")
        if on_bad not in (self._on_bad, "raise"):
            raise StrategyError(f"on_bad is {self._on_bad!r} or 'raise', not {on_bad!r}")
        self.llm = llm
        self.instructions = instructions
        self.max_chars = max_chars
        self.retries = retries
        self.on_bad = on_bad
        self.name = llm_name(llm) if name is None else name
        self._counters = Counters()
        self._gate = Gate(concurrency)
        self._chat = as_chat(llm, form, self._counters)

    @property
    def concurrency(self) -> int:
        return self._gate.limit

    @property
    def stats(self) -> LlmStats:
        """Calls, repetitions, bad answers by kind, so far."""
        return self._counters.snapshot()

    @property
    def fingerprint(self) -> str:
        """The LLM's name, the prompt's version and digest, and the settings that change scores."""
        prompt = digest(self._kind, self.instructions)
        return f"llm-{self._kind}:{self.name}:prompt={prompt}:{self._setting}:max_chars={self.max_chars}:retries={self.retries}"

    def __repr__(self) -> str:  # without the LLM, whose repr may show a key
        return f"<{type(self).__name__} {self.fingerprint}>"

    def _describe(self) -> str:
        return f"the LLM {self.name}"

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in their order.

        Raises ScoringError: an answer was bad to the end, and `on_bad` is "raise". Raises ClientError: the LLM is an async
        function.
        """
        jobs = [partial(drive, asking, self._call) for asking in self._askings(query, texts)]
        return self._scores(texts, self._gate.each(jobs))

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, by the LLM's async methods; cancelling cancels the calls under way."""
        jobs = [partial(adrive, asking, self._acall) for asking in self._askings(query, texts)]
        return self._scores(texts, await self._gate.aeach(jobs))

    @property
    @abstractmethod
    def _setting(self) -> str:
        """What else changes scores, for the fingerprint."""

    @abstractmethod
    def _askings(self, query: str, texts: Sequence[str]) -> list[Asking[Any]]:
        """What to ask of the LLM, side by side."""

    @abstractmethod
    def _scores(self, texts: Sequence[str], answers: Sequence[Any]) -> list[float]:
        """The scores of all texts, by the answers."""

    def _call(self, call: Call) -> Any:
        with carrying(ScoringError, self._describe):
            return call.run()

    async def _acall(self, call: Call) -> Any:
        with carrying(ScoringError, self._describe, awaits=True):
            return await self._gate.arun(lambda _: call.run()) if call.arun is None else await call.arun()

    def _ask(self, make: Callable[[], Prompt], read: Callable[[object], T | Bad], shown: Sequence[str]) -> Asking[T | Bad]:
        """Ask until an answer can be used, or `retries` are used up; each time with new fences."""
        cut, left, prompt = sum(len(text) > self.max_chars for text in shown), self.retries, make()
        while True:
            result = read((yield from self._chat.ask(prompt)))
            self._counters.add("cut", cut)
            if not isinstance(result, Bad):
                return result
            self._counters.bad(result.kind)
            if not left:
                return result
            left, prompt = left - 1, again(make())
            self._counters.add("retried")

    def _give_up(self, bad: Bad, wanted: str) -> None:
        self._counters.add("unusable")
        if self.on_bad == "raise":
            raise ScoringError(
                f"the LLM's answer is not {wanted} ({bad.kind}); it was asked {1 + self.retries} times, "
                f"and its last answer begins: {bad.answer!r}"
            )


class LlmPointwise(_LlmModel):
    """Asks an LLM for a score of each text: one call a text, which sees that text alone.

    The number comes by structured output where the LLM has it, and is read from JSON in the answer where not. A text
    without visible characters gets the bottom of the scale without a call.

    Args:
        llm: a LangChain chat model (or other Runnable from messages to a message), a LlamaIndex LLM, or a function from
            text to text, sync or async.
        instructions: what counts as a good answer, in your words; they go into the message from the system.
        scale: the lowest and the highest score; an answer beyond them is bad, it isn't moved to the end of the scale.
        concurrency: calls under way at once in all threads, and in each event loop.
        max_chars: what is shown of each text and of the query; a longer one ends with a note that it was cut.
        retries: how often to ask again after a bad answer.
        on_bad: what follows if all answers for a text are bad: `"lowest"` gives it the bottom of the scale, `"raise"` an
            error. Both are counted in `stats`.
        name: what the fingerprint calls the LLM; by default its class, model name and temperature. Say more if settings
            differ in other ways. Of a function it is where it is defined; lambdas and other callables without a name of
            their own get a random one.

    Raises:
        StrategyError: a setting is wrong, or `llm` is not an LLM.
    """

    independent = True
    """A text's score depends on that text alone, so it may be kept in a cache."""
    _kind = "pointwise"
    _on_bad = "lowest"

    def __init__(
        self,
        llm: Any,
        *,
        instructions: str | None = None,
        scale: tuple[float, float] = (0, 10),
        concurrency: int = 8,
        max_chars: int = 8000,
        retries: int = 1,
        on_bad: Literal["lowest", "raise"] = "lowest",
        name: str | None = None,
    ) -> None:
        super().__init__(llm, ScoreAnswer, instructions, concurrency, max_chars, retries, on_bad, name)
        self.scale = _scale(scale)

    @property
    def _setting(self) -> str:
        return "scale={:g}..{:g}".format(*self.scale)

    def _askings(self, query: str, texts: Sequence[str]) -> list[Asking[float]]:
        shown = [text for text in texts if not is_blank(text)]
        self._counters.add("empty", len(texts) - len(shown))
        return [self._one(query, text) for text in shown]

    def _one(self, query: str, text: str) -> Asking[float]:
        low, high = self.scale
        ends = f"{low:g}", f"{high:g}"
        result = yield from self._ask(
            lambda: pointwise(query, text, *ends, self.instructions, self.max_chars),
            lambda answer: read_score(answer, low, high),
            [text],
        )
        if not isinstance(result, Bad):
            return result
        self._give_up(result, "a score from {} to {}".format(*ends))
        return low

    def _scores(self, texts: Sequence[str], answers: Sequence[float]) -> list[float]:
        given = iter(answers)
        return [self.scale[0] if is_blank(text) else next(given) for text in texts]


def _scale(scale: Any) -> tuple[float, float]:
    match scale:
        case (low, high) if is_finite(low) and is_finite(high) and low < high:
            return float(low), float(high)
        case _:
            raise StrategyError(f"scale is the lowest and the highest score, as in (0, 10); not {scale!r}")


class LlmListwise(_LlmModel):
    """Asks an LLM for the order of texts; long lists in windows that slide from the end to the start.

    Each window's best move on into the next, so that `window - step` texts can rise from the end to the top. This is the
    method of RankGPT: Sun et al. 2023, "Is ChatGPT Good at Search?", arXiv:2304.09542. The last window always begins at
    the first text.

    **Scores are ranks**, not magnitudes: of n texts the one at position p (from 0) gets `1 - p / n`. The order that the
    texts come in matters: it is what windows slide over, and what remains where the LLM says nothing. Texts without
    visible characters come last, in their order, without being shown.

    Args:
        llm, instructions, max_chars, name: as of `LlmPointwise`.
        window: texts in one call, at least 2.
        step: how far the window moves, less than `window`.
        concurrency: calls under way at once in all threads, and in each event loop. The windows of one list follow each
            other, so this is about several queries.
        retries: how often to ask again after an answer that names no document.
        on_bad: what follows if all answers for a window are of no use: `"keep_order"` leaves it as it is, `"raise"` raises
            an error. Both are counted in `stats`. Answers with some use are put right: the first mention of a document
            counts, unknown ids don't, and documents that are missing follow in the order they had.

    Raises:
        StrategyError: a setting is wrong, or `llm` is not an LLM.
    """

    independent = False
    """A text's score depends on the other texts of the list: it must not be kept in a cache."""
    _kind = "listwise"
    _on_bad = "keep_order"

    def __init__(
        self,
        llm: Any,
        *,
        instructions: str | None = None,
        window: int = 20,
        step: int = 10,
        concurrency: int = 8,
        max_chars: int = 2000,
        retries: int = 1,
        on_bad: Literal["keep_order", "raise"] = "keep_order",
        name: str | None = None,
    ) -> None:
        super().__init__(llm, OrderAnswer, instructions, concurrency, max_chars, retries, on_bad, name)
        check_whole(self, step=step)
        check_counts(2, window=window)
        if step >= window:
            raise StrategyError(f"step is less than window, or nothing could move on: step={step}, window={window}")
        self.window = window
        self.step = step

    @property
    def _setting(self) -> str:
        return f"window={self.window}:step={self.step}"

    def _askings(self, query: str, texts: Sequence[str]) -> list[Asking[list[int]]]:
        return [self._order(query, texts)]

    def _scores(self, texts: Sequence[str], answers: Sequence[list[int]]) -> list[float]:
        position = {place: rank for rank, place in enumerate(answers[0])}
        return [1 - position[place] / len(texts) for place in range(len(texts))]

    def _order(self, query: str, texts: Sequence[str]) -> Asking[list[int]]:
        order = [place for place, text in enumerate(texts) if not is_blank(text)]
        blank = [place for place, text in enumerate(texts) if is_blank(text)]
        self._counters.add("empty", len(blank))
        for start, end in windows(len(order), self.window, self.step):
            order[start:end] = yield from self._window(query, order[start:end], texts)
        return order + blank

    def _window(self, query: str, places: list[int], texts: Sequence[str]) -> Asking[list[int]]:
        shown = [texts[place] for place in places]
        result = yield from self._ask(
            lambda: listwise(query, shown, self.instructions, self.max_chars),
            lambda answer: read_order(answer, len(shown)),
            shown,
        )
        if isinstance(result, Bad):
            self._give_up(result, f"an order of {len(shown)} documents")
            return places
        self._counters.bad(*result.faults)
        return [places[position] for position in result.positions]
