"""Which strategies are tried: the families, and how many candidates the candidates hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .. import Executor, QueryError, Strategy, StrategyError
from .._internals import brief, is_whole
from ..evaluate import Topic
from ..planning import Schema
from ..stages import Fusion, Nearest
from .families import Dbsf, Rrf, SingleLegs, WeightedSum
from .learned import Learned
from .options import Family
from .rescoring import Rescored

__all__ = ["Space", "default_strategy", "found_candidates", "given_candidates"]


def _families() -> tuple[Family, ...]:
    return SingleLegs(), Rrf(), Dbsf(), WeightedSum(), Learned(), Rescored()


@dataclass(frozen=True)
class Space:
    """What `tune` tries.

    Attributes:
        families: who propose strategies: single candidates, RRF, DBSF, weighted sums, a learned formula, and a model's reading
            if
            none are said.
        depths: how many candidates a candidate hands on; the candidates are searched to the deepest of them.

    Raises:
        StrategyError: there is no family or no depth, or one of them is none.
    """

    families: tuple[Family, ...] = field(default_factory=_families)
    depths: tuple[int, ...] = (20, 50, 100)

    def __post_init__(self) -> None:
        object.__setattr__(self, "families", tuple(self.families))
        object.__setattr__(self, "depths", tuple(sorted(set(self.depths))))
        if not self.families:
            raise StrategyError("the space has no families: there is nothing to try")
        for family in self.families:
            if not isinstance(family, Family):
                raise StrategyError(f"{family!r} is no family: it needs name, options(ground) and ranking(…)")
        if not self.depths or not all(is_whole(depth, 1) for depth in self.depths):
            raise StrategyError(f"depths must be whole numbers of at least 1, got {self.depths!r}")

    def plus(self, *families: Family) -> Space:
        """This space with further families."""
        return replace(self, families=(*self.families, *families))


def given_candidates(candidates: Sequence[Any], schema: Schema) -> tuple[Nearest, ...]:
    """The candidates that a caller names, as plain searches of this collection.

    Raises:
        StrategyError: one isn't a plain search, or two are called the same, or there are none.
    """
    resolved: list[Nearest] = []
    for candidate in candidates:
        if not isinstance(candidate, Nearest) or candidate.candidates:
            raise StrategyError(
                f"a candidate is a plain search, Nearest(name), got {brief(candidate)}; put other strategies into the space"
            )
        resolved.append(candidate.resolved(schema))
    titles = [candidate.title for candidate in resolved]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise StrategyError(f"two candidates are called {twice[0]!r}: tell them apart with Nearest(…, name=…)")
    if not resolved:
        raise StrategyError("candidates is empty: name at least one, e.g. Nearest('dense'), or leave it out")
    return tuple(resolved)


def found_candidates(executor: Executor, topics: Sequence[Topic]) -> tuple[Nearest, ...]:
    """A candidate for each dense and sparse vector that queries can be embedded for, dense ones first.

    Raises:
        StrategyError: there are none.
    """
    schema = executor.target().schema
    candidates = []
    for kind in ("dense", "sparse"):
        for name in schema.names(kind):
            try:
                executor.encoders.encoder(name, schema)
            except QueryError:
                if not all(name in topic.vectors for topic in topics):
                    continue
            candidates.append(Nearest(name))
    if not candidates:
        raise StrategyError(
            f"no candidates to tune: the collection {schema.collection!r} has {schema.describe_vectors()}, and the "
            f"executor has an "
            "encoder for none of its dense and sparse vectors: pass encoders=… to it"
        )
    return tuple(candidates)


def default_strategy(candidates: Sequence[Nearest]) -> Strategy:
    """What is used where nobody chose: Qdrant's own rank fusion, or the only candidate."""
    return Fusion.rrf().over(*candidates) if len(candidates) > 1 else candidates[0]
