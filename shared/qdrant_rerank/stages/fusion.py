"""One ranking from several, and what each of them adds, computed here as Qdrant computes it, to explain fused scores.

Reciprocal rank fusion after Cormack, Clarke and Büttcher (SIGIR 2009), in Qdrant's form; distribution-based score fusion in
Qdrant's form: scores scaled so that the mean ± 3 standard deviations becomes 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
from qdrant_client import models

from ..capabilities import AbilityName
from ..errors import Lint, StrategyError
from ..explain.results import Account, Column, Find, Found, Scored
from ..expressions.evaluation import Table
from ..query import Inputs, Target
from ..schema import Schema
from ..steps import Points
from ..strategies import Stage
from ..values import brief, is_finite, is_whole

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

    def own_abilities(self) -> Iterator[AbilityName]:
        yield "dbsf" if self.method == "dbsf" else "query"
        if self.k is not None:
            yield "rrf_k"
        if self.weights is not None:
            yield "rrf_weights"

    @property
    def is_computable(self) -> bool:
        return True

    def compute_scores(self, found: Sequence[Sequence[Scored]], table: Table, schema: Schema) -> Column:
        scores: Column = np.zeros(len(table.ids))
        for points, shares in zip(found, compute_shares(self, found), strict=True):
            by_id = {point.id: share for point, share in zip(points, shares, strict=True)}
            scores += [by_id.get(id, 0.0) for id in table.ids]
        return scores

    def account(self, points: Points, found: Sequence[Found], inputs: Inputs) -> Account:
        return _Shares(self, points, found)

    def _head(self) -> str:
        own = [f"{key}={getattr(self, key)!r}" for key in ("k", "weights") if getattr(self, key) is not None]
        return f"Fusion.{self.method}({', '.join([*own, *self._common_arguments()])})"


DEFAULT_RRF_K = 2
_MOST: Final = 300_000  # combinations of ranks that are tried for one point
_CLOSE: Final = {"dbsf": 1e-4, "rrf": 1e-6}  # how far off fused sums may be: the engine computes in 32 bits


def compute_shares(fusion: Fusion, candidates: Sequence[Sequence[Scored]]) -> list[list[float]]:
    """What each candidate adds to the fused score of each of its own points, in their order."""
    if fusion.method == "dbsf":
        return [_dbsf(candidate) for candidate in candidates]
    k = DEFAULT_RRF_K if fusion.k is None else fusion.k
    weights = fusion.weights or (1.0,) * len(candidates)
    return [
        [1.0 / (rank / weight + k - 1) for rank in range(1, len(candidate) + 1)]
        for candidate, weight in zip(candidates, weights, strict=True)
    ]


def _dbsf(candidate: Sequence[Scored]) -> list[float]:
    scores = np.array([point.score for point in candidate])
    deviation = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
    if deviation == 0.0:
        return [0.5] * len(candidate)
    low = float(scores.mean()) - 3 * deviation
    return [(point.score - low) / (6 * deviation) for point in candidate]


class _Shares(Account):
    """What each candidate adds, by the rank or score that it gave a point; where candidates tie, whatever fits the score."""

    def __init__(self, fusion: Fusion, points: Points, found: Sequence[Found]) -> None:
        self.method = fusion.method
        self.shares = compute_shares(fusion, [each.points for each in found])
        super().__init__(points, found, ())
        self._add_up()

    def _add_up(self) -> None:
        every = zip(self.found, self.shares, self.finds, strict=True)
        self.terms = [
            (each.name, np.array([_share(shares, finds.get(point.id)) for point in self.points]))
            for each, shares, finds in every
        ]

    def tolerance(self, terms: Sequence[tuple[str, Column]]) -> float:
        return _CLOSE[self.method]

    def mend(self, exact: Sequence[Mapping[Any, float]]) -> None:
        for row in np.flatnonzero(self.is_wrong()):
            id, score = self.points[row].id, self.scores[row]
            tied = [[*self._tied(candidate, id, exact[candidate].get(id))] for candidate in range(len(self.found))]
            if (chosen := self._choose(tied, score)) is None:  # ties further below, which shift all ranks
                anywhere = [[finds[0], None, *each.finds] for finds, each in zip(tied, self.found, strict=True)]
                chosen = self._choose(anywhere, score)
            for candidate, find in enumerate(chosen or ()):
                self.set_find(candidate, id, find)
        self._add_up()

    def _tied(self, candidate: int, id: Any, score: float | None) -> Iterator[Find | None]:
        """What a candidate may have made of a point: the ranks of all that tie with it, and whether it found it at all."""
        own, alone = self.finds[candidate].get(id), self.found[candidate].finds
        yield own
        score = own.score if own is not None else score
        ties = [find for find in alone if score is not None and np.isclose(find.score, score, rtol=1e-6, atol=1e-9)]
        yield from ties
        if own is not None and self.found[candidate].is_full and ties[-1] == alone[-1]:  # it may have been cut off
            yield None

    def _choose(self, choices: Sequence[Sequence[Find | None]], score: float) -> list[Find | None] | None:
        """The one of each candidate's choices with which they add up to the score; None if there are none."""
        if math.prod(map(len, choices)) > _MOST:
            return None
        values = [np.array([_share(shares, find) for find in each]) for shares, each in zip(self.shares, choices, strict=True)]
        off = np.abs(reduce(np.add.outer, values) - score)
        if off.min() > _CLOSE[self.method]:
            return None
        places = np.unravel_index(int(off.argmin()), off.shape)
        return [each[int(place)] for each, place in zip(choices, places, strict=True)]


def _share(shares: Sequence[float], find: Find | None) -> float:
    return 0.0 if find is None or find.rank is None else shares[find.rank - 1]
