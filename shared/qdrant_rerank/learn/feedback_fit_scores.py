"""Feedback scores kept in a file, so that a fit that is run again, or was cut short, asks the model for nothing twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..models.feedback import FeedbackModel
from ..models.score_cache import score_keys
from ..models.scores import checked

__all__ = ["Progress", "ScoreFile"]


@dataclass(frozen=True)
class Progress:
    """How far the scoring is.

    Attributes:
        done: documents that have their score, read from the file or new.
        total: documents to score in all; at most, where several queries share texts.
        asked: documents that the model was asked for.
        seconds_left: by the model's speed so far; None before it was asked for the first time.
    """

    done: int
    total: int
    asked: int
    seconds_left: float | None


@dataclass
class ScoreFile:
    """A feedback model that looks its scores up in a JSON-lines file first, and appends new ones as they come.

    A line is `{"key": …, "score": …}`; the key is made of the model's fingerprint, the query and the text, none of which is
    kept. A last line that was cut short is ignored.

    Args:
        model: what is asked for scores that aren't there.
        path: the file; None to keep scores only in memory.

    Raises:
        FormatError: a line, other than the last, isn't one.
    """

    model: FeedbackModel
    path: str | PathLike[str] | None = None
    progress: Callable[[Progress], object] | None = None
    total: int = 0
    done: int = 0
    asked: int = 0
    seconds: float = 0.0
    known: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self._fingerprint = self.model.fingerprint
        if self.path is None or not Path(self.path).exists():
            return
        text = Path(self.path).read_text("utf-8")
        lines = text.splitlines()
        for number, line in enumerate(lines, 1):
            try:
                row: dict[str, Any] = json.loads(line)
                self.known[row["key"]] = float(row["score"])
            except (ValueError, KeyError, TypeError):
                if number == len(lines) and not text.endswith("\n"):
                    text = text[: text.rfind("\n") + 1]
                    Path(self.path).write_text(text, "utf-8")
                    break
                raise FormatError(
                    "not a line of a file of scores: expected {'key': …, 'score': …}", self.path, number
                ) from None
        if text and not text.endswith("\n"):
            with Path(self.path).open("a", encoding="utf-8") as file:
                file.write("\n")

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._fingerprint

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in the order of the texts.

        Raises:
            ScoringError: the model returned the wrong number of scores, or some that aren't finite.
        """
        keys = [key.hex() for key in score_keys(self._fingerprint, query, texts)]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.known}
        if missing:
            start = time.perf_counter()
            scores = checked(list(self.model.score(query, list(missing.values()))), len(missing), self.model)
            self.seconds += time.perf_counter() - start
            self.asked += len(missing)
            self._keep(dict(zip(missing, scores, strict=True)))
        self.done += len(texts)
        if self.progress is not None:
            left = None if not self.asked else max(0, self.total - self.done) * self.seconds / self.asked
            self.progress(Progress(self.done, self.total, self.asked, left))
        return [self.known[key] for key in keys]

    def _keep(self, scores: dict[str, float]) -> None:
        self.known |= scores
        if self.path is None:
            return
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps({"key": key, "score": score}) + "\n" for key, score in scores.items()))
