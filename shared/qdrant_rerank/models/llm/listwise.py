"""`LlmListwise`: an LLM puts lists of texts in order, window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from ...errors import StrategyError
from .answers import Bad, OrderAnswer, read_order
from .fence import is_blank
from .model import Asking, LlmModel, checked
from .prompts import digest, listwise

__all__ = ["LlmListwise", "windows"]


class LlmListwise(LlmModel):
    """Asks an LLM for the order of texts; long lists in windows that slide from the end to the start.

    Each window's best move on into the next, so that `window - step` texts can rise from the end to the top. This is the
    method of RankGPT: Sun et al. 2023, "Is ChatGPT Good at Search?", arXiv:2304.09542. The last window always begins at
    the first text.

    **Scores are ranks**, not magnitudes: of n texts the one at position p (from 0) gets `1 - p / n`. The order that the
    texts come in matters: it is what windows slide over, and what remains where the LLM says nothing. Texts without
    visible characters come last, in their order, without being shown.

    Args:
        llm: as of `LlmPointwise`.
        instructions: what counts as a good answer, in your words; they go into the message from the system.
        window: texts in one call, at least 2.
        step: how far the window moves, less than `window`.
        concurrency: calls under way at once in all threads, and in each event loop. The windows of one list follow each
            other, so this is about several queries.
        max_chars: what is shown of each text and of the query; a longer one ends with a note that it was cut.
        retries: how often to ask again after an answer that names no document.
        on_bad: what follows if all answers for a window are of no use: `"keep_order"` leaves it as it is, `"raise"` raises
            an error. Both are counted in `stats`. Answers with some use are put right: the first mention of a document
            counts, unknown ids don't, and documents that are missing follow in the order they had.
        name: what the fingerprint calls the LLM, as of `LlmPointwise`.

    Raises:
        StrategyError: a setting is wrong, or `llm` is not an LLM.
    """

    independent = False
    """A text's score depends on the other texts of the list: it must not be kept in a cache."""

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
        super().__init__(
            llm,
            OrderAnswer,
            instructions=instructions,
            concurrency=concurrency,
            max_chars=max_chars,
            retries=retries,
            name=name,
        )
        checked("window", window, 2)
        checked("step", step, 1)
        if step >= window:
            raise StrategyError(f"step is less than window, or nothing could move on: step={step}, window={window}")
        if on_bad not in ("keep_order", "raise"):
            raise StrategyError(f"on_bad is 'keep_order' or 'raise', not {on_bad!r}")
        self.on_bad = on_bad
        self.window = window
        self.step = step

    @property
    def fingerprint(self) -> str:
        """The LLM's name, the prompt's version and digest, and the settings that change the order."""
        return (
            f"llm-listwise:{self.name}:prompt={digest('listwise', self.instructions)}:window={self.window}:step={self.step}"
            f":max_chars={self.max_chars}:retries={self.retries}"
        )

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """`1 - position / n` for each text.

        Raises:
            ScoringError: an answer was bad to the end, and `on_bad` is "raise".
            ClientError: the LLM is an async function.
        """
        return _ranks(self._all([self._order(query, texts)])[0])

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, by the LLM's async methods. If it is cancelled, so is the call under way."""
        return _ranks((await self._aall([self._order(query, texts)]))[0])

    def _order(self, query: str, texts: Sequence[str]) -> Asking[list[int]]:
        order = [place for place, text in enumerate(texts) if not is_blank(text)]
        blank = [place for place, text in enumerate(texts) if is_blank(text)]
        self._counters.add("empty", len(blank))
        for start, end in windows(len(order), self.window, self.step):
            order[start:end] = yield from self._window(query, order[start:end], texts)
        return order + blank

    def _window(self, query: str, places: list[int], texts: Sequence[str]) -> Asking[list[int]]:
        shown = [texts[place] for place in places]
        result = yield from self._asked(
            lambda: listwise(query, shown, self.instructions, self.max_chars),
            lambda answer: read_order(answer, len(shown)),
            shown,
        )
        if isinstance(result, Bad):
            self._given_up(result, f"an order of {len(shown)} documents", self.on_bad == "raise")
            return places
        self._counters.bad(*result.faults)
        return [places[position] for position in result.positions]


def windows(count: int, window: int, step: int) -> Iterator[tuple[int, int]]:
    """Start and end of each window over `count` texts, from the last to one that starts at 0; none for fewer than two."""
    end = count
    while count > 1:
        start = max(0, end - window)
        yield start, end
        if start == 0:
            return
        end -= step


def _ranks(order: Sequence[int]) -> list[float]:
    position = {place: rank for rank, place in enumerate(order)}
    return [1 - position[place] / len(order) for place in range(len(order))]
