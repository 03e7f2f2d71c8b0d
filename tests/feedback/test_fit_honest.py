"""Whether the verdict can be believed: simulated queries without and with something to gain, 50 at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from qdrant_rerank.learn._internals import Example, WayComparison, agreement, fit_folds, unseen, verdict

QUERIES, POINTS, FOUND, SIZE, SEEDS = 50, 200, 30, 12, 5
MODES = pytest.mark.parametrize("mode", ["precision", "recall"])
Array: TypeAlias = NDArray[np.float64]
Model: TypeAlias = Callable[[Array, Array, np.random.Generator], Array]
"""From a query and the points found for it to their feedback scores."""


def noise(query: Array, found: Array, random: np.random.Generator) -> Array:
    return random.standard_normal(len(found))


def agreeing(query: Array, found: Array, random: np.random.Generator) -> Array:
    return found @ query


def nearly_agreeing(query: Array, found: Array, random: np.random.Generator) -> Array:
    return found @ query + 0.1 * random.standard_normal(len(found))


def knowing(query: Array, found: Array, random: np.random.Generator) -> Array:
    wish = query + 1.2 * random.standard_normal(SIZE) / SIZE**0.5  # what is really meant
    scores: Array = found @ wish
    return scores


def outcome(model: Model, mode: Any, seed: int) -> tuple[str, bool]:
    """What is recommended, and whether there is signal, for queries of a world of their own."""
    random = np.random.default_rng(seed)
    points = random.standard_normal((POINTS, SIZE))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    examples = []
    for number in range(QUERIES):
        query = random.standard_normal(SIZE)
        query /= np.linalg.norm(query)
        found = points[np.argsort(-(points @ query))[:FOUND]]
        examples.append(Example(str(number), found @ query, found[:SEEDS] @ found.T, model(query, found, random)))
    crossed = fit_folds(examples, mode)
    weights = [crossed.for_query(example.query) for example in examples]
    own = WayComparison.of(unseen(examples, weights), measure="unseen")
    reads = SEEDS if mode == "precision" else 15
    agreed = WayComparison.of(agreement(examples, weights, mode, reads), measure="agreement")
    return verdict(agreed, own), own.over_plain.is_positive


@MODES
@pytest.mark.parametrize("model", [noise, agreeing, nearly_agreeing])
def test_where_there_is_nothing_to_gain_feedback_is_not_called_good(model: Model, mode: Any) -> None:
    outcomes = [outcome(model, mode, seed) for seed in range(3)]
    assert {recommended for recommended, _ in outcomes} <= {"plain", "rerank"}
    assert sum(signal for _, signal in outcomes) == 0


@MODES
def test_a_gain_that_was_planted_is_found_with_50_queries(mode: Any) -> None:
    assert [outcome(knowing, mode, seed) for seed in range(3)] == [("feedback", True)] * 3
