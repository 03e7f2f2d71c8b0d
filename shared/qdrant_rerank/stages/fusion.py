"""One ranking from several, and what each of them adds, computed here as Qdrant computes it, to explain fused scores.

Reciprocal rank fusion after Cormack, Clarke and Büttcher (SIGIR 2009), in Qdrant's form; distribution-based score fusion in
Qdrant's form: scores scaled so that the mean ± 3 standard deviations becomes 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from ..capabilities import AbilityName
from ..errors import Lint, StrategyError
from ..query import Inputs, Target
from ..steps import Points
from ..strategies import Stage
from ..values import brief, is_finite, is_whole

__all__ = ["DEFAULT_RRF_K", "Fusion", "fused_terms", "shares"]

FusionMethod: TypeAlias = Literal["rrf", "dbsf"]


@dataclass(frozen=True, repr=False)
class Fusion(Stage, kind="fusion"):
    """One ranking from several: by ranks (`Fusion.rrf()`) or by normalised scores (`Fusion.dbsf()`)."""

    once_per_collection: ClassVar[bool] = True
    joins_shards: ClassVar[bool] = True

    method: FusionMethod = "rrf"
    k: int | None = None
    weights: tuple[float, ...] | None = None

    @classmethod
    def rrf(
        cls,
        k: int | None = None,
        weights: Sequence[float] | None = None,
        *,
        limit: int | None = None,
        filter: models.Filter | None = None,
        score_threshold: float | None = None,
        name: str | None = None,
    ) -> Fusion:
        """Reciprocal rank fusion: the sum over candidates of `1 / (rank / weight + k - 1)`, ranks from 1.

        Args:
            k: Qdrant's default is 2. The 60 of Cormack, Clarke and Büttcher (SIGIR 2009), who count ranks from 1
                as `1 / (60 + rank)`, is `k=61` here.
            weights: one for each candidate, in the order of `.over(...)`; absolute, not shares.
            limit, filter, score_threshold, name: as for every stage.
        """
        listed = None if weights is None else tuple(weights)
        return cls("rrf", k, listed, limit=limit, filter=filter, score_threshold=score_threshold, name=name)

    @classmethod
    def dbsf(
        cls,
        *,
        limit: int | None = None,
        filter: models.Filter | None = None,
        score_threshold: float | None = None,
        name: str | None = None,
    ) -> Fusion:
        """Distribution-based score fusion: scores normalised by mean ± 3 standard deviations, then added."""
        return cls("dbsf", limit=limit, filter=filter, score_threshold=score_threshold, name=name)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.search_params is not None:
            raise StrategyError("a fusion searches nothing that search_params could be for: give them to its candidates")
        if self.method not in ("rrf", "dbsf"):
            raise StrategyError(f"fusion is by 'rrf' or 'dbsf', got {self.method!r}")
        if self.method == "dbsf" and (self.k is not None or self.weights is not None):
            raise StrategyError("k and weights belong to rrf; dbsf has neither")
        if self.k is not None and not is_whole(self.k, 1):
            raise StrategyError(f"the k of rrf must be a whole number of at least 1, got {self.k!r}")
        if self.weights is None:
            return
        object.__setattr__(self, "weights", tuple(self.weights))
        for weight in self.weights:
            if not is_finite(weight) or weight <= 0:
                raise StrategyError(f"a weight of rrf must be a finite number above 0, got {weight!r}")
        if self.candidates and len(self.weights) != len(self.candidates):
            raise StrategyError(f"rrf has {len(self.weights)} weights for {len(self.candidates)} candidates: give one for each")

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        if self.k is None and self.weights is None:  # the older wire form, which every server understands
            return models.FusionQuery(fusion=models.Fusion(self.method))
        weights = None if self.weights is None else [float(weight) for weight in self.weights]
        return models.RrfQuery(rrf=models.Rrf(k=self.k, weights=weights))

    @property
    def title(self) -> str | None:
        return self.name if self.name is not None else self.method

    def own_problems(self, target: Target) -> Iterator[str]:
        if not self.candidates:
            yield f"{brief(self)} has nothing to fuse: add .over(Nearest(…), Nearest(…))"
        far = dict.fromkeys(repr(stage.vector) for stage in self.candidates if stage.is_distance(target.schema))
        if far and self.method == "dbsf":
            yield (
                f"distribution-based score fusion takes high scores for good, but those of {', '.join(far)} are distances, so "
                "that the farthest points would come first: use Fusion.rrf()"
            )

    def own_warnings(self, target: Target) -> Iterator[Lint]:
        if len(self.candidates) == 1:
            yield Lint("single-candidate", f"{brief(self)} fuses a single candidate, which ranks as that candidate alone does")

    def own_features(self) -> Iterator[AbilityName]:
        yield "dbsf" if self.method == "dbsf" else "query"
        if self.k is not None:
            yield "rrf_k"
        if self.weights is not None:
            yield "rrf_weights"

    def _head(self) -> str:
        own = [f"{key}={getattr(self, key)!r}" for key in ("k", "weights") if getattr(self, key) is not None]
        return f"Fusion.{self.method}({', '.join([*own, *self._common_arguments()])})"


DEFAULT_RRF_K = 2


def fused_terms(fusion: Fusion, points: Points, candidates: Sequence[Points]) -> list[NDArray[np.float64]]:
    """What each candidate adds to the fused score of each point: one array of shape (n points,) for each candidate."""
    terms = []
    for candidate, values in zip(candidates, shares(fusion, candidates), strict=True):
        by_id = {point.id: value for point, value in zip(candidate, values, strict=True)}
        terms.append(np.array([by_id.get(point.id, 0.0) for point in points]))
    return terms


def shares(fusion: Fusion, candidates: Sequence[Points]) -> list[list[float]]:
    """What each candidate adds to the fused score of each of its own points, in their order."""
    if fusion.method == "dbsf":
        return [_dbsf(candidate) for candidate in candidates]
    k = DEFAULT_RRF_K if fusion.k is None else fusion.k
    weights = fusion.weights or (1.0,) * len(candidates)
    return [
        [1.0 / (rank / weight + k - 1) for rank in range(1, len(candidate) + 1)]
        for candidate, weight in zip(candidates, weights, strict=True)
    ]


def _dbsf(candidate: Points) -> list[float]:
    scores = np.array([point.score for point in candidate])
    deviation = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
    if deviation == 0.0:
        return [0.5] * len(candidate)
    low = float(scores.mean()) - 3 * deviation
    return [(point.score - low) / (6 * deviation) for point in candidate]
