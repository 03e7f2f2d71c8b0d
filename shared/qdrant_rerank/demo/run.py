"""The demo from start to end, on any Qdrant: fill a collection, ask, show."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from qdrant_client import QdrantClient
from rich.console import Console

from .. import Retries
from ..ingest import ensure_collection, ingest, read_jsonl
from ..models import Encoder, Encoders
from . import show
from .guide import CORPUS, Question, questions
from .lineup import FORMULA, LINEUP, SHOWN, Entry
from .measure import CountingExecutor, Outcome, measured

__all__ = ["Demo"]

_CHOSEN: Final = {
    "q17": "The guide has two answers: one is outdated, the other current.",
    "q28": "The best answer says pram where the question says buggy.",
    "q38": "A broad question: eleven entries answer it, well or in part.",
}
_RUNS: Final = 5


@dataclass(frozen=True)
class Demo:
    """One run of the demo.

    Attributes:
        client: where the collection is made, or found and filled up.
        collection: its name.
        encoders: for its vectors `dense` and `bm25`.
        console: what to print on.
        retries: how often a request that fails in passing is made again.
    """

    client: QdrantClient
    collection: str
    encoders: Mapping[str, Encoder]
    console: Console
    retries: Retries

    def fill(self) -> float:
        """Make the collection and put the guide into it; the seconds that it took."""
        start = time.perf_counter()
        self.retries.run(  # as a whole: it looks what is there first
            lambda: ensure_collection(self.client, self.collection, self.encoders, strategy=FORMULA.strategy)
        )
        ingest(self.client, self.collection, read_jsonl(CORPUS), self.encoders, retries=self.retries)
        return time.perf_counter() - start

    def show_all(self) -> None:
        """Show the strategies, three questions side by side, and how each strategy did on all questions."""
        asked = questions()
        self.console.print(show.lineup())
        self.console.print(show.legend(is_judged=True))
        for question in asked:
            if question.id in _CHOSEN:
                self._show(question, _CHOSEN[question.id])
        self.console.print(show.summary(self._over_all(asked)))

    def show_one(self, text: str) -> None:
        """Show a question of the user's own, which nobody judged."""
        self.console.print(show.lineup())
        self.console.print(show.legend(is_judged=False))
        self._show(Question(text))

    def _show(self, question: Question, why: str = "") -> None:
        outcomes = self._outcomes(question, SHOWN, _RUNS)
        self.console.print()
        self.console.print(show.side_by_side(question, why, outcomes, self.console.width))

    def _over_all(self, asked: Sequence[Question]) -> list[dict[str, Outcome]]:
        self.console.print()
        with self.console.status(f"asking {len(asked)} questions in {len(LINEUP)} ways"):
            return [self._outcomes(question, LINEUP, runs=1) for question in asked]

    def _outcomes(self, question: Question, entries: Sequence[Entry], runs: int) -> dict[str, Outcome]:
        return {entry.name: measured(self._executor, entry, question, runs) for entry in entries}

    @cached_property
    def _executor(self) -> CountingExecutor:
        return CountingExecutor(self.client, self.collection, encoders=Encoders(self.encoders), retries=self.retries)
