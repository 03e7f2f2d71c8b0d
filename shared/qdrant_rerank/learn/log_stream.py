"""A log as it is written, topic by topic, to a file of JSON lines: a run that broke off goes on from there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from .._internals import Journal, JournalKind, Record, brief, read_journal
from ..errors import FormatError

__all__ = ["KIND", "LogStream", "TopicRows", "read_stream"]

KIND: Final = "feature_log"
_JOURNAL: Final = JournalKind(
    KIND,
    wrong_header='the first line must be the log\'s header, {"kind": "feature_log", …}: a log is what log_features, or '
    "`qdrant-rerank features`, makes of judgments",
    wrong_line="a line must be an object with topic, missed, fetched and rows",
    empty="the file is empty: a log begins with a header",
)


@dataclass(frozen=True)
class TopicRows:
    """What was logged for one topic.

    Attributes:
        topic: its id.
        rows: document, grade, judged (0 or 1), weight, and the features; NaN is None.
        missed: relevant documents that no candidate found.
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


class LogStream:
    """Topics as they are logged, and the file that they are appended to.

    Args:
        path: the file; None keeps nothing.
        header: what the log is of; a file with another one is refused.

    Attributes:
        header: the file's, which holds the moment that its first run began.
        done: the topics that the file holds.

    Raises:
        FormatError: the file is of another log, or malformed.
        StrategyError: the file is being written to.
    """

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self.header: Mapping[str, Any] = header
        self.done: dict[str, TopicRows] = {}
        self._journal: Journal | None = None
        if path is None:
            return
        about = {key: value for key, value in header.items() if key != "kind"}
        self._journal = Journal(path, _JOURNAL, about, lambda there: self._check(path, there))
        self.header = self._journal.header
        try:
            self.done, _ = _parts(self.header, self._journal.records, path)
        except BaseException:
            self.close()
            raise

    def add(self, rows: TopicRows) -> None:
        """Keep a topic; topics that failed are tried again another time."""
        self.done[rows.topic] = rows
        if self._journal is not None and rows.error is None:
            self._journal.add(rows.as_json())

    def finish(self, more: Mapping[str, Any]) -> None:
        """Keep what is known only at the end."""
        if self._journal is not None:
            self._journal.add(more)

    def close(self) -> None:
        """Let others write to the file."""
        if self._journal is not None:
            self._journal.close()

    def _check(self, path: Path, there: Mapping[str, Any]) -> None:
        if there.get("fingerprint") != self.header["fingerprint"]:
            raise FormatError(
                f"this log is of other topics, judgments, candidates, features or options ({there.get('fingerprint')}, not "
                f"{self.header['fingerprint']}): remove it, or give another path",
                path,
                1,
            )


def read_stream(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, TopicRows], dict[str, Any]]:
    """The header, the topics and what was known at the end.

    Raises:
        FormatError: it isn't such a file.
        OSError: there is none.
    """
    header, records = read_journal(path, _JOURNAL)
    return header, *_parts(header, records, path)


def _parts(
    header: Mapping[str, Any], records: Sequence[Record], path: str | os.PathLike[str]
) -> tuple[dict[str, TopicRows], dict[str, Any]]:
    """The topics, and what was known at the end."""
    features = header.get("features")
    if not isinstance(features, dict) or not features:
        raise FormatError(f"features must be an object of name to feature, got {brief(features)}", path, 1)
    topics: dict[str, TopicRows] = {}
    last: dict[str, Any] = {}
    for record in records:
        if "reference" in record.value:
            last = record.value
        else:
            rows = _topic(record, len(features), path)
            topics[rows.topic] = rows
    return topics, last


def _topic(record: Record, width: int, path: str | os.PathLike[str]) -> TopicRows:
    match record.value:
        case {"topic": str(topic), "rows": list(rows), "missed": list(missed), "fetched": int(fetched)} if _are_rows(
            rows, width
        ):
            return TopicRows(topic, tuple(tuple(row) for row in rows), tuple(map(str, missed)), fetched)
        case _:
            raise FormatError(_JOURNAL.wrong_line, path, record.line)


def _are_rows(rows: Sequence[Any], width: int) -> bool:
    """Whether each is a document, its grade, whether it was judged, its weight and the features, which may lack."""
    try:
        numbers = np.array([row[1:] for row in rows], dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, KeyError, OverflowError):
        return False
    return not rows or (numbers.shape == (len(rows), 3 + width) and bool(np.isfinite(numbers[:, :3]).all()))
