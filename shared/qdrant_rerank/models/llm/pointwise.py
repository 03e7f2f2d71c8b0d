"""`LlmPointwise`: an LLM gives each text a number, one call for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ...errors import StrategyError
from ...values import is_finite
from .answers import Bad, ScoreAnswer, read_score
from .fence import is_blank
from .model import Asking, LlmModel
from .prompts import digest, pointwise

__all__ = ["LlmPointwise"]


class LlmPointwise(LlmModel):
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
        super().__init__(
            llm,
            ScoreAnswer,
            instructions=instructions,
            concurrency=concurrency,
            max_chars=max_chars,
            retries=retries,
            name=name,
        )
        if on_bad not in ("lowest", "raise"):
            raise StrategyError(f"on_bad is 'lowest' or 'raise', not {on_bad!r}")
        self.on_bad = on_bad
        self.scale = _scale(scale)

    @property
    def fingerprint(self) -> str:
        """The LLM's name, the prompt's version and digest, and the settings that change scores."""
        low, high = self.scale
        return (
            f"llm-pointwise:{self.name}:prompt={digest('pointwise', self.instructions)}:scale={low:g}..{high:g}"
            f":max_chars={self.max_chars}:retries={self.retries}"
        )

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """A number on the scale for each text.

        Raises:
            ScoringError: an answer was bad to the end, and `on_bad` is "raise".
            ClientError: the LLM is an async function.
        """
        return self._placed(texts, self._all(self._askings(query, texts)))

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, by the LLM's async methods. If it is cancelled, so are the calls under way."""
        return self._placed(texts, await self._aall(self._askings(query, texts)))

    def _askings(self, query: str, texts: Sequence[str]) -> list[Asking[float]]:
        shown = [text for text in texts if not is_blank(text)]
        self._counters.add("empty", len(texts) - len(shown))
        return [self._one(query, text) for text in shown]

    def _one(self, query: str, text: str) -> Asking[float]:
        low, high = self.scale
        ends = f"{low:g}", f"{high:g}"
        result = yield from self._asked(
            lambda: pointwise(query, text, *ends, self.instructions, self.max_chars),
            lambda answer: read_score(answer, low, high),
            [text],
        )
        if not isinstance(result, Bad):
            return result
        self._given_up(result, "a score from {} to {}".format(*ends), self.on_bad == "raise")
        return low

    def _placed(self, texts: Sequence[str], scores: Sequence[float]) -> list[float]:
        given = iter(scores)
        return [self.scale[0] if is_blank(text) else next(given) for text in texts]


def _scale(scale: Any) -> tuple[float, float]:
    match scale:
        case (low, high) if is_finite(low) and is_finite(high) and low < high:
            return float(low), float(high)
        case _:
            raise StrategyError(f"scale is the lowest and the highest score, as in (0, 10); not {scale!r}")
