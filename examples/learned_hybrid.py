"""Weights of a hybrid search learned from judgments, and a threshold that means a probability. Runs offline, without a server.

Documents, queries and judgments are made up: what is relevant follows from shared words and from ratings.
"""

import random
import tempfile
from pathlib import Path

from qdrant_client import QdrantClient

from qdrant_rerank import Executor, Nearest, Query, SearchOptions, field, load, score
from qdrant_rerank.evaluate import Qrels, Topics
from qdrant_rerank.ingest import Document, ensure_collection, ingest
from qdrant_rerank.learn import fit_logistic, log_features
from qdrant_rerank.models import Bm25, Encoder, Encoders, HashedNgrams

WORDS = ["ferry", "pier", "train", "night", "soup", "stove", "cheese", "bread", "hut", "snow", "boat", "lake", "road", "bike"]
dice = random.Random(7)
documents = [Document(n, " ".join(dice.sample(WORDS, 5)), {"rating": dice.randint(1, 5)}) for n in range(200)]
queries = {f"q{number}": " ".join(dice.sample(WORDS, 3)) for number in range(40)}


def grade(query: str, document: Document) -> int:
    shared = len(set(query.split()) & set(document.text.split()))
    return int(2 * shared + document.payload["rating"] + dice.gauss(0, 1) > 7)


qrels = Qrels({id: {str(one.id): grade(query, one) for one in documents} for id, query in queries.items()})
encoders: dict[str, Encoder] = {"dense": HashedNgrams(), "bm25": Bm25()}
client = QdrantClient(":memory:")
ensure_collection(client, "docs", encoders)
ingest(client, "docs", documents, encoders)
executor = Executor(client, "docs", encoders=Encoders.of(encoders))

candidates = Nearest("dense", limit=50), Nearest("bm25", limit=50)
features = {"dense": score("dense"), "bm25": score("bm25"), "rating": field("rating", default=3.0)}
log = log_features(executor, candidates, Topics(queries), qrels, features)
ranker = fit_logistic(log, signs={"rating": "+"}, calibration="platt")
print(ranker.table())

path = Path(tempfile.mkdtemp(), "ranker.json")
ranker.save(path)
threshold = ranker.threshold_for(precision=0.8).threshold
for point in executor.retrieve(load(path), Query("night train bread"), SearchOptions(limit=3, score_threshold=threshold)):
    print(f"{point.score:.2f}", point.payload)
