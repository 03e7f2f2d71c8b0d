"""`FeedbackLeg`: the second search of relevance feedback, as a stage among others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from qdrant_client import models

from ..errors import StrategyError
from ..query import Inputs, Target
from ..schema import Schema
from ..stages.nearest import Nearest

__all__ = ["FeedbackLeg"]


@dataclass(frozen=True, repr=False)
class FeedbackLeg(Nearest):
    """The search that relevance feedback steers, where it is one candidate among others.

    It has a place only in `RelevanceFeedback(within=…)`, which hands it what to search for:
    `within=Fusion.rrf().over(FeedbackLeg(limit=100), Nearest("bm25", limit=100))`. It compares the vector that the feedback is
    about, takes a limit, filter, threshold and name as every stage, and is `score("feedback")` in a formula above it. Its
    score there is the similarity to the steered vector: for Cosine the cosine, from -1 to 1.
    """

    name: str | None = field(default="feedback", kw_only=True)  # after `using`, as in Nearest

    def resolved(self, schema: Schema) -> Self:
        return self  # RelevanceFeedback says which vector it compares

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        if inputs.steering is None:
            raise StrategyError(self._elsewhere)
        return inputs.steering

    def is_distance(self, schema: Schema) -> bool:
        return False  # the formula's scores, in which distances are turned around

    def own_problems(self, target: Target) -> Iterator[str]:
        if self.using is None:
            yield self._elsewhere

    @property
    def _elsewhere(self) -> str:
        return f"{self!r} has a place only in RelevanceFeedback(within=…), which tells it what to search for"
