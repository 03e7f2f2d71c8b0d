"""What adds up to the scores of relevance feedback, to explain results."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..points import notes_of
from .folding import Column, similarity
from .rounds import Rounds
from .steering import stored_vector
from .strategy import RelevanceFeedback

__all__ = ["summed"]


def summed(strategy: RelevanceFeedback, rounds: Rounds) -> tuple[list[tuple[str, Column]], str]:
    """What adds up to the score of each result, as texts with a value for each, NaN where it isn't known; or why nothing does.

    Not for results of a stage around the feedback candidate in mode "precision", whose scores are that stage's.

    Args:
        strategy: resolved.
        rounds: of it, made to be explained.
    """
    steering, points = rounds.steering, rounds.points
    if steering.why_not:
        return [], f"it is as the first search found it: {steering.why_not}"
    if strategy.mode == "recall":
        return [("reranker", np.array([notes_of(point).get("feedback_score", np.nan) for point in points]))], ""
    query: Any = rounds.inputs.vectors[strategy.compared]
    if not isinstance(query, list):
        return [], "the server embeds the query, so that its share of the score isn't known here"
    distance = rounds.inputs.target.schema.vectors[strategy.compared].distance
    stored = [stored_vector(point, strategy.compared) for point in points]
    own = strategy.weights.a * np.array([np.nan if v is None else similarity(query, v, distance) for v in stored])
    return [("a * similarity", own), ("feedback", np.array([point.score for point in points]) - own)], ""
