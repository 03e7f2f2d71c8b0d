"""Worlds where a formula can be learned while tuning, or learns by heart; and how to look at what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qdrant_client import models

from qdrant_rerank import Executor, SearchOptions, field, param, when
from qdrant_rerank.evaluate import Qrels, Topics
from qdrant_rerank.tune import Learned, Option, Setting, Space, TrainingTopics, Tuning
from tests.evaluate.tuning_worlds import DOCUMENTS, world

PAIRWISE = "learned, pairwise"
NOBODY: Any = None  # no model reads anything here
STARS = {"stars": field("stars", default=0.0)}


def starred(count: int = 60, noise: float = 1.5, seed: int = 0) -> tuple[Executor, Topics, Qrels]:
    """A world where documents that are relevant to anything mostly have more stars."""
    executor, topics, qrels = world((noise, noise), count=count, seed=seed)
    drawn, client = np.random.default_rng(9), executor.clients.sync()
    good = {document for id in qrels for document in qrels[id]}
    for number in range(DOCUMENTS):
        stars = float(drawn.normal(3.0 if f"d{number}" in good else 1.5, 0.8))
        client.set_payload("world", {"stars": stars}, [number + 1])
    return executor, topics, qrels


def space(*families: Any, depth: int = 50) -> Space:
    return Space(families, depths=(depth,))


def asked(executor: Executor, topics: Topics, strategies: Mapping[str, Any]) -> dict[str, list[str]]:
    """What Qdrant finds for each topic by its strategy."""
    found = {}
    for topic in topics:
        points = executor.retrieve(strategies[topic.id], topic.query, topic.within(SearchOptions(limit=10)))
        found[topic.id] = [point.payload["_id"] for point in points if point.payload]
    return found


@dataclass(frozen=True)
class Watched(Learned):
    """The family, noting what it was given and what it made of it."""

    seen: tuple[tuple[TrainingTopics, Option], ...] = ()

    def learn(self, option: Option, setting: Setting, data: TrainingTopics) -> Option:
        made = super().learn(option, setting, data)
        object.__setattr__(self, "seen", (*self.seen, (data, made)))
        return made


def rankings(option: Option, data: TrainingTopics, whole: bool) -> dict[str, list[str]]:
    """The option's rankings, each topic's by its own strategy or by the one that learned from all."""
    found = {}
    for topic_hits in data.hits:
        its = option if whole else option.of(topic_hits.topic.id)
        ranked = Learned().rank(its, topic_hits, data.target, 10, NOBODY)
        found[topic_hits.topic.id] = topic_hits.list_documents(ranked, 10)
    return found


def remembering(count: int) -> tuple[Executor, Topics, Qrels, dict[str, Any]]:
    """A world with a feature for each topic that is 1 for that topic's relevant document, and 0 for all else."""
    executor, topics, qrels = world((9.0, 9.0), count=count)
    features = {}
    for topic in topics:
        [document] = qrels[topic.id]
        there = models.HasIdCondition(has_id=[int(document[1:]) + 1])
        features[topic.id] = param(f"is {topic.id}") * when(there, 1.0, 0.0)
    known = [replace(topic, params={f"is {id}": float(id == topic.id) for id in topics.ids}) for topic in topics]
    return executor, Topics(known), qrels, features


def reasons(tuning: Tuning) -> dict[str, str]:
    return {each.name: each.reason for each in tuning.left_out}
