"""Scores kept in a file, so that a fit that is repeated or was cut short asks the model for nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final

from .._internals import (
    Journal,
    JournalKind,
    Record,
    ascore_texts,
    check_scores,
    decode_records,
    find_fingerprint,
    read_records,
    score_keys,
    score_texts,
)
from ..models import Reranker

_NOT_OURS: Final = "not a line of a file of scores: expected {'key': …, 'score': …}"
_KIND: Final = JournalKind(
    "qdrant-rerank scores", wrong_header=_NOT_OURS, wrong_line=_NOT_OURS, empty=_NOT_OURS, bare='{"key": '
)


@dataclass(frozen=True)
class Progress:
    """How far the scoring is.

    Attributes:
        done: documents that have their score, read from the file or new.
        total: documents to score, to learn from and to judge by; fewer, where queries find fewer or share texts.
        asked: documents that the model scored.
        seconds_left: by the model's speed so far; None before its first score.
    """

    done: int
    total: int
    asked: int
    seconds_left: float | None


@dataclass(frozen=True)
class ScoringForecast:
    """How many documents a fit scores, at most: to learn from, each of which may be new to the model, and to judge afterwards.

    `new` is how many of the latter the model didn't score to learn from.
    """

    learning: int = 0
    judging: int = 0
    new: int = 0

    def count_new(self, done: int) -> float:
        """How many of the documents after the first `done` may be new to the model."""
        share = min(1.0, (self.learning + self.judging - done) / self.judging) if self.judging else 0.0
        return max(0, self.learning - done) + max(0.0, share) * self.new


@dataclass
class ScoreFile:
    """A reranker that looks its scores up in a JSON-lines file first, and appends new ones as they come.

    A line is `{"key": …, "score": …}`; the key is a hash of the model's fingerprint, the query and the text. A last line that
    was cut short is ignored; another that isn't one raises a FormatError. Once the model has failed, it is asked for nothing
    more. The file is locked from the first new score on, until `close`.

    Args:
        reranker: is asked for scores that aren't there.
        path: of the file; None keeps scores in memory only.
        progress: called after each query.
        ahead: what there is to do, for `progress`.
        concurrency: how many calls of `ascore` the model answers at a time.
    """

    reranker: Reranker
    path: str | PathLike[str] | None = None
    progress: Callable[[Progress], object] | None = None
    ahead: ScoringForecast = field(default_factory=ScoringForecast)
    concurrency: int = 1
    done: int = 0
    asked: int = 0
    known: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self._fingerprint = self.reranker.fingerprint if self.path is None else find_fingerprint(self.reranker)
        self._failure: Exception | None = None
        self._clock = _Clock()
        self._turns = asyncio.Semaphore(self.concurrency)
        self._journal: Journal | None = None
        if self.path is not None and Path(self.path).exists():
            self._add_known(self.path, read_records(self.path, _KIND))

    def _add_known(self, path: str | PathLike[str], records: Sequence[Record]) -> None:
        self.known |= decode_records(records, lambda row: (str(row["key"]), float(row["score"])), path, _KIND)

    def close(self) -> None:
        """Let others write to the file."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    @property
    def fingerprint(self) -> str | None:
        return self._fingerprint

    @property
    def seconds(self) -> float:
        """How long the model has worked."""
        return self._clock.seconds

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in order. Raises ScoringError where the model returned others than so many finite ones."""
        keys, missing = self._missing(query, texts)
        if missing:
            with self._asking():
                self._keep(missing, score_texts(self.reranker, query, list(missing.values())))
        return self._scores(keys)

    async def ascore(self, query: str, texts: Sequence[str]) -> list[float]:
        """As `score`, without blocking; at most `concurrency` calls are with the model at a time."""
        keys, missing = self._missing(query, texts)
        if missing:
            async with self._turns:
                with self._asking():
                    self._keep(missing, await ascore_texts(self.reranker, query, list(missing.values())))
        return self._scores(keys)

    @contextmanager
    def _asking(self) -> Generator[None]:
        """Open the file before the model is asked; once that has failed, it is asked for nothing more."""
        if self._failure is not None:
            raise self._failure
        if self.path is not None and self._journal is None:
            self._journal = Journal(self.path, _KIND, {}, lambda _: None)
            self._add_known(self.path, self._journal.records)  # others may have added some
        try:
            with self._clock:
                yield
        except Exception as error:
            self._failure = error
            raise

    def skip(self, documents: int) -> None:
        """Count documents as done that need no score."""
        self.done += documents

    def reach(self, done: int) -> None:
        """Count everything up to `done` as done, whether it was there or not."""
        if done > self.done:
            self.done = done
            self._report()

    def _missing(self, query: str, texts: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The texts' keys, and the texts without a score by their keys."""
        keys = [key.hex() for key in score_keys(self._fingerprint or "", query, texts)]
        return keys, {key: text for key, text in zip(keys, texts, strict=True) if key not in self.known}

    def _keep(self, missing: dict[str, str], answer: Sequence[Any]) -> None:
        scores = dict(zip(missing, check_scores(list(answer), len(missing), self.reranker), strict=True))
        self.asked += len(missing)
        self.known |= scores
        if self._journal is not None:
            self._journal.add(*({"key": key, "score": score} for key, score in scores.items()))

    def _scores(self, keys: Sequence[str]) -> list[float]:
        self.done += len(keys)
        self._report()
        return [self.known[key] for key in keys]

    def _report(self) -> None:
        if self.progress is None:
            return
        total = self.ahead.learning + self.ahead.judging
        left = self.ahead.count_new(self.done) * self.seconds / self.asked if self.asked else None
        self.progress(Progress(min(self.done, total), total, self.asked, left))


class _Clock:
    """Adds up the time in which it is entered at least once."""

    def __init__(self) -> None:
        self._passed = self._since = 0.0
        self._inside = 0

    @property
    def seconds(self) -> float:
        return self._passed + (time.perf_counter() - self._since if self._inside else 0.0)

    def __enter__(self) -> None:
        if not self._inside:
            self._since = time.perf_counter()
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        self._inside -= 1
        if not self._inside:
            self._passed += time.perf_counter() - self._since
