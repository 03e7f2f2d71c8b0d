"""Logged features, which models are fitted to: one row for each topic and candidate, as numpy columns.

Nothing here asks Qdrant (`log_features.py`) or reads files (`log_files.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import StrategyError
from .._internals import Reference, TrainedVector
from ..errors import FitError
from ..evaluate._internals import Plain, frame
from ..stages import Stage
from .features import RESERVED, Category, Feature


@dataclass(frozen=True)
class LogCoverage(Plain):
    """What a log holds, and what it leaves out.

    Attributes:
        topics: how many topics have rows.
        unjudged: topics without any judgment, left out.
        without_relevant: topics without a relevant row; kept, as they have negatives.
        without_candidates: topics without a candidate; they have no rows.
        missed: topic → relevant documents that no candidate found.
        fetched: how many of them were fetched and logged all the same.
        failed: topic → the error that it ended with; they have no rows.
    """

    topics: int = 0
    unjudged: tuple[str, ...] = ()
    without_relevant: tuple[str, ...] = ()
    without_candidates: tuple[str, ...] = ()
    missed: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    fetched: int = 0
    failed: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, eq=False)
class FeatureLog:
    """Features of n candidates, with their grades.

    Attributes:
        features: what was computed, by name, in the order of the columns.
        candidates: the stages that found the candidates.
        topics: shape (n,), topic ids.
        documents: shape (n,), document ids.
        grades: shape (n,), whole numbers; 0 where nobody judged.
        judged: shape (n,), whether somebody did.
        weights: shape (n,), how many candidates each row stands for: 1, or more where negatives were sampled.
        values: shape (n, number of features).
        reference: how payload features are distributed over all stored points, by name.
        coverage: what the log leaves out.
        vectors: those by which the candidates were found; () if that isn't known.

    Raises:
        StrategyError: the columns differ in length.
    """

    features: Mapping[str, Feature | Category]
    candidates: tuple[Stage, ...]
    topics: NDArray[np.str_]
    documents: NDArray[np.str_]
    grades: NDArray[np.int64]
    judged: NDArray[np.bool_]
    weights: NDArray[np.float64]
    values: NDArray[np.float64]
    reference: Mapping[str, Reference] = field(default_factory=dict[str, Reference])
    coverage: LogCoverage = field(default_factory=LogCoverage)
    vectors: tuple[TrainedVector, ...] = ()

    def __post_init__(self) -> None:
        size, width = len(self.topics), len(self.features)
        lengths = {name: len(getattr(self, name)) for name in ("documents", "grades", "judged", "weights", "values")}
        if any(length != size for length in lengths.values()) or self.values.shape != (size, width):
            raise StrategyError(
                f"the columns of a log must have a row each for the same candidates and a column for each of {width} features: "
                f"topics has {size} rows, {lengths}, values is {self.values.shape}"
            )

    def __len__(self) -> int:
        return len(self.topics)

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in the order of the columns."""
        return tuple(self.features)

    def column(self, name: str) -> NDArray[np.float64]:
        """One feature's values, shape (n,). Raises KeyError."""
        return self.values[:, {each: place for place, each in enumerate(self.features)}[name]]

    def relevant(self, least_grade: int = 1) -> NDArray[np.bool_]:
        """Shape (n,): whether each row's grade reaches `least_grade`."""
        return self.grades >= least_grade

    @property
    def topic_ids(self) -> tuple[str, ...]:
        """The topics, each once, in order of first appearance."""
        return tuple(dict.fromkeys(self.topics.tolist()))

    def only(self, topics: Collection[str]) -> FeatureLog:
        """The rows of these topics, e.g. half of them for calibration. Raises FitError where none of them has rows."""
        kept = np.isin(self.topics, np.array(sorted(topics), dtype=np.str_))
        if not kept.any():
            raise FitError(f"the log has no rows of these {len(topics)} topics; it has {len(self.topic_ids)} other ones")
        return self.rows(kept)

    def split(self, share: float = 0.5, seed: int = 0) -> tuple[FeatureLog, FeatureLog]:
        """Two logs of different topics: `share` of them at random, and the others. Raises FitError where one would be empty."""
        ids = sorted(self.topic_ids)
        chosen = np.random.default_rng(seed).permutation(len(ids))[: round(share * len(ids))]
        first = {ids[number] for number in chosen}
        return self.only(first), self.only(set(ids) - first)

    def rows(self, kept: NDArray[Any]) -> FeatureLog:
        """The rows that a mask or an array of numbers picks."""
        columns = {name: getattr(self, name)[kept] for name in _COLUMNS}
        return replace(self, **columns)

    @property
    def fingerprint(self) -> str:
        """A short text that is the same for the same rows, in whatever order."""
        order = np.lexsort((self.documents, self.topics))
        digest = hashlib.sha256("\n".join(self.names).encode())
        for name in ("topics", "documents"):
            digest.update("\n".join(getattr(self, name)[order].tolist()).encode())
        for name in ("grades", "weights", "values"):
            digest.update(np.ascontiguousarray(getattr(self, name)[order].astype("<f8")).tobytes())
        return digest.hexdigest()[:16]

    def to_frame(self) -> Any:
        """A `pandas.DataFrame` of topic, document, grade, judged, weight and features. Raises ImportError without pandas."""
        return frame(self.as_rows())

    def as_rows(self) -> Iterable[dict[str, Any]]:
        """The rows as mappings, in order."""
        columns = (self.topics, self.documents, self.grades, self.judged, self.weights)
        for *head, values in zip(*(column.tolist() for column in columns), self.values.tolist(), strict=True):
            yield dict(zip((*RESERVED, *self.names), (*head, *values), strict=True))


