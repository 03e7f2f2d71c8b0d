"""From rows, as they are kept topic by topic, to the columns of a log and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..stages import Stage
from .feature_log import FeatureLog, LogCoverage, Reference
from .features import Category, Feature
from .log_stream import TopicRows

__all__ = ["assembled"]


def assembled(
    features: Mapping[str, Feature | Category],
    candidates: tuple[Stage, ...],
    topics: Sequence[TopicRows],
    reference: Mapping[str, Reference],
    coverage: LogCoverage,
) -> FeatureLog:
    """The log that these topics make; `coverage` is filled up with what they say."""
    rows = [row for topic in topics for row in topic.rows]
    values = np.array([row[4:] for row in rows], dtype=np.float64).reshape(len(rows), len(features))  # None becomes NaN
    log = FeatureLog(
        features=features,
        candidates=candidates,
        topics=np.array([topic.topic for topic in topics for _ in topic.rows], dtype=np.str_),
        documents=np.array([str(row[0]) for row in rows], dtype=np.str_),
        grades=np.array([row[1] for row in rows], dtype=np.int64),
        judged=np.array([row[2] for row in rows], dtype=np.bool_),
        weights=np.array([row[3] for row in rows], dtype=np.float64),
        values=values,
        reference=reference,
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
