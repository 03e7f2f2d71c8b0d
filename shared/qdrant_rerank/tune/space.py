"""Which configurations are tried: the space's families and depths, and of what they propose whatever fits the collection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .. import Executor, PlanError, QdrantRerankError, QueryError, SearchOptions, Strategy, StrategyError
from .._internals import brief, is_whole, plan_on
from ..errors import FitError, MissingExtra
from ..evaluate import Topic
from ..evaluate._internals import id_payload
from ..planning import Schema, Target
from ..stages import Fusion, Nearest, Stage
from .configurations import Family, Ground, Learner, Lessons, Option, Scorer
from .families import Dbsf, Rrf, SingleLegs, WeightedSum
from .gathering import Pool, Wants, key_of, leaf_depths
from .learned import Learned
from .recomputing import Rescored, is_local, is_recomputable, reads_payload, recompute_any
from .results import LeftOut

__all__ = [
    "DEFAULT",
    "Proposals",
    "Space",
    "default_strategy",
    "find_candidates",
    "check_candidates",
    "propose",
    "teach",
    "wants_of",
]


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


def check_candidates(candidates: Sequence[Any], schema: Schema) -> tuple[Stage, ...]:
    """The candidates that a caller names, as plain searches of this collection.

    Raises:
        StrategyError: one isn't a plain search, or two are called the same, or there are none.
    """
    resolved: list[Stage] = []
    for candidate in candidates:
        if not isinstance(candidate, Stage) or not candidate.is_search or candidate.candidates:
            raise StrategyError(
                f"a candidate is a plain search, Nearest(name), got {brief(candidate)}; put other strategies into the space"
            )
        resolved.append(candidate.resolve(schema))
    titles = [candidate.title for candidate in resolved]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise StrategyError(f"two candidates are called {twice[0]!r}: tell them apart with Nearest(…, name=…)")
    if not resolved:
        raise StrategyError("candidates is empty: name at least one, e.g. Nearest('dense'), or leave it out")
    return tuple(resolved)


def find_candidates(executor: Executor, topics: Sequence[Topic]) -> tuple[Stage, ...]:
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


def default_strategy(candidates: Sequence[Stage]) -> Strategy:
    """What is used where nobody chose: Qdrant's own rank fusion, or the only candidate."""
    return Fusion.rrf().over(*candidates) if len(candidates) > 1 else candidates[0]


DEFAULT: Final = "default"
"""What tables call the baseline, and the family that it is of."""
_EVERYTHING = 10_000


@dataclass(frozen=True)
class _Baseline:
    """The family of the baseline alone."""

    name: str = DEFAULT

    def options(self, ground: Ground) -> Iterable[Option]:
        return (Option(DEFAULT, ground.baseline, DEFAULT, complexity=-1),)

    def ranking(self, option: Option, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        return recompute_any(option.strategy, pool, target, limit, scorer)


@dataclass(frozen=True)
class Proposals:
    """The options, each with its family, the baseline first; and those that don't fit the collection."""

    options: tuple[tuple[Family, Option], ...]
    left_out: tuple[LeftOut, ...]


def propose(space: Space, ground: Ground, target: Target) -> Proposals:
    """What the families propose.

    Raises:
        PlanError: the baseline doesn't fit the collection, or an option that must.
        StrategyError: two options are called the same.
    """
    found: list[tuple[Family, Option]] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    names: set[str] = set()
    for family in (_Baseline(), *space.families):
        for option in family.options(ground):
            if option.name in names:
                raise StrategyError(f"two configurations are called {option.name!r}: give the families names of their own")
            names.add(option.name)
            try:
                checked = plan_on(option.strategy, target, SearchOptions(limit=ground.limit))
            except (PlanError, StrategyError) as error:
                if option.name == DEFAULT or option.must_fit:
                    raise
                left_out.append(LeftOut(option.name, f"it doesn't fit: {error}".replace("\n", "; ")))
                continue
            same = checked.strategy.fill_limits(ground.limit)
            if isinstance(family, Learner) or same not in seen:  # e.g. the baseline is in the space, too
                seen.add(same)
                found.append((family, replace(option, strategy=checked.strategy)))
    return Proposals(tuple(found), tuple(left_out))


def teach(proposed: Proposals, ground: Ground, lessons: Lessons) -> Proposals:
    """The options with what is learned from judgments; those that too little can be learned for are left out."""
    found: list[tuple[Family, Option]] = []
    left_out = list(proposed.left_out)
    for family, option in proposed.options:
        if not isinstance(family, Learner):
            found.append((family, option))
            continue
        try:
            found.append((family, family.learned(option, ground, lessons)))
        except (FitError, MissingExtra) as error:
            left_out.append(LeftOut(option.name, str(error)))
        except QdrantRerankError as error:  # e.g. a request-time value that a topic lacks
            left_out.append(LeftOut(option.name, f"{type(error).__name__}: {error}"))
    return Proposals(tuple(found), tuple(left_out))


def wants_of(options: Iterable[tuple[Family, Option]], ground: Ground, doc_id: Any) -> Wants:
    """The plain searches that the options are recomputed from, each as deep as the deepest of them needs."""
    leaves: dict[str, tuple[Stage, int]] = {
        key_of(candidate): (candidate, max(ground.deepest, ground.limit)) for candidate in ground.candidates
    }
    payload = False
    for family, option in options:
        below, needed = _below(option.strategy, ground.limit)
        # a learner learns from the candidates, however its strategies are put to Qdrant
        if below is None or not (is_local(below) if isinstance(family, Learner) else is_recomputable(below, ground.schema)):
            continue
        payload = payload or reads_payload(option.strategy)
        for key, (leaf, depth) in leaf_depths(below, needed).items():
            there = leaves.get(key)
            leaves[key] = (leaf, depth) if there is None else (there[0], max(depth, there[1]))
    return Wants(leaves, True if payload else id_payload(doc_id))


def _below(strategy: Strategy, limit: int) -> tuple[Stage | None, int]:
    """The stage that Qdrant runs, and how many points it is asked for."""
    below = strategy.first_search
    if strategy.model_use == "steer" or not isinstance(below, Stage):
        return None, limit
    return below, strategy.candidate_options(SearchOptions(limit=limit)).limit
