"""Nearest points by a vector: search, rescoring of candidates, and late interaction that loses none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

from qdrant_client import models

from ..errors import Lint, StrategyError, did_you_mean
from ..expressions.build import constant, divide, max_, max_sim, score
from ..expressions.nodes import Expression
from ..query import Inputs, SearchOptions, Target, both
from ..schema import Schema
from ..search import search
from ..steps import Flow, together
from ..strategies import CANDIDATES, Stage
from .formula import Formula


@dataclass(frozen=True, repr=False)
class VectorStage(Stage):
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

    def resolve(self, schema: Schema) -> Self:
        stage = super().resolve(schema)
        return stage if stage.using is not None else replace(stage, using=schema.only_dense())

    def over_collection(self, inputs: Inputs, options: SearchOptions) -> Flow[Stage]:
        if not self.candidates or inputs.target.schema.shards_of(options.shard_key_selector) <= 1:
            return self
        found = yield from self.find_ids(self.candidates, inputs, options)
        return self.restrict_to(found)

    @property
    def collection_round_trips(self) -> int:
        return 1 + max(candidate.collection_round_trips for candidate in self.candidates) if self.candidates else 0

    def find_ids(
        self, candidates: Sequence[Stage], inputs: Inputs, options: SearchOptions
    ) -> Flow[list[models.ExtendedPointId]]:
        """The ids of what these candidates find in the whole collection, each once."""
        by_itself = [candidate.alone(options.needed, self.filter) for candidate in candidates]
        stages = yield from together([stage.over_collection(inputs, options) for stage in by_itself])
        answers = yield from search(
            lambda: [stage.request(inputs, stage.alone_options(options)) for stage in stages], options, inputs.target
        )
        return list(dict.fromkeys(point.id for points in answers for point in points))

    def restrict_to(self, ids: Sequence[models.ExtendedPointId]) -> Self:
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
class Nearest(VectorStage, kind="nearest"):
    """The points whose vector is nearest to the query's: search, or with `.over(...)` rescoring of candidates.

    Works for dense, sparse and multivectors. `using` is the vector's name; None means the collection's only dense
    vector, `""` the unnamed one. Scores are Qdrant's: similarity for Cosine and Dot, distance for Euclid and Manhattan.
    """

    is_search: ClassVar[bool] = True

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        assert self.using is not None
        return models.NearestQuery.model_construct(nearest=inputs.vectors[self.using], mmr=None)

    def own_warnings(self, target: Target) -> Iterator[Lint]:
        if self.candidates:
            keep = f"late_interaction({self.using!r}, …) keeps them, last"
            info = target.schema.vectors.get(self.using or "")
            hint = f": {keep}" if info is not None and info.kind == "multi" else ""
            yield Lint("vanishing-points", f"candidates without the vector {self.using!r} vanish from this rescoring{hint}")


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
