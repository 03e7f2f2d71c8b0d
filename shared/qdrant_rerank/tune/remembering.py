"""What the candidates found, kept in a file of JSON lines: a second tuning of the same topics asks nothing of Qdrant again.

The first line says what was asked; each other line is one topic.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from .. import StrategyError
from .._internals import Journal, JournalKind, decode_records
from ..errors import FormatError
from ..evaluate import Topic
from .pools import Hit, Pool

__all__ = ["PoolFile", "PoolHeader"]

_KIND: Final = JournalKind(
    "qdrant-rerank candidates",
    wrong_header="not a line of what tune keeps (another kind of file): delete the file or name another",
    wrong_line="not a line of what tune keeps: delete the file or name another",
    empty="the file is empty",
)


@dataclass(frozen=True)
class PoolHeader:
    """What a file is about; only the same may go on in it.

    Attributes:
        collection: the collection's name.
        candidates: the plain searches with their depths.
        payload: what of the payload is kept.
        topics: the topics' fingerprint.
        doc_id: how documents were told.
    """

    collection: str
    candidates: str
    payload: str
    topics: str
    doc_id: str


class PoolFile(Journal):
    """A file of pools, read and written.

    Args:
        path: the file; made if it isn't there.
        about: what is asked.

    Raises:
        StrategyError: the file is about something else, or is being written to.
        FormatError: a line of it can't be read.
    """

    def __init__(self, path: str | os.PathLike[str], about: PoolHeader) -> None:
        super().__init__(path, _KIND, asdict(about), lambda there: _check(path, there, about))

    def pools(self, topics: Sequence[Topic], now: dt.datetime) -> dict[str, Pool]:
        """The pools that are there, by topic.

        Raises:
            FormatError: a line of it can't be read.
        """
        wanted = {topic.id: topic for topic in topics}
        found = decode_records(self.records, lambda record: _pool(record, wanted, now), self.path, _KIND)
        return {pool.topic.id: pool for pool in found if pool is not None}

    def keep(self, pool: Pool) -> None:
        """Append one topic's pool."""
        self.add(
            {
                "topic": pool.topic.id,
                "candidates": {key: [list(hit) for hit in hits] for key, hits in pool.candidates.items()},
                "documents": [[id, document] for id, document in pool.documents.items()],
                "payloads": [[id, payload] for id, payload in pool.payloads.items()],
                "tokens": dict(pool.tokens),
            }
        )


def _check(path: str | os.PathLike[str], record: dict[str, Any], wanted: PoolHeader) -> None:
    try:
        there = PoolHeader(**record)
    except TypeError as error:
        raise FormatError(f"{_KIND.wrong_header} ({error})", path, 1) from error
    for name, value in asdict(there).items():
        if value != getattr(wanted, name):
            raise StrategyError(
                f"{path} keeps what another tuning found: its {name} is {value!r}, this one's is "
                f"{getattr(wanted, name)!r}; name another file, or delete this one"
            )


def _pool(record: dict[str, Any], wanted: Mapping[str, Topic], now: dt.datetime) -> Pool | None:
    topic = wanted.get(record["topic"])
    if topic is None:
        return None
    return Pool(
        topic,
        topic.now or now,
        {key: [Hit(id, float(score)) for id, score in hits] for key, hits in record["candidates"].items()},
        {id: str(document) for id, document in record["documents"]},
        dict(record["payloads"]),
        {name: int(count) for name, count in record["tokens"].items()},
    )
