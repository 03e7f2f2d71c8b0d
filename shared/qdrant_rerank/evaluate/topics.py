"""Topics: the queries that a search is judged by, each with an id.

Nothing here reads judgments (`qrels.py`) or asks anything (`running.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeGuard, cast

from qdrant_client import models

from .. import Query, SearchOptions
from .._internals import QueryVector, both, not_a_filter, warn
from ..errors import FormatError
from .plain import plain

__all__ = ["SYNTHETIC_NOTE", "Topic", "Topics"]

SYNTHETIC_NOTE: Final = (
    "made with synthetic queries cut from the documents themselves: good for trying things out, no evidence about real users"
)


@dataclass(frozen=True)
class Topic:
    """One query with an id, and what a user would send along with it.

    Attributes:
        id: as in the qrels.
        text: the query.
        features: request-time values by name, for `param(name)` in formulas.
        filter: only points that meet it may be found; AND-ed with a strategy's own filters.
        vectors: query vectors that are there already, by vector name; they are not embedded again.
        now: what `now()` means in formulas; the time of the call if None.

    Raises:
        FormatError: the id is empty or the filter is none of Qdrant's.
    """

    id: str
    text: str
    params: Mapping[str, Any] = field(default_factory=dict)
    filter: models.Filter | None = None
    vectors: Mapping[str, QueryVector] = field(default_factory=dict)
    now: dt.datetime | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id.strip():
            raise FormatError(f"a topic's id must be text that isn't empty, got {self.id!r}")
        if not isinstance(self.text, str):
            raise FormatError(f"the text of topic {self.id!r} must be a string, got {self.text!r}")
        if self.filter is not None and not isinstance(self.filter, models.Filter):
            raise FormatError(f"topic {self.id!r}: {not_a_filter(self.filter)}")

    @property
    def query(self) -> Query:
        """The query as strategies take it."""
        return Query(self.text, self.vectors, self.params, self.now)

    def within(self, options: SearchOptions) -> SearchOptions:
        """`options` with this topic's filter AND-ed to its own."""
        return options if self.filter is None else replace(options, filter=both(options.filter, self.filter))

    @property
    def is_plain(self) -> bool:
        """Whether the text is all there is: nothing is lost where only a text can be asked for."""
        return not self.params and self.filter is None and not self.vectors and self.now is None


@dataclass(frozen=True)
class Topics:
    """Topics in their order, no id twice.

    Attributes:
        items: the topics.
        synthetic: whether the queries were made from documents; every result made with them says so.

    Raises:
        FormatError: there are none, or two have the same id.
    """

    items: tuple[Topic, ...]
    synthetic: bool = False

    def __init__(self, items: Iterable[Topic] | Mapping[str, str], synthetic: bool = False) -> None:
        listed = (
            tuple(Topic(key, text) for key, text in items.items())
            if _is_mapping(items)
            else tuple(cast("Iterable[Topic]", items))
        )
        object.__setattr__(self, "items", listed)
        object.__setattr__(self, "synthetic", synthetic)
        if not self.items:
            raise FormatError("there are no topics: an evaluation needs at least one query")
        seen: set[str] = set()
        for topic in self.items:
            if topic.id in seen:
                raise FormatError(f"the topic id {topic.id!r} is there twice: give each query an id of its own")
            seen.add(topic.id)

    def __iter__(self) -> Iterator[Topic]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, id: object) -> bool:
        return any(topic.id == id for topic in self.items)

    def __getitem__(self, id: str) -> Topic:
        """The topic with this id.

        Raises:
            KeyError: there is none.
        """
        for topic in self.items:
            if topic.id == id:
                return topic
        raise KeyError(id)

    @property
    def ids(self) -> tuple[str, ...]:
        """The topics' ids, in order."""
        return tuple(topic.id for topic in self.items)

    def subset(self, ids: Iterable[str]) -> Topics:
        """The topics with these ids, in the order that they have here; e.g. one half for tuning.

        Raises:
            KeyError: an id isn't there.
        """
        wanted = set(ids)
        if unknown := wanted.difference(self.ids):
            raise KeyError(*sorted(unknown))
        return Topics((topic for topic in self.items if topic.id in wanted), self.synthetic)

    @property
    def fingerprint(self) -> str:
        """A short text that is the same for the same topics."""
        text = json.dumps([plain(topic) for topic in self.items], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def synthetic_from(
        cls,
        documents: Iterable[Any],
        *,
        text_of: Callable[[Any], str] | None = None,
        count: int | None = None,
        max_words: int = 12,
    ) -> Topics:
        """Queries made from documents, one each: its title, or else the first sentence of its text.

        The topic's id is the document's, so that `Qrels.synthetic_for(topics)` can judge each document relevant to its
        own query. That is a test of finding known items by their own words: it flatters keyword search, and says nothing
        of real users. A `PlanWarning` says so, and every result made with these topics repeats it.

        Args:
            documents: `ingest.Document`s, or mappings with `_id` and `title` or `text`.
            text_of: makes the query of a document instead.
            count: how many documents to take, evenly spread; all if None.
            max_words: longer queries are cut.

        Raises:
            FormatError: a document has no id, or no text to make a query of; or there are none.
        """
        listed = list(documents)
        if count is not None and count < len(listed):
            listed = [listed[number * len(listed) // count] for number in range(count)]
        warn(f"results of these topics are {SYNTHETIC_NOTE}")
        make = text_of or _opening
        return cls([Topic(_id_of(item), _cut(make(item), max_words, item)) for item in listed], synthetic=True)


def _is_mapping(items: Iterable[Topic] | Mapping[str, str]) -> TypeGuard[Mapping[str, str]]:
    return isinstance(items, Mapping)


def _id_of(document: Any) -> str:
    found = document.get("_id") if isinstance(document, Mapping) else getattr(document, "id", None)
    if found is None:
        raise FormatError(f"a document without an id: {document!r}"[:200])
    return str(found)


def _opening(document: Any) -> str:
    """The title, or the first sentence."""
    payload: Mapping[str, Any] = document if isinstance(document, Mapping) else document.payload
    title = payload.get("title")
    if isinstance(title, str) and title.strip():
        return title
    text = document.get("text") if isinstance(document, Mapping) else document.text
    return re.split(r"(?<=[.!?])\s", str(text or "").strip(), maxsplit=1)[0]


def _cut(text: str, max_words: int, document: Any) -> str:
    words: Sequence[str] = text.split()
    if not words:
        raise FormatError(f"document {_id_of(document)!r} has no title and no text to make a query of")
    return " ".join(words[:max_words])
