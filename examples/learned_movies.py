"""Films for a user, by taste, popularity, year, mean rating and the user's genres: weights learned from ratings.

Run: `python examples/learned_movies.py FOLDER [USERS]`, with MovieLens (ml-latest-small: movies.csv, ratings.csv) in FOLDER.
Users are the queries, 150 if not said otherwise. Of each user's ratings the first 60 % make vectors and figures, the next 20 %
are learned from, the last 20 % judge.
"""

import csv
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from qdrant_rerank import Executor, Formula, Nearest, SearchOptions, affinity, field, log, score
from qdrant_rerank.evaluate import Qrels, Topic, Topics, evaluate
from qdrant_rerank.learn import fit_logistic, log_features

if len(sys.argv) < 2:
    sys.exit(__doc__)
USERS = int(sys.argv[2]) if len(sys.argv) > 2 else 150
SIZE, LIKED = 24, 4.0
Ratings = list[tuple[int, float]]


def rows(name: str) -> list[dict[str, str]]:
    with Path(sys.argv[1], name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


by_user: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
for row in rows("ratings.csv"):
    by_user[row["userId"]].append((int(row["timestamp"]), int(row["movieId"]), float(row["rating"])))
parts: dict[str, tuple[Ratings, Ratings, Ratings]] = {}
for user, timed in list(by_user.items())[:USERS]:
    ratings = [(film, stars) for _, film, stars in sorted(timed)]
    first, second = int(0.6 * len(ratings)), int(0.8 * len(ratings))
    parts[user] = ratings[:first], ratings[first:second], ratings[second:]

# films: vectors of the early ratings' singular value decomposition, and what a formula may read
stars: dict[int, list[float]] = defaultdict(list)
for early, _, _ in parts.values():
    for film, given in early:
        stars[film].append(given)
column = {film: number for number, film in enumerate(stars)}
matrix = np.zeros((len(parts), len(column)))
for number, (early, _, _) in enumerate(parts.values()):
    for film, given in early:
        matrix[number, column[film]] = given - np.mean([value for _, value in early]) + 1.0
vectors = (np.linalg.svd(matrix, full_matrices=False)[2][:SIZE] + 1e-9).T
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
films = {int(row["movieId"]): row for row in rows("movies.csv")}
genres = {film: films[film]["genres"].split("|") for film in column}
client = QdrantClient(":memory:")
client.create_collection("films", vectors_config={"taste": models.VectorParams(size=SIZE, distance=models.Distance.COSINE)})
points = []
for film, number in column.items():
    payload: dict[str, Any] = {
        "_id": str(film),
        "title": films[film]["title"],
        "genres": genres[film],
        "ratings": len(stars[film]),
    }
    payload["mean"] = (sum(stars[film]) + 5 * 3.5) / (len(stars[film]) + 5)  # a few ratings say little
    if (year := films[film]["title"].strip()[-5:-1]).isdecimal():
        payload["year"] = int(year)
    points.append(models.PointStruct(id=film, vector={"taste": vectors[number].tolist()}, payload=payload))
client.upsert("films", points)
executor = Executor(client, "films")


def topics(known: int) -> tuple[Topics, Qrels]:
    """Users who liked something in the part after the first `known` ones; what they have rated can't be found."""
    found, grades = [], {}
    for user, all_parts in parts.items():
        seen = [rating for part in all_parts[:known] for rating in part]
        grades[user] = {str(film): int(given >= LIKED) for film, given in all_parts[known] if film in column}
        usual = float(np.mean([given for _, given in seen]))
        taste = sum((given - usual + 0.5) * vectors[column[film]] for film, given in seen if film in column)
        likes: dict[str, list[float]] = defaultdict(list)
        for film, given in seen:
            for genre in genres.get(film, ()):
                likes[genre].append(given - usual)
        weights = {genre: sum(values) / (len(values) + 5) for genre, values in likes.items()}
        unseen = models.Filter(must_not=[models.HasIdCondition(has_id=[film for film, _ in seen])])
        if any(grades[user].values()):
            found.append(Topic(user, f"user {user}", {"genres": weights}, unseen, {"taste": np.asarray(taste).tolist()}))
    return Topics(found), Qrels({topic.id: grades[topic.id] for topic in found})


candidates = [Nearest("taste", limit=100)]
features = {
    "taste": score("taste"),
    "popularity": log(field("ratings", default=0.0) + 1.0),
    "mean": field("mean", default=3.5),
    "year": field("year", default=1995.0),
    "genres": affinity("genres", param="genres", default=0.0),
}
ranker = fit_logistic(log_features(executor, candidates, *topics(1), features), signs={"popularity": "+"}, calibration="platt")
print(ranker.table(), "\n")
later, judged = topics(2)
for name, strategy in {"similarity": candidates[0], "learned": ranker.strategy}.items():
    print(name, evaluate(strategy, later, judged, ["nDCG@10"], executor=executor).means["nDCG@10"])
path = Path(tempfile.mkdtemp(), "films.json")
ranker.save(path)
for point in executor.retrieve(Formula.load(path), later.items[0].query, SearchOptions(limit=3)):
    print(f"{point.score:.2f}", (point.payload or {})["title"])
