"""Collections in which relevant documents have something in common that queries don't say, but a model can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qdrant_client import models

from qdrant_rerank import Coefficients, Executor
from qdrant_rerank.evaluate import Qrels, Topic, Topics
from qdrant_rerank.feedback import Provenance
from tests.evaluate.tuning_worlds import Asked

SUBJECTS = 4
SIZE = 12
A_SUBJECT = 45


class Taster:
    """A model that likes some texts for all queries; it remembers what it read, and may fail."""

    fingerprint = "taste"

    def __init__(self, taste: str, independent: bool = True) -> None:
        self.taste, self.independent = taste, independent
        self.read: list[tuple[str, str]] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.read += [(query, text) for text in texts]
        return [float(self.taste in text) + 0.01 * (int(text.split()[-1]) % 7) for text in texts]


def tasting(taste: str = "good", count: int = 30, seed: int = 0) -> tuple[Executor, Topics, Qrels]:
    """A collection with the dense vectors `a` and `b`: of each subject's documents every third is good, and relevant.

    A query is near its subject, and as near to its good documents as to the others; good ones lie on one side. By `b` it is
    a little nearer to them.

    Args:
        taste: what the model likes: "good" finds what is relevant, "even" has nothing to do with it.
        count: how many topics.
        seed: of all that is drawn.
    """
    drawn = np.random.default_rng(seed)
    made = Asked()
    params = models.VectorParams(size=SIZE, distance=models.Distance.COSINE)
    made.create_collection("world", vectors_config={"a": params, "b": params})
    subjects, sides = 2 * np.eye(SIZE)[:SUBJECTS], np.eye(SIZE)[SUBJECTS : 2 * SUBJECTS]
    points, good = [], {subject: dict[str, int]() for subject in range(SUBJECTS)}
    for number in range(SUBJECTS * A_SUBJECT):
        subject, relevant = number % SUBJECTS, number // SUBJECTS % 3 == 0
        vector = subjects[subject] + (1 if relevant else -1) * sides[subject] + 0.4 * drawn.normal(size=SIZE)
        text = f"{'good' if relevant else 'bad'} {'even' if number // SUBJECTS % 2 else 'odd'} {number}"
        points.append(
            models.PointStruct(
                id=number + 1, vector={"a": vector.tolist(), "b": vector.tolist()}, payload={"_id": f"d{number}", "text": text}
            )
        )
        if relevant:
            good[subject][f"d{number}"] = 1
    made.upsert("world", points)
    topics = []
    for number in range(count):
        subject = number % SUBJECTS
        query = subjects[subject] + 0.3 * drawn.normal(size=SIZE)
        other = query + 0.05 * sides[subject]
        topics.append(Topic(f"t{number}", f"question {number}", vectors={"a": query.tolist(), "b": other.tolist()}))
    qrels = Qrels({topic.id: good[number % SUBJECTS] for number, topic in enumerate(topics)})
    return Executor(made, "world", reranker=Taster(taste)), Topics(topics), qrels


PRECISION = Coefficients(
    1.0, 0.0, 0.3, Provenance(mode="precision", seeds=5, reranker="taste", vector="a", size=SIZE, distance="Cosine")
)
RECALL = PRECISION.with_provenance(mode="recall")
