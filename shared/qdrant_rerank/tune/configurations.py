"""A configuration to try, its costs, and the protocols of families that propose some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from .. import Strategy
from .._internals import Services
from ..evaluate import Qrels
from ..planning import Schema, Target
from ..stages import Stage
from .gathering import Pool, Spread, key_of

__all__ = [
    "DEFAULT",
    "Effort",
    "Family",
    "Ground",
    "Learner",
    "Lessons",
    "Option",
    "Parameter",
    "Scorer",
    "effort_of",
]

Parameter: TypeAlias = "float | int | str"
DEFAULT: Final = "default"
"""What tables call the baseline and its family."""


@dataclass(frozen=True)
class Option:
    """One strategy to try.

    Attributes:
        name: what tables call it, and no other option.
        strategy: the strategy itself, as it would be used.
        family: its family's name.
        parameters: the varied values, by name; for curves and frames.
        complexity: how many settings differ from Qdrant's own; it decides between options of the same mean.
        by_topic: topic → the strategy that ranks it, learned from other topics; empty where `strategy` ranks all.
        note: what its users should know.
        must_fit: whether it is an error if the strategy doesn't fit the collection; else it is left out.
    """

    name: str
    strategy: Strategy
    family: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    complexity: int = 0
    by_topic: Mapping[str, Strategy] = field(default_factory=dict[str, Strategy], repr=False)
    note: str = ""
    must_fit: bool = False

    def of(self, topic: str) -> Option:
        """The option with the strategy that ranks this topic.

        Raises:
            KeyError: other topics have one of their own, this one hasn't.
        """
        return replace(self, strategy=self.by_topic[topic]) if self.by_topic else self


@dataclass(frozen=True)
class Ground:
    """What families propose strategies for.

    Attributes:
        candidates: the plain searches to combine, without limits.
        depths: how many points a candidate may hand on, ascending.
        limit: how many results the measure looks at.
        baseline: the strategy to beat.
        schema: the collection's.
        has_model: whether the executor has a model that reads texts.
        queries: the topics' texts.
        spreads: how the candidates' scores lie, by `key_of` the candidate; empty until the candidates were searched. Families
            are asked before and after, and must propose the same plain searches both times.
    """

    candidates: tuple[Stage, ...]
    depths: tuple[int, ...]
    limit: int
    baseline: Strategy
    schema: Schema
    has_model: bool = False
    queries: tuple[str, ...] = ()
    spreads: Mapping[str, Spread] = field(default_factory=dict)

    def spread(self, candidate: Stage) -> Spread:
        """How a candidate's scores lie."""
        return self.spreads.get(key_of(candidate), Spread(0.0, 1.0))

    def title(self, candidate: Stage) -> str:
        """What names call a candidate."""
        return candidate.title or "the unnamed vector"

    def is_distance(self, candidate: Stage) -> bool:
        """Whether a candidate's scores are distances: lower is better."""
        return self.schema.vectors[candidate.vector or ""].is_distance

    @property
    def has_distances(self) -> bool:
        """Whether any candidate's scores are distances."""
        return any(map(self.is_distance, self.candidates))

    @property
    def deepest(self) -> int:
        return self.depths[-1]

    def deep(self, depth: int) -> tuple[Stage, ...]:
        """The candidates, each handing on `depth` points."""
        return tuple(replace(candidate, limit=depth) for candidate in self.candidates)


class Scorer(Services, Protocol):
    """Scores of the model, for families that need some; `steps.run` takes it for the executor."""

    @property
    def independent(self) -> bool:
        """Whether a text's score is the same whatever texts it is read with, and can be used again."""
        ...

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text; the model reads each pair of query and text only once, within the budget."""
        ...


@runtime_checkable
class Family(Protocol):
    """Strategies of one kind, and how to recompute them.

    To add a kind of strategy to tuning, write a class with these three and put it into the space. Strategies learned from
    judgments must be learned from other topics than those that judge them: see `Learner`.
    """

    @property
    def name(self) -> str:
        """What tables call the family."""
        ...

    def options(self, ground: Ground) -> Iterable[Option]:
        """The strategies to try, the cheapest first: the budget leaves out the last."""
        ...

    def rank(self, option: Option, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        """The first `limit` points (anything with an `id`) that Qdrant would return for the pool's topic.

        None if the candidates don't tell: Qdrant then runs the strategy for every topic, within the budget.
        """
        ...


@dataclass(frozen=True)
class Lessons:
    """What to learn from.

    Attributes:
        pools: the candidates of each topic.
        qrels: the judgments.
        target: the collection.
        seed: of random draws.
    """

    pools: Sequence[Pool]
    qrels: Qrels
    target: Target
    seed: int = 0


@runtime_checkable
class Learner(Family, Protocol):
    """A family whose strategies hold numbers that are learned from judgments.

    Its `options` have the strategies' form before the learning, with the plain searches and payload keys that they read.
    """

    def learn(self, option: Option, ground: Ground, lessons: Lessons) -> Option:
        """The option with the learned strategies: from all topics in `strategy`, from other topics in `by_topic`.

        Raises:
            FitError: there is too little to learn from; the option is left out for that reason.
        """
        ...


@dataclass(frozen=True, order=True)
class Effort:
    """The cost of a query, the dearest first: efforts compare in this order.

    Attributes:
        model_texts: texts that a model reads.
        round_trips: requests to Qdrant, one after the other.
        searches: plain searches in them.
        candidates: points that these hand on.
    """

    model_texts: int
    round_trips: int
    searches: int
    candidates: int


def effort_of(strategy: Strategy, limit: int, schema: Schema) -> Effort:
    """The cost of one query for `limit` results, with the round trips of several shards, e.g. of MMR for its candidates."""
    leaves = [stage for stage in strategy.stages() if not stage.candidates]
    alone = isinstance(strategy, Stage) and not strategy.candidates
    handed_on = limit if alone else sum(leaf.reach(limit) for leaf in leaves)
    trips = strategy.cost.round_trips + strategy.shard_round_trips(schema)
    return Effort(strategy.cost.model_calls, trips, len(leaves), handed_on)
