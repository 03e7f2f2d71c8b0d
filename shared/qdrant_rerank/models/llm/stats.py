"""What is counted while an LLM scores: how often it was asked, and what was wrong with its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

__all__ = ["Counters", "LlmStats"]


@dataclass(frozen=True)
class LlmStats:
    """Counts since the model was made; a copy that doesn't change.

    Attributes:
        calls: how often the LLM was asked, repetitions included.
        retried: how often it was asked again, after an answer that could not be used or without structured output.
        unusable: how often `on_bad` took effect: all answers for a text or a window were bad.
        empty: texts without a visible character, which are scored lowest without a call.
        cut: texts that were shown only up to `max_chars`, counted once for each call that shows them.
        bad: answers by what was wrong with them. An answer that is put right is counted too, once for each of its faults.
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
        """Count an attribute of `LlmStats` up."""
        with self._lock:
            self._counts[name] += by

    def bad(self, *kinds: str) -> None:
        """Count an answer with these faults."""
        with self._lock:
            self._bad.update(set(kinds))

    def snapshot(self) -> LlmStats:
        """The counts as they are now."""
        with self._lock:
            return LlmStats(**self._counts, bad=dict(self._bad))

    def __reduce__(self) -> tuple[type[Counters], tuple[()]]:
        return type(self), ()
