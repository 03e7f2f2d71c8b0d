"""MovieLens (ml-latest-small) as a search problem: films by a vector learned from ratings, users as queries.

Each user's ratings are split by time: the first 60 % make the films' vectors, the films' figures and the user's profile; the
next 20 % are what formulas are fitted to; the last 20 % are what they are judged by, the profile then being the first 80 %.
A film is relevant to a user who rated it 4 or better. Films that the user had rated before can't be found.
"""

from __future__ import annotations

import csv
import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from qdrant_rerank import Nearest, affinity, field, log, score
from qdrant_rerank.evaluate import Qrels, Topic, Topics
from qdrant_rerank.learn import FeatureLike

SIZE = 32
LIKED = 4.0
CANDIDATES = (Nearest("taste", limit=100),)
FEATURES: dict[str, FeatureLike] = {
    "similarity": score("taste"),
    "popularity": log(field("ratings", default=0.0) + 1.0),
    "mean_rating": field("mean_rating", default=3.5),
    "year": field("year", default=1995.0),
    "genres": affinity("genres", param="affinity", default=0.0),
}


@dataclass(frozen=True)
class Rating:
    """One rating of one user."""

    film: int
    stars: float


@dataclass(frozen=True)
class Split:
    """One user's ratings, by time."""

    profile: Sequence[Rating]
    fit: Sequence[Rating]
    test: Sequence[Rating]


@dataclass(frozen=True)
class Movies:
    """The films as points, and the users' ratings.

    Attributes:
        points: one for each film that was rated in the profiles.
        users: by id.
        vectors: by film, of length 1.
        genres: by film.
    """

    points: list[models.PointStruct]
    users: Mapping[str, Split]
    vectors: Mapping[int, NDArray[np.float64]]
    genres: Mapping[int, tuple[str, ...]]


def folder() -> Path:
    """Where the data lies: `$QDRANT_RERANK_MOVIES`, or shared/ beside the repository."""
    given = os.environ.get("QDRANT_RERANK_MOVIES")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data" / "ml-latest-small"


def load(users: int | None = None) -> Movies:
    """The films with their vectors, and the first so many users."""
    films = {int(row["movieId"]): row for row in _rows("movies.csv")}
    genres = {film: tuple(row["genres"].split("|")) for film, row in films.items() if row["genres"] != "(no genres listed)"}
    splits = _splits(users)
    vectors, stars = _vectors(splits), _stars(splits)
    mean = float(np.mean([value for values in stars.values() for value in values]))
    points = []
    for film, vector in vectors.items():
        values = stars[film]
        payload: dict[str, Any] = {
            "_id": str(film),
            "title": films[film]["title"],
            "genres": list(genres.get(film, ())),
            "ratings": len(values),
            "mean_rating": (sum(values) + 5 * mean) / (len(values) + 5),  # a few ratings say little
        }
        year = films[film]["title"].strip()[-5:-1]
        points.append(models.PointStruct(id=film, vector={"taste": vector.tolist()}, payload=payload | _year(year)))
    return Movies(points, splits, vectors, genres)


def _year(text: str) -> dict[str, float]:
    return {"year": float(text)} if text.isdecimal() else {}


def topics(movies: Movies, when: str) -> tuple[Topics, Qrels]:
    """Users as queries with their taste and what they hadn't rated yet; judged by the ratings that came next.

    Args:
        movies: the films and users.
        when: `fit` or `test`.
    """
    found, grades = [], {}
    for user, split in movies.users.items():
        known = list(split.profile) if when == "fit" else [*split.profile, *split.fit]
        later = split.fit if when == "fit" else split.test
        judged = {str(one.film): int(one.stars >= LIKED) for one in later if one.film in movies.vectors}
        vector = _taste(known, movies)
        if vector is None or not any(judged.values()):
            continue
        seen = models.Filter(must_not=[models.HasIdCondition(has_id=[one.film for one in known])])
        affinities = {"affinity": _affinities(known, movies)}
        found.append(Topic(user, f"user {user}", affinities, seen, {"taste": vector.tolist()}))
        grades[user] = judged
    return Topics(found), Qrels(grades)


def _taste(known: Sequence[Rating], movies: Movies) -> NDArray[np.float64] | None:
    """The sum of the vectors of films, as far as the user liked them more than usual."""
    mean = float(np.mean([one.stars for one in known]))
    weighed = [(one.stars - mean + 0.5) * movies.vectors[one.film] for one in known if one.film in movies.vectors]
    total = np.sum(weighed, axis=0) if weighed else np.zeros(SIZE)
    length = float(np.linalg.norm(total))
    return total / length if length else None


def _affinities(known: Sequence[Rating], movies: Movies) -> dict[str, float]:
    """By genre, how much better than usual the user rates it; a few ratings say little."""
    mean = float(np.mean([one.stars for one in known]))
    by_genre: dict[str, list[float]] = defaultdict(list)
    for one in known:
        for genre in movies.genres.get(one.film, ()):
            by_genre[genre].append(one.stars - mean)
    return {genre: round(sum(values) / (len(values) + 5), 4) for genre, values in by_genre.items()}


def _splits(users: int | None) -> dict[str, Split]:
    by_user: dict[str, list[tuple[int, Rating]]] = defaultdict(list)
    for row in _rows("ratings.csv"):
        by_user[row["userId"]].append((int(row["timestamp"]), Rating(int(row["movieId"]), float(row["rating"]))))
    found = {}
    for user, timed in list(by_user.items())[:users]:
        ratings = [rating for _, rating in sorted(timed, key=lambda pair: (pair[0], pair[1].film))]
        first, second = math.floor(0.6 * len(ratings)), math.floor(0.8 * len(ratings))
        found[user] = Split(ratings[:first], ratings[first:second], ratings[second:])
    return found


def _vectors(splits: Mapping[str, Split]) -> dict[int, NDArray[np.float64]]:
    """A unit vector for each film: the right singular vectors of the users' ratings, each user's mean taken away."""
    films = sorted({one.film for split in splits.values() for one in split.profile})
    column = {film: number for number, film in enumerate(films)}
    rows, columns, values = [], [], []
    for number, split in enumerate(splits.values()):
        mean = float(np.mean([one.stars for one in split.profile])) if split.profile else 0.0
        for one in split.profile:
            rows.append(number)
            columns.append(column[one.film])
            values.append(one.stars - mean + 1.0)  # having seen it says something too
    matrix = csr_matrix((values, (rows, columns)), shape=(len(splits), len(films)), dtype=np.float64)
    _, singular, right = svds(matrix, k=min(SIZE, len(splits) - 1), rng=np.random.default_rng(0))
    found = right.T * np.sqrt(singular)
    lengths = np.linalg.norm(found, axis=1)
    return {film: found[number] / lengths[number] for film, number in column.items() if lengths[number] > 1e-9}


def _stars(splits: Mapping[str, Split]) -> dict[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    for split in splits.values():
        for one in split.profile:
            found[one.film].append(one.stars)
    return found


def _rows(name: str) -> list[dict[str, str]]:
    with (folder() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
