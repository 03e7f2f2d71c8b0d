"""What compares vectors: `Nearest`; `Mmr`, which compares the found points with each other too; `late_interaction`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

from qdrant_client import models

from ..capabilities import AbilityName
from ..errors import Lint, StrategyError, did_you_mean
from ..expressions.build import constant, divide, max_, max_sim, score
from ..expressions.nodes import Expression
from ..query import Inputs, SearchOptions, Target, both
from ..schema import Schema
from ..steps import Flow, together
from ..strategies import CANDIDATES, Stage, alone, candidate_options, searched
from ..values import brief, is_finite, is_whole
from .formula import Formula

__all__ = ["Mmr", "Nearest", "late_interaction"]


@dataclass(frozen=True, repr=False)
class _Comparing(Stage):
    """A stage that compares the query's vector with a stored one."""

    using: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.using is not None and not isinstance(self.using, str):
            raise StrategyError(f"the name of a vector must be text, got {self.using!r}")

    @property
    def vector(self) -> str | None:
        return self.using

    @property
    def title(self) -> str | None:
        return self.name if self.name is not None else self.using

    def resolved(self, schema: Schema) -> Self:
        stage = super().resolved(schema)
        return stage if stage.using is not None else replace(stage, using=schema.only_dense())

    def over_collection(self, inputs: Inputs, options: SearchOptions) -> Flow[Stage]:
        if not self.candidates or inputs.target.schema.shards_of(options.shard_key_selector) <= 1:
            return self
        found = yield from self._found(self.candidates, inputs, options)
        return self._among(found)

    @property
    def collection_round_trips(self) -> int:
        return 1 + max(candidate.collection_round_trips for candidate in self.candidates) if self.candidates else 0

    def _found(self, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions) -> Flow[list[models.ExtendedPointId]]:
        """The ids of what these candidates find in the whole collection, each once."""
        by_itself = [alone(candidate, options.needed, self.filter) for candidate in candidates]
        stages = yield from together([stage.over_collection(inputs, options) for stage in by_itself])
        answers = yield from searched(
            lambda: [stage.request(inputs, candidate_options(stage, options)) for stage in stages], options, inputs.target
        )
        return list(dict.fromkeys(point.id for points in answers for point in points))

    def _among(self, ids: Sequence[models.ExtendedPointId]) -> Self:
        """This stage, over just these points."""
        these = models.Filter(must=[models.HasIdCondition(has_id=list(ids))])
        return replace(self, filter=both(self.filter, these), candidates=())

    def own_problems(self, target: Target) -> Iterator[str]:
        schema = target.schema
        kind = type(self).__name__
        if self.using is None:
            yield (
                f"{kind}() without a name means the only dense vector, but the collection {schema.collection!r} has "
                f"{schema.describe_vectors()}: write {kind}(name)"
            )
        elif self.using not in schema.vectors:
            hint = did_you_mean(self.using, schema.vectors)
            yield f"no vector named {self.using!r}; the collection {schema.collection!r} has {schema.describe_vectors()}{hint}"

    def _own_arguments(self) -> Iterator[str]:
        if self.using is not None:
            yield repr(self.using)


@dataclass(frozen=True, repr=False)
class Nearest(_Comparing):
    """The points whose vector is nearest to the query's: search, or with `.over(...)` rescoring of candidates.

    Works for dense, sparse and multivectors. `using` is the vector's name; None means the collection's only dense
    vector, `""` the unnamed one. Scores are Qdrant's: similarity for Cosine and Dot, distance for Euclid and Manhattan.
    """

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        assert self.using is not None
        return models.NearestQuery.model_construct(nearest=inputs.vectors[self.using], mmr=None)

    def own_warnings(self, target: Target) -> Iterator[Lint]:
        if self.candidates:
            keep = f"late_interaction({self.using!r}, …) keeps them, last"
            info = target.schema.vectors.get(self.using or "")
            hint = f": {keep}" if info is not None and info.kind == "multi" else ""
            yield Lint("vanishing-points", f"candidates without the vector {self.using!r} vanish from this rescoring{hint}")


@dataclass(frozen=True, repr=False)
class Mmr(_Comparing):
    """Maximal marginal relevance: near the query, but not near each other.

    The relevance is the similarity of `using` to the query, whatever scored the candidates. The answer is in the
    order of choice, which is the ranking; its scores don't descend.

    Args:
        using: the vector's name, as for `Nearest`.
        diversity: 0 is pure relevance, 1 pure diversity. (LangChain's `lambda_mult` and LlamaIndex's
            `mmr_threshold` are 1 - diversity.)
        candidates_limit: how many of the most relevant points to choose among; by default 100, or all candidates.
    """

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
            found = yield from self._found(self.candidates, inputs, options)
            stage = self._among(found)
        if found is None or len(found) > among:
            nearest = Nearest(
                self.using, search_params=self.search_params, score_threshold=self.score_threshold, filter=stage.filter
            )
            found = yield from self._found([replace(nearest, limit=among)], inputs, options)
        return replace(self._among(found), candidates_limit=among)

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

    def own_features(self) -> Iterator[AbilityName]:
        yield "mmr"

    def _own_arguments(self) -> Iterator[str]:
        yield from super()._own_arguments()
        yield f"diversity={self.diversity!r}"
        if self.candidates_limit is not None:
            yield f"candidates_limit={self.candidates_limit!r}"


_NOT_FOUND: Final = -1e6  # below any MaxSim, also once it is divided by the number of query tokens


def late_interaction(using: str, *candidates: Stage, limit: int | None = None, filter: models.Filter | None = None) -> Formula:
    """Candidates rescored by late interaction; those that lack the multivector come last, in the order of their own scores.

    `Nearest("colbert").over(…)` leaves them out, which is faster, and right where every point has the vector. Scores here are
    MaxSim divided by the number of query tokens (`max_sim`), between -1 and 1 for Cosine; of candidates without the vector
    below -1.5. Token vectors are taken to have length 1 at most, as ColBERT's have.

    Args:
        using: the multivector.
        candidates: what to rescore, e.g. `Nearest("dense", limit=100)`; several need names of their own, as in a formula.
        limit: as of any stage.
        filter: as of any stage.

    Raises:
        StrategyError: there are no candidates, or they can't be told apart.
    """
    if not candidates:
        raise StrategyError(f"late_interaction({using!r}) needs candidates: late_interaction({using!r}, Nearest('dense'))")
    found = sum(CANDIDATES if stage.limit is None else stage.limit for stage in candidates)
    rescored = Nearest(using, name=f"{using}: late interaction", limit=found).over(*candidates)
    lowest = constant(-1.5 - len(candidates))  # so that with each candidate's -1 to 1 it stays below MaxSim's -1
    own = sum((_squashed(candidate, using) for candidate in candidates), lowest)
    expression = max_(max_sim(using, rescored.name, default=_NOT_FOUND), own)
    return Formula(expression, limit=limit, filter=filter).over(rescored, *candidates)


def _squashed(candidate: Stage, using: str) -> Expression:
    """A candidate's score, of whatever size, between -1 and 1."""
    if candidate.title is None:
        raise StrategyError(f"late_interaction({using!r}) needs candidates with names, e.g. Nearest('dense') or name='dense'")
    own = score(candidate.title)
    return divide(own, 1.0 + abs(own), at_zero=0.0)