_COLUMNS = ("topics", "documents", "grades", "judged", "weights", "values")


def assemble_log(
    features: Mapping[str, Feature | Category],
    candidates: tuple[Stage, ...],
    topics: Sequence[TopicRows],
    reference: Mapping[str, Reference],
    coverage: LogCoverage,
    vectors: tuple[TrainedVector, ...] = (),
) -> FeatureLog:
    """The log of these topics, which complete its `coverage`."""
    rows = [row for topic in topics for row in topic.rows]
    log = FeatureLog(
        features=features,
        candidates=candidates,
        topics=np.array([topic.topic for topic in topics for _ in topic.rows], dtype=np.str_),
        documents=np.array([str(row[0]) for row in rows], dtype=np.str_),
        grades=np.array([row[1] for row in rows], dtype=np.int64),
        judged=np.array([row[2] for row in rows], dtype=np.bool_),
        weights=np.array([row[3] for row in rows], dtype=np.float64),
        values=np.array([row[4:] for row in rows], np.float64).reshape(len(rows), len(features)),  # None becomes NaN
        reference=reference,
        vectors=vectors,
    )
    with_rows = [topic for topic in topics if topic.rows]
    relevant = set(log.topics[log.relevant()].tolist())
    return replace(
        log,
        coverage=replace(
            coverage,
            topics=len(with_rows),
            without_relevant=tuple(topic.topic for topic in with_rows if topic.topic not in relevant),
            without_candidates=tuple(topic.topic for topic in topics if not topic.rows),
            missed={topic.topic: topic.missed for topic in topics if topic.missed},
            fetched=sum(topic.fetched for topic in topics),
        ),
    )


@dataclass(frozen=True)
class TopicRows:
    """What was logged for one topic.

    Attributes:
        topic: its id.
        rows: document, grade, judged (0 or 1), weight, and the features; NaN is None.
        missed: relevant documents that no candidate found.
        fetched: how many of them are among the rows.
    """

    topic: str
    rows: tuple[tuple[Any, ...], ...] = ()
    missed: tuple[str, ...] = ()
    fetched: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"topic": self.topic, "missed": self.missed, "fetched": self.fetched, "rows": self.rows}
