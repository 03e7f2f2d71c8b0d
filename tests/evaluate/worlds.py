"""What these tests share: a collection of short notes, topics that ask for them, and judgments."""

from __future__ import annotations

import random
from collections.abc import Sequence

from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Fusion, Nearest
from qdrant_rerank.evaluate import Answer, Qrels, Ranked, Run, Topics
from qdrant_rerank.ingest import point_id
from qdrant_rerank.models import Encoders, HashedNgrams
from tests.engines import open_client

NOTES = {
    "train": "Bikes travel on the night train in the first carriage",
    "shop": "A shop in the old town mends broken derailleurs",
    "hut": "The refuge above the lake cooks without meat",
    "ferry": "The ferry takes bikes for free before nine",
    "loop": "A flat loop around the lake for families",
    "sleep": "Where to sleep near the station after a late train",
}
QUESTIONS = {
    "q1": "bikes on the night train",
    "q2": "food at the hut above the lake",
    "q3": "ferry for bikes",
    "q4": "lake loop",
}
GRADES = {
    "q1": {"train": 2, "ferry": 1, "sleep": 0},
    "q2": {"hut": 1},
    "q3": {"ferry": 1, "train": 0},
    "q4": {"loop": 2, "hut": 0},
}

DENSE = Nearest("dense")
SPARSE = Nearest("words")
FUSED = Fusion.rrf().over(Nearest("dense", limit=4), Nearest("words", limit=4))


class Words:
    """A sparse encoder: the words that occur."""

    def encode_query(self, text: str) -> models.SparseVector:
        numbers = sorted({sum(map(ord, word)) % 4096 for word in text.lower().split()})
        return models.SparseVector(indices=numbers, values=[1.0] * len(numbers))

    def encode_documents(self, texts: Sequence[str]) -> list[models.SparseVector]:
        return [self.encode_query(text) for text in texts]


def client(name: str = "notes") -> QdrantClient:
    """A local client with the notes; points have the ids that `ingest` gives, and the notes' own under `_id`."""
    dense, words = HashedNgrams(size=64), Words()
    made = open_client()
    made.create_collection(
        name,
        vectors_config={"dense": models.VectorParams(size=64, distance=models.Distance.COSINE)},
        sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    made.upsert(
        name,
        [
            models.PointStruct(
                id=point_id(id),
                vector={"dense": list(dense.encode_query(text)), "words": words.encode_query(text)},
                payload={"_id": id, "text": text, "place": "water" if "lake" in text or "ferry" in text else "town"},
            )
            for id, text in NOTES.items()
        ],
    )
    return made


def encoders() -> Encoders:
    return Encoders.of({"dense": HashedNgrams(size=64), "words": Words()})


def executor(made: QdrantClient | None = None) -> Executor:
    return Executor(made or client(), "notes", encoders=encoders())


def topics() -> Topics:
    return Topics(QUESTIONS)


def qrels() -> Qrels:
    return Qrels(GRADES)


def run_of(rankings: dict[str, Sequence[str]], name: str = "run") -> Run:
    """A run without costs, from topic → documents."""
    answers = {
        topic: Answer(tuple(Ranked(document, -float(rank)) for rank, document in enumerate(found)))
        for topic, found in rankings.items()
    }
    return Run(name, answers)


def many(count: int, seed: int = 0) -> tuple[Topics, Qrels]:
    """So many topics, each with one relevant document of twenty."""
    drawn = random.Random(seed)
    judged = {f"t{number}": {f"d{drawn.randrange(20)}": 1} for number in range(count)}
    return Topics({topic: f"question {topic}" for topic in judged}), Qrels(judged)


def shuffled(topics: Topics, qrels: Qrels, skill: float, seed: int, name: str) -> Run:
    """A run that finds the relevant document first with probability `skill`, else puts it anywhere."""
    drawn = random.Random(seed)
    rankings: dict[str, Sequence[str]] = {}
    for topic in topics.ids:
        documents = [f"d{number}" for number in range(20)]
        drawn.shuffle(documents)
        [relevant] = qrels[topic]
        if drawn.random() < skill:
            documents.remove(relevant)
            documents.insert(0, relevant)
        rankings[topic] = documents
    return run_of(rankings, name)
