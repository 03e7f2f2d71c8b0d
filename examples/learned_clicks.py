"""Weights learned from a click log, whose clicks say more of positions than of documents. Runs offline, without a server.

The shop, the searchers and their clicks are made up: a searcher looks at position p with probability 1/p, and clicks what is
looked at if it is good. So it is known here what the clicks should have taught; of your own log nobody knows.
"""

import csv
import random
import tempfile
from pathlib import Path

from qdrant_client import QdrantClient

from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, field, score
from qdrant_rerank.ingest import Document, ensure_collection, ingest
from qdrant_rerank.learn import fit_logistic, log_features, read_clicks
from qdrant_rerank.models import Encoder, Encoders, HashedNgrams

WORDS = ["tent", "stove", "rope", "lamp", "boots", "map", "knife", "bottle", "jacket", "gloves", "socks", "bag"]
dice = random.Random(3)
products = [Document(n, " ".join(dice.sample(WORDS, 4)), {"rating": dice.randint(1, 5)}) for n in range(150)]
encoders: dict[str, Encoder] = {"dense": HashedNgrams()}
client = QdrantClient(":memory:")
ensure_collection(client, "shop", encoders)
ingest(client, "shop", products, encoders)
executor = Executor(client, "shop", encoders=Encoders.of(encoders))

path = Path(tempfile.mkdtemp(), "clicks.csv")
with path.open("w", encoding="utf-8", newline="") as file:
    log = csv.writer(file)
    log.writerow(["query", "doc_id", "position", "clicked"])
    for _ in range(60):
        query = " ".join(dice.sample(WORDS, 2))
        shown = executor.retrieve(Nearest("dense"), Query(query), SearchOptions(limit=10))
        for _ in range(20):  # searches for it
            for position, point in enumerate(shown, 1):
                payload = point.payload or {}
                good = len(set(query.split()) & set(payload["text"].split())) + payload["rating"] > 4.5
                clicked = dice.random() < 1 / position and dice.random() < (0.8 if good else 0.1)
                log.writerow([query, payload["_id"], position, int(clicked)])

features = {"similarity": score("dense"), "rating": field("rating", default=3.0)}
for eta in (0.0, 1.0):  # how attention falls with the position: not at all, or as it does here
    clicks = read_clicks(path, eta=eta)
    candidates = [Nearest("dense", limit=10)]
    logged = log_features(
        executor, candidates, clicks.topics, clicks.qrels, features, pair_weights=clicks.weights, unjudged="drop"
    )
    ranker = fit_logistic(logged, least_grade=2, calibration="platt", bootstrap=50)
    print(f"attention ~ position**-{eta:g}: {clicks.rows} lines, {ranker.training.relevant} results count as good")
    print(ranker.table(), "\n")

ranker.save(path.with_name("ranker.json"))
for point in executor.retrieve(Formula.load(path.with_name("ranker.json")), Query("tent lamp"), SearchOptions(limit=3)):
    print(f"{point.score:.2f}", point.payload)
