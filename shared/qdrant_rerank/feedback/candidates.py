"""`FeedbackCandidates`: the second search of relevance feedback, as a stage among others; and which vector it compares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Self

from qdrant_client import models

from ..errors import StrategyError
from ..query import Inputs, Target
from ..schema import Schema
from ..stages.nearest import Nearest
from ..strategies import Stage

__all__ = ["FeedbackCandidates", "compared_by", "placed"]


@dataclass(frozen=True, repr=False)
class FeedbackCandidates(Nearest):
    """The search that relevance feedback steers, where it is one candidate among others.

    It has a place only in `RelevanceFeedback(within=…)`, which hands it what to search for:
    `within=Fusion.rrf().over(FeedbackCandidates(limit=100), Nearest("bm25", limit=100))`. It compares the vector that the
    feedback is
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


def compared_by(seeds: Stage, schema: Schema) -> str | None:
    """The vector that feedback is about: the seeds' dense one, if they compare just one, else the collection's only one."""
    dense = list(
        dict.fromkeys(
            stage.vector
            for stage in seeds.stages()
            if stage.vector is not None and stage.vector in schema.vectors and schema.vectors[stage.vector].kind == "dense"
        )
    )
    return dense[0] if len(dense) == 1 else schema.only_dense()


def placed(stage: Stage, using: str | None) -> Stage:
    """The stage with the feedback candidate told what it compares; the stage itself where it already knows."""
    if isinstance(stage, FeedbackCandidates):
        return stage if stage.using is not None else replace(stage, using=using)
    candidates = tuple(placed(candidate, using) for candidate in stage.candidates)
    return stage if candidates == stage.candidates else replace(stage, candidates=candidates)
