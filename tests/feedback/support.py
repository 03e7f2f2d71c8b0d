"""What the tests of relevance feedback share: models of one line, coefficients, and a small world with a hidden taste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qdrant_client import QdrantClient

from qdrant_rerank import Coefficients, Executor, Nearest, RelevanceFeedback, SearchOptions
from qdrant_rerank._internals import Points, run
from qdrant_rerank.feedback import Provenance
from qdrant_rerank.learn._internals import Example, ScoreFile, gather_examples, replace_reranker
from qdrant_rerank.planning import Schema, plan
from tests.support import COLLECTION, SCHEMA, encoders, question, script, target

FITTED = Provenance(mode="precision", seeds=5, reranker="numbers", vector="dense", size=4, distance="Cosine")
COEFFICIENTS = Coefficients(1.0, 0.5, 0.3, FITTED)
PRECISION = RelevanceFeedback(seeds=Nearest("dense", limit=5), coefficients=COEFFICIENTS)
RECALL = replace(PRECISION, mode="recall", limit=12, coefficients=COEFFICIENTS.with_provenance(mode="recall"))


class Numbers:
    """A model for which a text is worth the number at its end: the point's id."""

    fingerprint = "numbers"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.calls.append(list(texts))
        return [float(text.rsplit("n", 1)[1]) for text in texts]


def collect_examples(
    executor: Executor, strategy: RelevanceFeedback, queries: Sequence[str], candidates: int, scores: ScoreFile
) -> list[Example]:
    """What a fit learns from, by an executor and what scores."""
    target = executor.target()
    flow = gather_examples(strategy.resolve(target.schema), target, queries, candidates, scores)
    return run(flow, replace_reranker(executor, scores)).examples


class Failing(Numbers):
    """A model that fails from its n-th call on."""

    def __init__(self, call: int = 1) -> None:
        super().__init__()
        self.call = call

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        scores = super().score(query, texts)
        if len(self.calls) >= self.call:
            raise TimeoutError("no answer after 10 s")
        return scores


def executor(client: QdrantClient, model: Any = None, collection: str = COLLECTION, **options: Any) -> Executor:
    return Executor(client, collection, encoders=encoders(), reranker=model or Numbers(), **options)


def asked(strategy: RelevanceFeedback, *answers: Any, options: SearchOptions | None = None, schema: Schema = SCHEMA) -> Any:
    """What a strategy asks for and returns, if its steps are answered like this; the query brings its vector."""
    query = replace(question(), vectors={"dense": [1.0, 0.0, 0.0, 0.0]})
    return script(plan(strategy, schema, target().capabilities, options).flow(query), *answers)


def found(*rows: tuple[int, float, list[float] | None], text: bool = True) -> Points:
    """Points as a search returns them: id, score and vector."""
    from qdrant_client import models

    return [
        models.ScoredPoint(
            id=id, version=0, score=score, payload={"text": f"n{id}"} if text else {}, vector=vector and {"dense": vector}
        )
        for id, score, vector in rows
    ]


SEEDS = found(
    (1, 0.9, [1.0, 0.0, 0.0, 0.0]),
    (2, 0.8, [0.0, 1.0, 0.0, 0.0]),
    (3, 0.7, [0.0, 0.0, 1.0, 0.0]),
    (4, 0.6, [0.0, 0.0, 0.0, 1.0]),
    (5, 0.5, [0.6, 0.8, 0.0, 0.0]),
)
