"""The families of strategies that Qdrant runs alone: single candidates, fusions, weighted sums, and grids of one's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

from .. import Strategy, StrategyError
from .._internals import DEFAULT_RRF_K, brief
from ..expressions import Expression, score
from ..planning import Target
from ..stages import Formula, Fusion, Mmr, Nearest, Stage
from .options import Ground, Option, Parameter, Scorer
from .pools import Hit, Pool
from .recomputing import is_recomputable, recomputed

__all__ = ["Dbsf", "Diverse", "Grid", "Rrf", "SingleLegs", "WeightedSum", "score_of"]


class _Recomputed:
    """What families have in common whose strategies Qdrant runs alone."""

    def ranking(self, option: Option, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Sequence[Hit] | None:
        if not isinstance(option.strategy, Stage) or not is_recomputable(option.strategy, target.schema):
            return None
        return recomputed(option.strategy, pool, target, limit)


@dataclass(frozen=True)
class SingleLegs(_Recomputed):
    """Each candidate by itself."""

    name: str = "single candidates"

    def options(self, ground: Ground) -> Iterator[Option]:
        for candidate in ground.candidates:
            yield Option(
                f"{ground.title(candidate)} alone",
                replace(candidate, limit=None),
                self.name,
                {"candidate": ground.title(candidate)},
            )


@dataclass(frozen=True)
class Rrf(_Recomputed):
    """Reciprocal rank fusion of all candidates: every k with every weighting at the deepest depth, plain k at the others.

    Attributes:
        ks: the values of k; 61 is the 60 of the literature.
        ratios: how many times the weight of the others one candidate may have.
    """

    ks: tuple[int, ...] = (1, DEFAULT_RRF_K, 10, 20, 61, 100)
    ratios: tuple[float, ...] = (2.0, 3.0)
    name: str = "RRF"

    def options(self, ground: Ground) -> Iterator[Option]:
        if len(ground.candidates) < 2:
            return
        for depth, k in itertools.product(ground.depths, self.ks):
            yield self._option(ground, depth, k, None)
        for k, weights in itertools.product(self.ks, self._weights(len(ground.candidates))):
            yield self._option(ground, ground.deepest, k, weights)

    def _weights(self, candidates: int) -> Iterator[tuple[float, ...]]:
        for ratio, favoured in itertools.product(self.ratios, range(candidates)):
            yield tuple(ratio if candidate == favoured else 1.0 for candidate in range(candidates))

    def _option(self, ground: Ground, depth: int, k: int, weights: tuple[float, ...] | None) -> Option:
        own = k != DEFAULT_RRF_K
        written = "" if weights is None else f", weights {':'.join(f'{weight:g}' for weight in weights)}"
        named: dict[str, Parameter] = {"k": k, "weights": "equal" if weights is None else written[10:], "depth": depth}
        strategy = Fusion.rrf(k if own else None, weights).over(*ground.deep(depth))
        complexity = int(own) + (0 if weights is None else len(weights) - 1)
        return Option(f"RRF k={k}{written}, {depth} a candidate", strategy, self.name, named, complexity)


@dataclass(frozen=True)
class Dbsf(_Recomputed):
    """Distribution-based score fusion of all candidates, at each depth."""

    name: str = "DBSF"

    def options(self, ground: Ground) -> Iterator[Option]:
        if len(ground.candidates) < 2 or any(
            ground.schema.vectors[candidate.using or ""].is_distance for candidate in ground.candidates
        ):
            return  # it takes high scores for good
        for depth in ground.depths:
            yield Option(f"DBSF, {depth} a candidate", Fusion.dbsf().over(*ground.deep(depth)), self.name, {"depth": depth})


@dataclass(frozen=True)
class WeightedSum(_Recomputed):
    """The candidates' scores added in a formula: `w * score(a) + (1 - w) * r * score(b)`, at the deepest depth.

    r brings the candidates to one scale: the ratio of their scores' standard deviations within a topic, median over the topics.
    A point that a candidate did not find gets the lowest score that the candidate gave, likewise. Both are numbers in the
    formula, so
    that Qdrant runs it as it was measured; neither reads judgments.

    Attributes:
        steps: into how many steps a weight from 0 to 1 is divided.
    """

    steps: int = 10
    name: str = "weighted sum"

    def options(self, ground: Ground) -> Iterator[Option]:
        count = len(ground.candidates)
        titles = [ground.title(candidate) for candidate in ground.candidates]
        if count < 2 or len(set(titles)) < count:
            return
        steps = self.steps if count == 2 else max(count, self.steps // 2)  # with three candidates the grid is a triangle
        for parts in itertools.product(range(1, steps), repeat=count):
            if sum(parts) == steps:
                shares = [part / steps for part in parts]
                written = " + ".join(f"{share:.2g} {title}" for share, title in zip(shares, titles, strict=True))
                weights = {f"weight of {title}": share for title, share in zip(titles, shares, strict=True)}
                strategy = Formula(self._sum(ground, shares)).over(*ground.deep(ground.deepest))
                yield Option(f"sum {written}", strategy, self.name, {**weights, "depth": ground.deepest}, 3 * count - 3)

    def _sum(self, ground: Ground, shares: Sequence[float]) -> Expression:
        unit = ground.spread(ground.candidates[0]).deviation
        weights = (
            share * unit / ground.spread(candidate).deviation
            for candidate, share in zip(ground.candidates, shares, strict=True)
        )
        return reduce(
            add, (_rounded(w) * score_of(candidate, ground) for candidate, w in zip(ground.candidates, weights, strict=True))
        )


@dataclass(frozen=True)
class Diverse:
    """MMR over the baseline's candidates. It compares points with each other, so each option is put to Qdrant.

    Attributes:
        diversities: from 0, pure relevance, to 1.
        using: the dense vector; the collection's only one if None.
    """

    diversities: tuple[float, ...] = (0.1, 0.3, 0.5)
    using: str | None = None
    name: str = "MMR"

    def options(self, ground: Ground) -> Iterator[Option]:
        if not isinstance(ground.baseline, Stage):
            return
        for diversity in self.diversities:
            strategy = Mmr(self.using, diversity=diversity).over(ground.baseline)
            yield Option(f"MMR {diversity:g} over the default", strategy, self.name, {"diversity": diversity}, 1)

    def ranking(self, option: Option, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        return None


@dataclass(frozen=True)
class Grid(_Recomputed):
    """Strategies of one's own with free parameters, every combination of whose values is tried.

        Grid("freshness", lambda days, weight: Formula(score("dense") + weight * decay_exp(…, scale=days * 86400)).over(…),
             {"days": [7, 30, 90], "weight": [0.05, 0.1, 0.2]})

    Attributes:
        name: what tables call it.
        make: a function of the parameters that returns a strategy.
        values: the values of each parameter; put the cheapest or plainest first.
        complexity: how much less simple these strategies are than Qdrant's defaults; the number of parameters if None.
            It decides between strategies of the same mean.

    Raises:
        StrategyError: a parameter has no values.
    """

    name: str
    make: Callable[..., Strategy]
    values: Mapping[str, Sequence[Parameter]]
    complexity: int | None = None

    def __post_init__(self) -> None:
        for parameter, values in self.values.items():
            if not isinstance(values, Sequence) or isinstance(values, str) or not values:
                raise StrategyError(f"grid {self.name!r}: {parameter!r} needs a list of values, got {values!r}")

    def options(self, ground: Ground) -> Iterator[Option]:
        for combination in itertools.product(*self.values.values()):
            chosen = dict(zip(self.values, combination, strict=True))
            strategy = self.make(**chosen)
            if not isinstance(strategy, Strategy):
                raise StrategyError(f"grid {self.name!r}: make(**{chosen!r}) must return a strategy, got {brief(strategy)}")
            written = ", ".join(f"{name}={value}" for name, value in chosen.items())
            complexity = len(chosen) if self.complexity is None else self.complexity
            yield Option(f"{self.name} {written}".strip(), strategy, self.name, chosen, complexity)


def score_of(candidate: Nearest, ground: Ground) -> Expression:
    """A candidate's score; a point that it didn't find gets the lowest that it usually gives."""
    low = _rounded(ground.spread(candidate).low)
    if ground.schema.vectors[candidate.using or ""].is_distance:
        low = low or -1e-6  # 0 would be the best there is
    return score(candidate.title, default=low)


def _rounded(number: float) -> float:
    """Three digits are enough for a formula that people read."""
    return float(f"{number:.3g}")
