"""Runs: what a system found for each topic, and what that cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .plain import Plain

__all__ = ["Answer", "Ranked", "Run", "Usage"]


class Ranked(NamedTuple):
    """One result: a document's id, and its score as the system gave it (0.0 where it gave none)."""

    doc_id: str
    score: float


@dataclass(frozen=True)
class Usage(Plain):
    """What the answer to one topic took, counted from what the strategy asked for.

    Attributes:
        round_trips: requests to Qdrant that one such query takes by itself. In a batch, topics share them.
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
        error: what went wrong, as text; the ranking is empty then. None if nothing did.
        duplicates: results left out because their document was in the ranking already.
        unread: results that a model should have scored and did not: it failed, or they have no text.
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

        trec_eval orders by score and breaks ties by document id; with these numbers it sees our order, whatever the
        scores (equal ones of Qdrant's, or MMR's, which need not fall).
        """
        return {
            topic: {result.doc_id: float(-rank) for rank, result in enumerate(answer.ranking)}
            for topic, answer in self.answers.items()
        }

    @property
    def errors(self) -> dict[str, str]:
        """The topics that failed, each with what went wrong."""
        return {topic: answer.error for topic, answer in self.answers.items() if answer.error is not None}

    def named(self, name: str) -> Run:
        """This run under another name."""
        return replace(self, name=name)
