"""Points with every payload there can be, the rows that a model sees for them, and the engines that hold them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, field, param, score
from qdrant_rerank._internals import Table, score_points
from qdrant_rerank.expressions import Expression
from qdrant_rerank.learn import Feature, FeatureLike
from tests.engines import add_indexes, open_client

SHOPS = ["antwerp", "bruges", "ghent", "liège", "namur"]
POINTS = 72
BUDGET = 12.5
QUERY = Query(vectors={"dense": [0.6, 0.8, 0.0]}, params={"budget": BUDGET})
_NASTY: list[Any] = [None, "12", True, [], {"z": 1.0}, 1e-40, -0.0, 0.1, 0.30000001, 16777217.0]
_INDEXES = {
    "price": models.PayloadSchemaType.FLOAT,
    "rating": models.PayloadSchemaType.FLOAT,
    "size": models.PayloadSchemaType.FLOAT,
    "code": models.PayloadSchemaType.INTEGER,
    "level": models.PayloadSchemaType.FLOAT,
    "shop": models.PayloadSchemaType.KEYWORD,
}

NUMBERS: dict[str, FeatureLike] = {
    "price": Feature(field("price"), missing="nan"),
    "rating": Feature(field("rating", default=2.5)),
    "size": field("size", default=0.0),
    "score": score(),
    "budget": param("budget"),
    "margin": param("budget") - field("size", default=0.0),
}
FILLED: dict[str, FeatureLike] = NUMBERS | {"price": field("price", default=1.25)}


def training(seed: int, rows: int = 240, missing: bool = True) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What models are trained on: the six columns of NUMBERS on a grid, and what is to be predicted."""
    generator = np.random.default_rng(seed)
    x = np.column_stack(
        [
            np.round(generator.normal(5, 3, rows), 2),
            generator.integers(0, 6, rows) / 2,
            generator.integers(-4, 5, rows).astype(float),
            generator.uniform(-1, 1, rows).astype(np.float32),
            generator.integers(8, 18, rows).astype(float),
            np.zeros(rows),
        ]
    )
    x[:, 5] = x[:, 4] - x[:, 2]
    y = np.abs(x[:, 0] - 5) - x[:, 1] * x[:, 2] + 3 * x[:, 3] + np.sin(x[:, 4]) + 0.2 * x[:, 5]
    if missing:
        x[generator.random(rows) < 0.2, 0] = np.nan
    return x, y


def payloads(thresholds: Sequence[float] = ()) -> list[dict[str, Any]]:
    """The points' payloads: ordinary values, `thresholds` hit exactly, and all that isn't one number."""
    generator = np.random.default_rng(5)
    prices = [*thresholds, *np.round(generator.normal(5, 3, POINTS), 2).tolist()][:POINTS]
    found: list[dict[str, Any]] = [
        {
            "price": float(price),
            "rating": float(generator.integers(0, 11)) / 4,
            "size": int(generator.integers(-4, 5)),
            "code": int(generator.integers(0, 6)),
            "shop": str(generator.choice(SHOPS)),
        }
        for price in prices
    ]
    for number, value in enumerate(_NASTY):
        found[POINTS - 1 - number] |= {"price": value, "rating": value if number % 2 else 1.5}
        other = 77 if value == 0 else value  # -0.0 is 0 to an integer index and no whole number elsewhere
        found[POINTS - 20 - number] |= {"shop": "oostende" if isinstance(value, float) else value, "code": other}
    for payload in found:
        payload["level"] = payload["code"]  # the same under another index
    del found[POINTS - 15]["price"], found[POINTS - 16]["shop"], found[POINTS - 17]["rating"], found[POINTS - 18]["level"]
    found[POINTS - 19]["price"] = [4.5]  # one value is a value
    found[POINTS - 31] |= {"rating": [2.0], "shop": ["ghent"]}
    return found


def number(payload: dict[str, Any], key: str, missing: float) -> float:
    """The one number that a payload has at a key, else `missing`; written apart from the library's reading of it."""
    value = payload.get(key)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else missing


def whole(payload: dict[str, Any], key: str) -> float:
    """The one whole number that a payload has at a key, else NaN; 1.0 is not one to Qdrant's matches."""
    value = payload.get(key)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else math.nan


def category(payload: dict[str, Any], key: str) -> str | None:
    """The one text that a payload has at a key."""
    value = payload.get(key)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else None


def rows(found: Sequence[dict[str, Any]], scores: Sequence[float], price: float = math.nan) -> NDArray[np.float64]:
    """What a model sees: the columns of NUMBERS; `price` where the payload has none."""
    return np.array(
        [
            [
                number(payload, "price", price),
                number(payload, "rating", 2.5),
                number(payload, "size", 0.0),
                scored,
                BUDGET,
                BUDGET - number(payload, "size", 0.0),
            ]
            for payload, scored in zip(found, scores, strict=True)
        ]
    )


@dataclass
class World:
    """An engine with the points in the collection "points".

    Attributes:
        client: the engine's client.
        payloads: as the engine holds them: the Rust engine rounds some numbers of 17 digits in their last bit.
    """

    client: Any

    def __post_init__(self) -> None:
        records = self.client.retrieve("points", list(range(POINTS)), with_payload=True)
        by_id = {int(record.id): record.payload or {} for record in records}
        self.payloads = [by_id[number] for number in range(POINTS)]
        self.executor = Executor(self.client, "points")
        nearest = self.executor.retrieve(Nearest("dense", limit=POINTS), QUERY, SearchOptions(limit=POINTS))
        found = {int(point.id): point.score for point in nearest}
        self.scores = [found[number] for number in range(POINTS)]

    def rank(self, expression: Expression) -> NDArray[np.float64]:
        """The engine's score of each point."""
        strategy = Formula(expression).over(Nearest("dense", limit=POINTS))
        found = {int(p.id): p.score for p in self.executor.retrieve(strategy, QUERY, SearchOptions(limit=POINTS))}
        return np.array([found[number] for number in range(POINTS)])

    def computed(self, expression: Expression) -> NDArray[np.float32]:
        """The score of each point in numpy."""
        scores: dict[str | None, NDArray[np.float64]] = {None: np.array(self.scores)}
        return score_points(expression, Table(self.payloads, list(range(POINTS)), scores, QUERY.params))


@contextmanager
def opened(name: str, found: list[dict[str, Any]]) -> Iterator[World]:
    """An engine with these payloads."""
    client = open_client(name)
    client.create_collection("points", vectors_config={"dense": models.VectorParams(size=3, distance=models.Distance.DOT)})
    generator = np.random.default_rng(3)
    vectors = generator.uniform(-0.7, 0.7, (POINTS, 3)).tolist()
    points = [models.PointStruct(id=i, vector={"dense": vectors[i]}, payload=found[i]) for i in range(POINTS)]
    client.upsert("points", points)
    add_indexes(client, "points", _INDEXES, name)
    try:
        yield World(client)
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client.close()
