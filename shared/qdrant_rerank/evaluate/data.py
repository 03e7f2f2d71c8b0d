"""What goes into an evaluation and what comes out of a system.

`Topics` are the queries, each with an id; `Qrels` say how relevant which document is; a `Run` is what one system found, and
what that cost. Nothing here reads a file (`files`) or asks anything (`asking`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any, Final, NamedTuple, TypeGuard

from pydantic import BaseModel
from qdrant_client import models

from .. import Query, SearchOptions, Strategy
from .._internals import QueryVector, both, is_whole, not_a_filter, warn
from ..errors import FormatError


class Plain:
    """What all result types have: `as_dict()` and `to_json()`."""

    def as_dict(self) -> dict[str, Any]:
        """This value as dicts, lists, texts and numbers, as `json.dumps` takes them."""
        value: dict[str, Any] = plain(self)
        return value

    def to_json(self, indent: int | None = 2) -> str:
        """This value as JSON text."""
        return json.dumps(self.as_dict(), indent=indent, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """`value` as dicts, lists, texts, numbers and None, without its functions."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Strategy):
        return repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: plain(part) for name, part in parts.items() if not callable(part)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int | float) or value is None:
        return value
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def frame(rows: Iterable[Mapping[str, Any]]) -> Any:
    """A `pandas.DataFrame` of `rows`. Raises ImportError where pandas is not installed; it is no dependency of this package."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("frames need pandas: pip install pandas; as_dict() has the same values without it") from error
    return pandas.DataFrame(list(rows))


SYNTHETIC_NOTE: Final = (
    "made with synthetic queries cut from the documents themselves: good for trying things out, no evidence about real users"
)


@dataclass(frozen=True)
class Topic:
    """One query with an id, and what a user would send along with it.

    Attributes:
        id: as in the qrels.
        text: the query.
        params: request-time values by name, for `param(name)` in formulas.
        filter: only points that meet it may be found; AND-ed with a strategy's own filters.
        vectors: query vectors by vector name, which are then not embedded.
        now: what `now()` means in formulas; the time of the call if None.

    Raises:
        FormatError: the id is empty, or the filter isn't one of Qdrant's.
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
        """Whether the text is all there is."""
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
        if _is_mapping(items):
            items = [Topic(key, text) for key, text in items.items()]
        object.__setattr__(self, "items", tuple(items))
        object.__setattr__(self, "synthetic", synthetic)
        if not self.items:
            raise FormatError("there are no topics: an evaluation needs at least one query")
        for id, times in Counter(self.ids).items():
            if times > 1:
                raise FormatError(f"the topic id {id!r} is there twice: give each query an id of its own")

    def __iter__(self) -> Iterator[Topic]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, id: object) -> bool:
        return id in self.ids

    def __getitem__(self, id: str) -> Topic:
        """The topic with this id. Raises KeyError."""
        return {topic.id: topic for topic in self.items}[id]

    @property
    def ids(self) -> tuple[str, ...]:
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
        """A query made from each document: its title, or else the first sentence of its text.

        The topic's id is the document's, so that `Qrels.synthetic_for(topics)` can judge each document relevant to its own
        query. That tests finding known items by their own words: it flatters keyword search, and says nothing of real users.
        A `PlanWarning` says so, and every result made with these topics repeats it.

        Args:
            documents: `ingest.Document`s, or mappings with `_id` and `title` or `text`.
            text_of: makes the query of a document instead.
            count: how many documents to take, evenly spread; all if None.
            max_words: where longer queries are cut.

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
    return first_sentence(str(text or ""))


def first_sentence(text: str) -> str:
    """The text up to its first full stop, question or exclamation mark before a space."""
    return re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]


def _cut(text: str, max_words: int, document: Any) -> str:
    words = text.split()
    if not words:
        raise FormatError(f"document {_id_of(document)!r} has no title and no text to make a query of")
    return " ".join(words[:max_words])


LEAST_GRADE: Final = -(2**31)


def _check_id(id: Any, what: str) -> None:
    if not isinstance(id, str):
        raise FormatError(f"the id of {what} in judgments must be text, got {id!r}")


@dataclass(frozen=True)
class Qrels(Mapping[str, Mapping[str, int]]):
    """Judgments: topic id → document id → grade.

    A document with a grade of 1 or more is relevant, the more the better; with 0 or less it is not. Measures take documents
    that nobody judged for not relevant; `Judged@k` counts them.

    Attributes:
        grades: the judgments.

    Raises:
        FormatError: there are none, a grade is no whole number, or an id no text.
    """

    grades: Mapping[str, Mapping[str, int]]

    def __post_init__(self) -> None:
        grades: dict[str, dict[str, int]] = {}
        for topic, judged in self.grades.items():
            _check_id(topic, "a topic")
            for document, grade in judged.items():
                _check_id(document, "a document")
                whole = int(grade) if isinstance(grade, Integral) and not isinstance(grade, bool) else grade  # numpy's, too
                if not is_whole(whole, LEAST_GRADE):
                    raise FormatError(
                        f"the grade of document {document!r} for topic {topic!r} must be a whole number, got {grade!r}"
                    )
                grades.setdefault(topic, {})[document] = whole
            grades.setdefault(topic, {})
        object.__setattr__(self, "grades", grades)
        if not any(self.grades.values()):
            raise FormatError("there are no judgments: an evaluation needs at least one")

    def __getitem__(self, topic: str) -> Mapping[str, int]:
        return self.grades[topic]

    def __iter__(self) -> Iterator[str]:
        return iter(self.grades)

    def __len__(self) -> int:
        return len(self.grades)

    @property
    def documents(self) -> frozenset[str]:
        """The ids of all documents that were judged."""
        return frozenset(document for judged in self.grades.values() for document in judged)

    @property
    def without_relevant(self) -> tuple[str, ...]:
        """The judged topics without a relevant document: every system scores 0 there."""
        return tuple(topic for topic, judged in self.grades.items() if judged and max(judged.values()) < 1)

    def select_judged(self, topics: Topics) -> tuple[str, ...]:
        """The ids of the topics that have judgments, in the topics' order."""
        return tuple(topic.id for topic in topics if self.grades.get(topic.id))

    @property
    def fingerprint(self) -> str:
        """A short text that is the same for the same judgments."""
        text = json.dumps({topic: dict(judged) for topic, judged in self.grades.items()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def synthetic_for(cls, topics: Topics) -> Qrels:
        """Judgments for topics of `Topics.synthetic_from`: each document is relevant to its own query, grade 1."""
        if not topics.synthetic:
            raise FormatError("these topics are real queries: their judgments must be, too")
        return cls({topic.id: {topic.id: 1} for topic in topics})


class Ranked(NamedTuple):
    """One result: a document's id, and its score as the system gave it (0.0 where it gave none)."""

    doc_id: str
    score: float


@dataclass(frozen=True)
class Usage(Plain):
    """What the answer to one topic took, counted from what the strategy asked for.

    Attributes:
        round_trips: requests to Qdrant that the query takes by itself; in a batch, topics share them.
        searches: queries in these round trips.
        embeddings: vectors that the query was embedded as.
        model_calls: times that a reranker was called.
        model_texts: texts that it read.
        bytes_sent: size of the search requests as compact JSON.
        bytes_received: size of the points found as compact JSON.
    """

    round_trips: int = 0
    searches: int = 0
    embeddings: int = 0
    model_calls: int = 0
    model_texts: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass(frozen=True)
class Answer(Plain):
    """What a system found for one topic.

    Attributes:
        ranking: the results, best first: rank is position, scores need not descend.
        usage: what it took; None for foreign retrievers, whose work can't be seen.
        milliseconds: how long it took; None if the topic was asked together with others.
        error: what went wrong, as text; None if nothing did. The ranking is then empty.
        duplicates: results left out because their document was in the ranking already.
        unread: results that the model didn't score: it failed, or they have no text.
    """

    ranking: tuple[Ranked, ...] = ()
    usage: Usage | None = None
    milliseconds: float | None = None
    error: str | None = None
    duplicates: int = 0
    unread: int = 0

    @property
    def doc_ids(self) -> tuple[str, ...]:
        """The documents' ids, best first."""
        return tuple(result.doc_id for result in self.ranking)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found, and nothing failed."""
        return self.error is None and not self.ranking


@dataclass(frozen=True)
class Run(Mapping[str, Answer], Plain):
    """What one system found: topic id → `Answer`.

    Attributes:
        name: what tables call the system.
        answers: the answers, in the order of the topics.
        system: the system in full, e.g. a strategy's repr.
    """

    name: str
    answers: Mapping[str, Answer] = field(default_factory=dict)
    system: str = ""

    def __getitem__(self, topic: str) -> Answer:
        return self.answers[topic]

    def __iter__(self) -> Iterator[str]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)

    def positions(self) -> dict[str, dict[str, float]]:
        """Topic → document → a number that falls strictly with rank, as measures read runs.

        trec_eval orders by score and ties by document id; with these numbers it sees our order, also where scores are equal
        or, as MMR's, don't fall.
        """
        return {
            topic: {result.doc_id: float(-rank) for rank, result in enumerate(answer.ranking)}
            for topic, answer in self.answers.items()
        }

    @property
    def errors(self) -> dict[str, str]:
        """Topic → what went wrong, for those that failed."""
        return {topic: answer.error for topic, answer in self.answers.items() if answer.error is not None}

    def rename(self, name: str) -> Run:
        """This run under another name."""
        return replace(self, name=name)
