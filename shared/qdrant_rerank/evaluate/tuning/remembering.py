"""What the legs found, kept in a file of JSON lines: a second tuning of the same topics asks nothing of Qdrant again.

The first line says what was asked; each other line is one topic.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ...errors import FormatError, StrategyError
from ..topics import Topic
from .pools import Hit, Pool

__all__ = ["PoolFile", "PoolHeader"]

_KIND: Final = "qdrant-rerank legs"


@dataclass(frozen=True)
class PoolHeader:
    """What a file is about; only the same may go on in it.

    Attributes:
        collection: the collection's name.
        legs: the plain searches with their depths.
        payload: what of the payload is kept.
        topics: the topics' fingerprint.
        doc_id: how documents were told.
    """

    collection: str
    legs: str
    payload: str
    topics: str
    doc_id: str


class PoolFile:
    """A file of pools, read and written.

    Args:
        path: the file; made if it isn't there.
        header: what is asked.

    Raises:
        StrategyError: the file is about something else.
        FormatError: a line of it can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], header: PoolHeader) -> None:
        self.path = Path(path)
        self._records: dict[str, dict[str, Any]] = {}
        if self.path.exists() and self.path.stat().st_size:
            self._read(header)
        if not self.path.exists() or not self.path.stat().st_size:
            self._write({"kind": _KIND, **asdict(header)})

    def pools(self, topics: Sequence[Topic], now: dt.datetime) -> dict[str, Pool]:
        """The pools that are there, by topic."""
        return {topic.id: _pool(self._records[topic.id], topic, now) for topic in topics if topic.id in self._records}

    def add(self, pool: Pool) -> None:
        """Append one topic's pool."""
        self._write(
            {
                "topic": pool.topic.id,
                "legs": {key: [list(hit) for hit in hits] for key, hits in pool.legs.items()},
                "documents": [[id, document] for id, document in pool.documents.items()],
                "payloads": [[id, payload] for id, payload in pool.payloads.items()],
                "tokens": dict(pool.tokens),
            }
        )

    def _write(self, record: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def _read(self, wanted: PoolHeader) -> None:
        lines = self.path.read_bytes().splitlines(keepends=True)
        if not lines[-1].endswith(b"\n"):  # it was being written when the process ended
            with self.path.open("r+b") as file:
                file.truncate(sum(map(len, lines[:-1])))
            del lines[-1]
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                if number == 1:
                    self._check(record, wanted)
                else:
                    self._records[record["topic"]] = record
            except (ValueError, KeyError, TypeError) as error:
                if isinstance(error, StrategyError):
                    raise
                raise FormatError(
                    f"not a line of what tune keeps ({error}): delete the file or name another", self.path, number
                ) from error

    def _check(self, record: dict[str, Any], wanted: PoolHeader) -> None:
        if record.pop("kind", None) != _KIND:
            raise ValueError("another kind of file")
        there = PoolHeader(**record)
        for name, value in asdict(there).items():
            if value != getattr(wanted, name):
                raise StrategyError(
                    f"{self.path} keeps what another tuning found: its {name} is {value!r}, this one's is "
                    f"{getattr(wanted, name)!r}; name another file, or delete this one"
                )


def _pool(record: dict[str, Any], topic: Topic, now: dt.datetime) -> Pool:
    return Pool(
        topic,
        topic.now or now,
        {key: [Hit(id, float(score)) for id, score in hits] for key, hits in record["legs"].items()},
        {id: str(document) for id, document in record["documents"]},
        dict(record["payloads"]),
        {name: int(count) for name, count in record["tokens"].items()},
    )
