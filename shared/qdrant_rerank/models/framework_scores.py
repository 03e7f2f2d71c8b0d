"""From what another reranker returns to a score for each text: which it kept, in what order, with which scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import ScoringError

__all__ = ["FrameworkStats", "Returned", "as_number", "scored"]


@dataclass(frozen=True)
class FrameworkStats:
    """Counts since the model was made; a copy that doesn't change.

    Attributes:
        calls: lists that were given to the reranker.
        dropped: texts that it left out.
        repeated: texts that it returned again, e.g. in parts; the best score counts.
        ranked: calls whose scores are ranks, because not everything returned had a score.
        empty: texts without a visible character, which it wasn't given.
    """

    calls: int = 0
    dropped: int = 0
    repeated: int = 0
    ranked: int = 0
    empty: int = 0


class Returned(NamedTuple):
    """One thing that a reranker returned: the number of the text, and its score if there is one."""

    number: int
    score: float | None


def scored(returned: Sequence[Returned], count: int, margin: float) -> list[float]:
    """A score for each of `count` texts.

    Those returned get their scores; if any has none, all get ranks: `1 - position / count`. The others get the lowest of
    these minus `margin`, or 0 if nothing was returned.
    """
    best: dict[int, float] = {}
    by_rank = any(score is None for _, score in returned)
    for number, score in returned:
        value = 1 - len(best) / count if by_rank or score is None else score
        best[number] = best.get(number, value) if by_rank else max(value, best.get(number, value))
    rest = min(best.values()) - margin if best else 0.0
    return [best.get(number, rest) for number in range(count)]


def as_number(value: Any, whose: str) -> float | None:
    """A score as a float, numpy's numbers too; None stays None.

    Raises:
        ScoringError: it is something else, or not finite.
    """
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, str | bytes | bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ScoringError(f"{whose} wrote a score that isn't a finite number: {value!r:.80}")
    return number
