"""A log as it is written, topic by topic, to a file of JSON lines: a run that broke off goes on from there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import FormatError

__all__ = ["KIND", "LogStream", "TopicRows", "read_stream"]

KIND: Final = "feature_log"


@dataclass(frozen=True)
class TopicRows:
    """What was logged for one topic.

    Attributes:
        topic: its id.
        rows: document, grade, judged (0 or 1), weight, and the features; NaN is None.
        missed: relevant documents that no leg found.
        fetched: how many of them are among the rows.
        error: what went wrong, as text; None if nothing did.
    """

    topic: str
    rows: tuple[tuple[Any, ...], ...] = ()
    missed: tuple[str, ...] = ()
    fetched: int = 0
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"topic": self.topic, "missed": self.missed, "fetched": self.fetched, "rows": self.rows}


@dataclass
class LogStream:
    """The file that topics are appended to.

    Attributes:
        path: the file; None keeps nothing.
        header: what the log is of; a file with another one is refused.
        done: the topics that the file holds.

    Raises:
        FormatError: the file is of another log, or malformed.
    """

    path: Path | None
    header: Mapping[str, Any]
    done: dict[str, TopicRows] = field(default_factory=dict[str, TopicRows])

    def __post_init__(self) -> None:
        if self.path is None:
            return
        if self.path.exists():
            _cut(self.path)
        if self.path.exists() and self.path.stat().st_size:
            self._resume(self.path)
        else:
            self._append(self.path, self.header)

    def add(self, rows: TopicRows) -> None:
        """Keep a topic; topics that failed are tried again another time."""
        self.done[rows.topic] = rows
        if self.path is not None and rows.error is None:
            self._append(self.path, rows.as_json())

    def finish(self, more: Mapping[str, Any]) -> None:
        """Keep what is known only at the end."""
        if self.path is not None:
            self._append(self.path, more)

    @staticmethod
    def _append(path: Path, value: Mapping[str, Any]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")

    def _resume(self, path: Path) -> None:
        header, topics, _ = read_stream(path)
        if header.get("fingerprint") != self.header["fingerprint"]:
            raise FormatError(
                f"this log is of other topics, judgments, legs, features or options ({header.get('fingerprint')}, not "
                f"{self.header['fingerprint']}): remove it, or give another path",
                path,
                1,
            )
        self.header = header
        self.done = topics


def read_stream(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, TopicRows], dict[str, Any]]:
    """The header, the topics and what was known at the end.

    Raises:
        FormatError: it isn't such a file.
        OSError: there is none.
    """
    header: dict[str, Any] = {}
    topics: dict[str, TopicRows] = {}
    last: dict[str, Any] = {}
    for number, line in enumerate(Path(path).read_text("utf-8").splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise FormatError(f"not JSON: {error}", path, number) from None
        if number == 1:
            if not isinstance(value, dict) or value.get("kind") != KIND:
                raise FormatError(
                    'the first line must be the log\'s header, {"kind": "feature_log", …}: a log is what log_features, or '
                    "`qdrant-rerank features`, makes of judgments",
                    path,
                    1,
                )
            header = value
        elif isinstance(value, dict) and "reference" in value:
            last = value
        else:
            rows = _topic(value, path, number)
            topics[rows.topic] = rows
    if not header:
        raise FormatError("the file is empty: a log begins with a header", path)
    return header, topics, last


def _topic(value: Any, path: str | os.PathLike[str], number: int) -> TopicRows:
    match value:
        case {"topic": str(topic), "rows": list(rows), "missed": list(missed), "fetched": int(fetched)}:
            return TopicRows(topic, tuple(tuple(row) for row in rows), tuple(map(str, missed)), fetched)
        case _:
            raise FormatError("a line must be an object with topic, missed, fetched and rows", path, number)


def _cut(path: Path) -> None:
    """Remove a last line that was not written to its end."""
    text = path.read_bytes()
    if not text.endswith(b"\n"):
        path.write_bytes(text[: text.rfind(b"\n") + 1])
