"""Qrels: who judged which document how relevant to which topic."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Final

from .._internals import is_whole
from ..errors import FormatError
from .topics import Topics

__all__ = ["LEAST_GRADE", "Qrels"]

LEAST_GRADE: Final = -(2**31)


def _check_id(id: Any, what: str) -> None:
    if not isinstance(id, str):
        raise FormatError(f"the id of {what} in judgments must be text, got {id!r}")


@dataclass(frozen=True)
class Qrels(Mapping[str, Mapping[str, int]]):
    """Judgments: topic id → document id → grade.

    A grade of 0 or less is a judged document that is not relevant; 1 and above is relevant, more is better.
    A document that isn't there is unjudged; measures take it for not relevant, `Judged@k` counts it.

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
        """The topics of which no judged document is relevant: every system scores 0 there."""
        return tuple(topic for topic, judged in self.grades.items() if judged and max(judged.values()) < 1)

    def judged(self, topics: Topics) -> tuple[str, ...]:
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
