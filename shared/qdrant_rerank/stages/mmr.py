"""Maximal marginal relevance: the found points compared with each other, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from qdrant_client import models

from ..capabilities import AbilityName
from ..errors import Lint, StrategyError
from ..explain.results import Account, Found
from ..query import Inputs, SearchOptions, Target
from ..schema import Schema
from ..steps import Flow, Points
from ..strategies import CANDIDATES, Stage
from ..values import brief, is_finite, is_whole
from .nearest import Nearest, VectorStage


@dataclass(frozen=True, repr=False)
class Mmr(VectorStage, kind="mmr"):
    """Maximal marginal relevance: near the query, but not near each other.

    The relevance is the similarity of `using` to the query, whatever scored the candidates. The answer is in the
    order of choice, which is the ranking; its scores don't descend.

    Args:
        using: the vector's name, as for `Nearest`.
        diversity: 0 is pure relevance, 1 pure diversity. (LangChain's `lambda_mult` and LlamaIndex's
            `mmr_threshold` are 1 - diversity.)
        candidates_limit: how many of the most relevant points to choose among; by default 100, or all candidates.
    """

    ranks_by_score: ClassVar[bool] = False
    once_per_collection: ClassVar[bool] = True
    joins_shards: ClassVar[bool] = True
    cuts_pages_short: ClassVar[bool] = True

    diversity: float = 0.5
    candidates_limit: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_finite(self.diversity) or not 0 <= self.diversity <= 1:
            raise StrategyError(f"the diversity of Mmr must be between 0 and 1, got {self.diversity!r}")
        limit = self.candidates_limit
        if limit is not None and not is_whole(limit, 1):
            raise StrategyError(f"the candidates_limit of Mmr must be a whole number of at least 1, got {limit!r}")

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        assert self.using is not None
        mmr = models.Mmr(diversity=float(self.diversity), candidates_limit=self.whole(limit))
        return models.NearestQuery.model_construct(nearest=inputs.vectors[self.using], mmr=mmr)

    def prefetch(self, inputs: Inputs, needed: int) -> models.Prefetch:
        if self.candidates:
            return super().prefetch(inputs, needed)
        # alone below another stage, engines take it for a search of its candidates_limit nearest points: so they are asked for
        # by a search of their own
        among = self.whole(self.reach(needed))
        nearest = Nearest(self.using, limit=among, search_params=self.search_params, score_threshold=self.score_threshold)
        explicit = replace(self, candidates=(nearest,), candidates_limit=among, search_params=None, score_threshold=None)
        return explicit.prefetch(inputs, needed)

    def whole(self, needed: int) -> int:
        found = sum(candidate.reach(needed) for candidate in self.candidates)
        return self.candidates_limit or max(found or CANDIDATES, needed)

    def holds_all(self, found: int, needed: int) -> bool:
        return found < self.whole(needed)

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        yield from super().options_problems(options, target)
        if not self.candidates and self.candidates_limit is None and options.reach > (among := self.whole(options.needed)):
            yield (
                f"the call asks for {options.reach} points, but {brief(self)} chooses among {among}: set candidates_limit to "
                f"{options.reach} or more, or ask for fewer"
            )

    def own_problems(self, target: Target) -> Iterator[str]:
        yield from super().own_problems(target)
        info = target.schema.vectors.get(self.using or "")
        if self.using is not None and info is not None and info.kind == "sparse":
            yield f"Mmr compares points with each other by a dense vector; {self.using!r} is sparse"

    def outermost(self, inputs: Inputs, options: SearchOptions) -> Flow[Stage]:
        return (yield from self.over_collection(inputs, options))

    def over_collection(self, inputs: Inputs, options: SearchOptions) -> Flow[Stage]:
        """This stage over just the points that it is to choose among.

        Several shards hand Qdrant more of them than that, of which it takes other ones at each call.
        """
        if inputs.target.schema.shards_of(options.shard_key_selector) <= 1:
            return self
        among, stage = self.whole(options.needed), self
        found: list[models.ExtendedPointId] | None = None
        if self.candidates:
            found = yield from self.find_ids(self.candidates, inputs, options)
            stage = self.restrict_to(found)
        if found is None or len(found) > among:
            nearest = Nearest(
                self.using, search_params=self.search_params, score_threshold=self.score_threshold, filter=stage.filter
            )
            found = yield from self.find_ids([replace(nearest, limit=among)], inputs, options)
        return replace(self.restrict_to(found), candidates_limit=among)

    @property
    def collection_round_trips(self) -> int:
        # the most relevant of the candidates are asked for only where there may be more than it chooses among
        found = sum(candidate.reach(CANDIDATES) for candidate in self.candidates)
        asks = not self.candidates or (self.candidates_limit is not None and self.candidates_limit < found)
        return super().collection_round_trips + asks

    def shard_round_trips(self, schema: Schema) -> int:
        return self.collection_round_trips if schema.shards > 1 else 0

    def shard_warnings(self, schema: Schema) -> Iterator[Lint]:
        yield from super().shard_warnings(schema)
        if schema.shards > 1:
            trips = "a round trip" if self.shard_round_trips(schema) == 1 else f"{self.shard_round_trips(schema)} round trips"
            yield Lint(
                "mmr-on-shards",
                f"{brief(self)} takes {trips} more as the outermost stage, for its candidates: the {schema.shards} shards "
                "would hand on others than those of the whole collection, and Qdrant would choose among them anew at each call",
            )

    def own_abilities(self) -> Iterator[AbilityName]:
        yield "mmr"

    def account(self, points: Points, found: Sequence[Found], inputs: Inputs) -> Account:
        return Account(points, found, without_terms="MMR chooses each result by its likeness to those before it")

    def _own_arguments(self) -> Iterator[str]:
        yield from super()._own_arguments()
        yield f"diversity={self.diversity!r}"
        if self.candidates_limit is not None:
            yield f"candidates_limit={self.candidates_limit!r}"
