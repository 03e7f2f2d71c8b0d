"""Relevance feedback beside plain search and plain reranking of as many documents: whether it helps, at the same budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .. import Rerank, StrategyError
from .._internals import is_whole, warn
from ..feedback import Coefficients, RelevanceFeedback
from ..feedback._internals import DIGITS, MOST_HASHES, READ, known_among
from ..planning import Target
from ..stages import Nearest, Stage
from .options import Ground, Option, Parameter, Scorer, filled
from .pools import Pool
from .rescoring import found_again, fused, unread

__all__ = ["Feedback"]

Given: TypeAlias = Coefficients | RelevanceFeedback


@dataclass(frozen=True)
class Feedback:
    """`RelevanceFeedback` with given coefficients, from several first searches; beside each what it has to beat.

    That is the first search alone, and `Rerank` of as many documents as feedback has scored; where the measure looks at
    more results than a model reads, the rest of the first search follows behind (`unread="last"`). `Tuning.at_budget` says
    which of the three wins.

    Feedback's second search goes through the whole collection, so each option is put to Qdrant: two searches for each topic.
    The model reads each text once for each topic, whichever options ask for it.

    A `PlanWarning`, and the options' `note`, say how many of the topics the coefficients were fitted to, by their provenance.

    Attributes:
        given: coefficients from `fit_feedback`, fitted to this collection and model, or strategies with such, e.g.
            `RelevanceFeedback.load("feedback.json")`; one or several. Take topics that they were not fitted to.
        reads: how many documents are scored for a query in all, in mode "recall"; if None as many as the strategy says (25
            if it doesn't), but not fewer than the measure looks at. In mode "precision" it is the number of seeds.
        bases: first searches, by title; if None those that the strategies have themselves, the baseline, and with several
            candidates DBSF (for distances RRF). What they find must have the dense vector that is compared.

    Raises:
        StrategyError: nothing is given, something else, or coefficients that don't say what they were fitted to.
    """

    given: Given | Sequence[Given]
    reads: int | Sequence[int] | None = None
    bases: tuple[tuple[str, Stage], ...] | None = None
    name: str = "feedback"

    def __post_init__(self) -> None:
        given = (self.given,) if isinstance(self.given, Given) else tuple(self.given)
        if not given:
            raise StrategyError("Feedback needs coefficients, or strategies with some: it doesn't fit them; see fit_feedback")
        object.__setattr__(self, "given", tuple(map(_strategy, given)))
        if self.reads is not None:
            reads = tuple(self.reads) if isinstance(self.reads, Iterable) else (self.reads,)
            object.__setattr__(self, "reads", reads)
            self._check_reads(reads)

    def _check_reads(self, reads: Sequence[int]) -> None:
        if not reads or not all(is_whole(each, 1) for each in reads):
            raise StrategyError(f"the reads of Feedback are whole numbers of at least 1, got {reads!r}")
        if all(strategy.mode == "precision" for strategy in self.strategies):
            raise StrategyError(
                "the reads of Feedback are for mode 'recall'; in mode 'precision' as many documents are scored as there are "
                "seeds, for which the coefficients were fitted"
            )

    @property
    def strategies(self) -> tuple[RelevanceFeedback, ...]:
        """What was given, as strategies."""
        given: Any = self.given
        found: tuple[RelevanceFeedback, ...] = given
        return found

    def options(self, ground: Ground) -> Iterator[Option]:
        if not ground.has_model:
            raise StrategyError("relevance feedback has documents scored by a model: make the executor with reranker=…")
        made: dict[str, Any] = {}  # strategies by name: several coefficients have the same to beat
        searches: dict[str, str] = {}  # of each first search, its title
        for number, given in enumerate(self.strategies, 1):
            strategy = given.resolved(ground.schema)
            which = f" {number}" if len(self.strategies) > 1 else ""
            note = _learned_from(strategy, which, ground)
            if note and not ground.spreads:  # the first of two times that options are asked for
                warn(note)
            for title, base, own in self._bases(strategy, ground):
                same = filled(base, ground.limit)
                if title in searches.values() and same not in searches:
                    title = f"{title} {number}"
                title = searches.setdefault(same, title)
                for option in self._beside(strategy, which, title, base, ground, own, note):
                    if made.get(option.name) != option.strategy:
                        made[option.name] = option.strategy
                        yield option

    def _bases(self, strategy: RelevanceFeedback, ground: Ground) -> Iterator[tuple[str, Stage, bool]]:
        """The first searches with their titles, and whether the strategy must fit with them."""
        if self.bases is not None:
            yield from ((title, base, True) for title, base in self.bases)
            return
        own = replace(strategy.seeds, limit=None)
        yield (ground.title(own) if isinstance(own, Nearest) else "its own search"), own, True
        if isinstance(ground.baseline, Stage):
            yield "the default", ground.baseline, False
        yield from ((title, base, False) for title, base in fused(ground))

    def _beside(
        self, strategy: RelevanceFeedback, which: str, title: str, base: Stage, ground: Ground, own: bool, note: str
    ) -> Iterator[Option]:
        """Plain search, reranking and feedback from one first search."""
        yield Option(f"plain search by {title}", base, "plain search", {"of": title})
        for scored in self._scored(strategy, ground):
            named: dict[str, Parameter] = {"of": title, "scored": scored}
            reranked = Rerank(limit=scored, unread=unread(scored, ground.limit)).over(base)
            yield Option(f"reranking {scored} of {title}", reranked, "reranking", named, complexity=1)
            seeds = replace(base, limit=strategy.seed_count)
            steered = replace(strategy, seeds=seeds, limit=scored if strategy.mode == "recall" else strategy.limit)
            name = f"feedback{which} from {title}, {steered.reads} scored"
            yield Option(name, steered, self.name, named, complexity=3, note=note, must_fit=own)

    def _scored(self, strategy: RelevanceFeedback, ground: Ground) -> Sequence[int]:
        if strategy.mode == "precision":
            return (strategy.seed_count,)
        reads: Any = self.reads
        scored: tuple[int, ...] = reads or (max(strategy.most or READ, ground.limit),)
        return scored

    def ranking(self, option: Option, pool: Pool, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        return found_again(option.strategy, pool, target, limit, scorer)


def _learned_from(strategy: RelevanceFeedback, which: str, ground: Ground) -> str:
    """How many of the topics the coefficients were fitted to; empty if none, or nobody knows."""
    provenance = strategy.weights.provenance
    hashes = "" if provenance is None else provenance.queries
    known = known_among(hashes, ground.queries)
    if not known:
        return ""
    least = "at least " if len(hashes) >= MOST_HASHES * DIGITS else ""
    return (
        f"the coefficients of feedback{which} were fitted to {least}{known} of the {len(ground.queries)} topics "
        f"({known / len(ground.queries):.0%}): what is measured flatters feedback; take topics that they were not fitted to"
    )


def _strategy(given: Any) -> RelevanceFeedback:
    """What was given as a strategy, with the vector that it compares.

    Raises:
        StrategyError: it can't be one.
    """
    if isinstance(given, RelevanceFeedback):
        return given
    if not isinstance(given, Coefficients):
        raise StrategyError(
            f"Feedback takes Coefficients or RelevanceFeedback, got {given!r}; of a file: RelevanceFeedback.load(path)"
        )
    fitted = given.provenance
    if fitted is None:
        raise StrategyError(
            f"{given!r} don't say what they were fitted to, so mode and seeds are unknown: pass "
            "RelevanceFeedback(seeds=…, coefficients=…, mode=…, trust=True)"
        )
    seeds = Nearest(fitted.vector, limit=fitted.seeds)
    return RelevanceFeedback(seeds=seeds, coefficients=given, mode=fitted.mode, using=fitted.vector)
