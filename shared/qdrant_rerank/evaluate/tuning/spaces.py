"""Which strategies are tried: the families, and how many candidates the legs hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ... import Executor, QueryError, Schema, Strategy, StrategyError
from ..._internals import brief, is_whole
from ...stages import Fusion, Nearest
from ..topics import Topic
from .families import Dbsf, Rrf, SingleLegs, WeightedSum
from .learned import Learned
from .options import Family
from .rescoring import Rescored

__all__ = ["Space", "default_strategy", "found_legs", "given_legs"]


def _families() -> tuple[Family, ...]:
    return SingleLegs(), Rrf(), Dbsf(), WeightedSum(), Learned(), Rescored()


@dataclass(frozen=True)
class Space:
    """What `tune` tries.

    Attributes:
        families: who propose strategies: single legs, RRF, DBSF, weighted sums, a learned formula, and a model's reading if
            none are said.
        depths: how many candidates a leg hands on; the legs are searched to the deepest of them.

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


def given_legs(legs: Sequence[Any], schema: Schema) -> tuple[Nearest, ...]:
    """The legs that a caller names, as plain searches of this collection.

    Raises:
        StrategyError: one isn't a plain search, or two are called the same, or there are none.
    """
    resolved: list[Nearest] = []
    for leg in legs:
        if not isinstance(leg, Nearest) or leg.candidates:
            raise StrategyError(
                f"a leg is a plain search, Nearest(name), got {brief(leg)}; put other strategies into the space"
            )
        resolved.append(leg.resolved(schema))
    titles = [leg.title for leg in resolved]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise StrategyError(f"two legs are called {twice[0]!r}: tell them apart with Nearest(…, name=…)")
    if not resolved:
        raise StrategyError("legs is empty: name at least one, e.g. Nearest('dense'), or leave it out")
    return tuple(resolved)


def found_legs(executor: Executor, topics: Sequence[Topic]) -> tuple[Nearest, ...]:
    """A leg for each dense and sparse vector that queries can be embedded for, dense ones first.

    Raises:
        StrategyError: there are none.
    """
    schema = executor.target().schema
    legs = []
    for kind in ("dense", "sparse"):
        for name in schema.names(kind):
            try:
                executor.encoders.encoder(name, schema)
            except QueryError:
                if not all(name in topic.vectors for topic in topics):
                    continue
            legs.append(Nearest(name))
    if not legs:
        raise StrategyError(
            f"no legs to tune: the collection {schema.collection!r} has {schema.describe_vectors()}, and the executor has an "
            "encoder for none of its dense and sparse vectors: pass encoders=… to it"
        )
    return tuple(legs)


def default_strategy(legs: Sequence[Nearest]) -> Strategy:
    """What is used where nobody chose: Qdrant's own rank fusion, or the only leg."""
    return Fusion.rrf().over(*legs) if len(legs) > 1 else legs[0]
