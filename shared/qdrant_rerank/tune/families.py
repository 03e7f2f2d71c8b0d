"""The families of strategies: single candidates, fusions, weighted sums, MMR, grids of a user's own, reranking, feedback."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, TypeAlias

from .. import Rerank, Strategy, StrategyError
from .._internals import DEFAULT_RRF_K, HASH_DIGITS, MOST_HASHES, RECALL_READS, Unread, brief, count_known, is_whole, warn
from ..expressions import Expression, score
from ..feedback import Coefficients, RelevanceFeedback
from ..planning import Target
from ..stages import Formula, Fusion, Mmr, Stage
from .configurations import DEFAULT, Option, Parameter, Scorer, Setting
from .gathering import TopicHits
from .trial import recompute_any


class _Recomputed:
    """Families whose strategies may be recomputed from the candidates."""

    def rank(self, option: Option, topic_hits: TopicHits, target: Target, limit: int, scorer: Scorer) -> Sequence[Any] | None:
        return recompute_any(option.strategy, topic_hits, target, limit, scorer)


@dataclass(frozen=True)
class Baseline(_Recomputed):
    """The baseline alone."""

    name: str = DEFAULT

    def options(self, setting: Setting) -> Iterable[Option]:
        return (Option(DEFAULT, setting.baseline, DEFAULT, complexity=-1),)


@dataclass(frozen=True)
class SingleCandidates(_Recomputed):
    """Each candidate by itself."""

    name: str = "single candidates"

    def options(self, setting: Setting) -> Iterator[Option]:
        for candidate in setting.candidates:
            title = setting.title(candidate)
            yield Option(f"{title} alone", replace(candidate, limit=None), self.name, {"candidate": title})


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

    def options(self, setting: Setting) -> Iterator[Option]:
        if len(setting.candidates) < 2:
            return
        for depth, k in itertools.product(setting.depths, self.ks):
            yield self._option(setting, depth, k, None)
        for k, weights in itertools.product(self.ks, self._weights(len(setting.candidates))):
            yield self._option(setting, setting.deepest, k, weights)

    def _weights(self, candidates: int) -> Iterator[tuple[float, ...]]:
        for ratio, favoured in itertools.product(self.ratios, range(candidates)):
            yield tuple(ratio if candidate == favoured else 1.0 for candidate in range(candidates))

    def _option(self, setting: Setting, depth: int, k: int, weights: tuple[float, ...] | None) -> Option:
        own = k != DEFAULT_RRF_K
        listed = ":".join(f"{weight:g}" for weight in weights or ())
        named: dict[str, Parameter] = {"k": k, "weights": listed or "equal", "depth": depth}
        strategy = Fusion.rrf(k if own else None, weights).over(*setting.deep(depth))
        complexity = int(own) + max(len(weights or ()) - 1, 0)
        title = f"RRF k={k}{f', weights {listed}' if listed else ''}, {depth} a candidate"
        return Option(title, strategy, self.name, named, complexity)


@dataclass(frozen=True)
class Dbsf(_Recomputed):
    """Distribution-based score fusion of all candidates, at each depth."""

    name: str = "DBSF"

    def options(self, setting: Setting) -> Iterator[Option]:
        if len(setting.candidates) < 2 or setting.has_distances:
            return  # it takes high scores for good
        for depth in setting.depths:
            yield Option(f"DBSF, {depth} a candidate", Fusion.dbsf().over(*setting.deep(depth)), self.name, {"depth": depth})


@dataclass(frozen=True)
class WeightedSum(_Recomputed):
    """The candidates' scores added in a formula: `w * score(a) + (1 - w) * r * score(b)`, at the deepest depth.

    r brings the candidates to one scale: the ratio of their scores' standard deviations within a topic, median over the topics.
    A point that a candidate did not find gets the candidate's lowest score, likewise. Both are numbers in the formula, so that
    Qdrant runs it as it was measured; neither reads judgments.

    Attributes:
        steps: into how many steps a weight from 0 to 1 is divided.
    """

    steps: int = 10
    name: str = "weighted sum"

    def options(self, setting: Setting) -> Iterator[Option]:
        count = len(setting.candidates)
        titles = [setting.title(candidate) for candidate in setting.candidates]
        if count < 2 or len(set(titles)) < count:
            return
        steps = self.steps if count == 2 else max(count, self.steps // 2)  # with three candidates the grid is a triangle
        for parts in itertools.product(range(1, steps), repeat=count):
            if sum(parts) == steps:
                shares = [part / steps for part in parts]
                written = " + ".join(f"{share:.2g} {title}" for share, title in zip(shares, titles, strict=True))
                weights = {f"weight of {title}": share for title, share in zip(titles, shares, strict=True)}
                strategy = Formula(self._sum(setting, shares)).over(*setting.deep(setting.deepest))
                yield Option(f"sum {written}", strategy, self.name, {**weights, "depth": setting.deepest}, 3 * count - 3)

    def _sum(self, setting: Setting, shares: Sequence[float]) -> Expression:
        unit = setting.spread(setting.candidates[0]).deviation
        weighed = (
            _round(share * unit / setting.spread(candidate).deviation) * score_of(candidate, setting)
            for candidate, share in zip(setting.candidates, shares, strict=True)
        )
        return reduce(add, weighed)


@dataclass(frozen=True)
class Diverse(_Recomputed):
    """MMR over the baseline's candidates. It compares points with each other, so Qdrant runs each option.

    Attributes:
        diversities: from 0, pure relevance, to 1.
        using: the dense vector; the collection's only one if None.
    """

    diversities: tuple[float, ...] = (0.1, 0.3, 0.5)
    using: str | None = None
    name: str = "MMR"

    def options(self, setting: Setting) -> Iterator[Option]:
        if not isinstance(setting.baseline, Stage):
            return
        for diversity in self.diversities:
            strategy = Mmr(self.using, diversity=diversity).over(setting.baseline)
            yield Option(f"MMR {diversity:g} over the default", strategy, self.name, {"diversity": diversity}, 1)


@dataclass(frozen=True)
class Grid(_Recomputed):
    """Strategies of a user's own with free parameters, whose values are tried in every combination.

        Grid("freshness", lambda days, weight: Formula(score("dense") + weight * decay_exp(…, scale=days * 86400)).over(…),
             {"days": [7, 30, 90], "weight": [0.05, 0.1, 0.2]})

    Attributes:
        name: what tables call it.
        make: a function of the parameters that returns a strategy.
        values: the values of each parameter, the cheapest or plainest first.
        complexity: how many settings differ from Qdrant's own, which decides between strategies of the same mean; the number
            of parameters if None.

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

    def options(self, setting: Setting) -> Iterator[Option]:
        for combination in itertools.product(*self.values.values()):
            chosen = dict(zip(self.values, combination, strict=True))
            strategy = self.make(**chosen)
            if not isinstance(strategy, Strategy):
                raise StrategyError(f"grid {self.name!r}: make(**{chosen!r}) must return a strategy, got {brief(strategy)}")
            written = ", ".join(f"{name}={value}" for name, value in chosen.items())
            complexity = len(chosen) if self.complexity is None else self.complexity
            yield Option(f"{self.name} {written}".strip(), strategy, self.name, chosen, complexity)


def score_of(candidate: Stage, setting: Setting) -> Expression:
    """A candidate's score; a point that it didn't find gets its usual lowest one."""
    low = _round(setting.spread(candidate).low)
    if setting.is_distance(candidate):
        low = low or -1e-6  # 0 would be the best there is
    return score(candidate.title, default=low)


def _round(number: float) -> float:
    """Three digits are enough for a formula that people read."""
    return float(f"{number:.3g}")


@dataclass(frozen=True)
class Reranked(_Recomputed):
    """`Rerank` over some strategies, at several depths. Needs an executor with a model.

    Attributes:
        depths: how many candidates the model reads.
        bases: the strategies below, by title; if None the baseline, the first candidate and, with several candidates, DBSF
            (for distances RRF).
    """

    depths: tuple[int, ...] = (10, 20, 50)
    bases: tuple[tuple[str, Strategy], ...] | None = None
    name: str = "reranking"

    def options(self, setting: Setting) -> Iterator[Option]:
        if not setting.has_reranker:
            return
        for depth, (title, base) in itertools.product(self.depths, self._bases(setting)):
            strategy = Rerank(reads=depth, unread=_unread(depth, setting.limit)).over(base)
            yield Option(f"reranker reads {depth} of {title}", strategy, self.name, {"reads": depth, "of": title}, 1)

    def _bases(self, setting: Setting) -> Sequence[tuple[str, Strategy]]:
        if self.bases is not None:
            return self.bases
        bases: list[tuple[str, Strategy]] = []
        if setting.baseline.model_use != "rank":
            bases.append(("the default", setting.baseline))
        bases.append((f"{setting.title(setting.candidates[0])} alone", setting.candidates[0]))
        return [*bases, *_fuse_candidates(setting)]


def _unread(reads: int, limit: int) -> Unread:
    """Candidates that the model doesn't read are kept where the measure looks at so many results."""
    return "last" if reads < limit else "drop"


def _fuse_candidates(setting: Setting) -> Iterator[tuple[str, Stage]]:
    """The candidates in a fusion that has no settings, if there are several, with its name: DBSF, for distances RRF."""
    if len(setting.candidates) > 1:
        title, fusion = ("RRF", Fusion.rrf()) if setting.has_distances else ("DBSF", Fusion.dbsf())
        yield title, fusion.over(*setting.candidates)


Given: TypeAlias = Coefficients | RelevanceFeedback


@dataclass(frozen=True)
class Feedback(_Recomputed):
    """`RelevanceFeedback` with given coefficients, from several first searches; beside each what it has to beat.

    That is the first search alone, and `Rerank` of as many documents as feedback has scored; where the measure looks at more
    results than a model reads, the rest of the first search follows (`unread="last"`). `Tuning.at_budget` names the winner.

    Feedback's second search goes through the whole collection, so Qdrant runs each option: two searches for each topic. The
    model reads each text once for each topic, whichever options ask for it. A `PlanWarning`, and the options' `note`, say how
    many of the topics the coefficients were fitted to, by their provenance.

    Attributes:
        given: coefficients from `fit_feedback`, fitted to this collection and model but not to these topics, or strategies
            with such, e.g. `RelevanceFeedback.load("feedback.json")`; one or several.
        reads: how many documents are scored for a query in all, in mode "recall"; if None the strategy's number (25 if it has
            none), but not fewer than the measure looks at. In mode "precision" it is the number of seeds.
        bases: first searches, by title; if None the strategies' own, the baseline, and with several candidates DBSF (for
            distances RRF). Their points must have the dense vector that is compared.

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
        object.__setattr__(self, "given", tuple(map(RelevanceFeedback.of, given)))
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

    def options(self, setting: Setting) -> Iterator[Option]:
        if not setting.has_reranker:
            raise StrategyError("relevance feedback has documents scored by a model: make the executor with reranker=…")
        made: dict[str, Any] = {}  # strategies by name: several coefficients have the same to beat
        searches: dict[str, str] = {}  # first search → title
        for number, given in enumerate(self.strategies, 1):
            strategy = given.resolve(setting.schema)
            which = f" {number}" if len(self.strategies) > 1 else ""
            note = _learned_from(strategy, which, setting)
            if note and not setting.spreads:  # the first of two times that options are asked for
                warn(note)
            for title, base, own in self._bases(strategy, setting):
                same = base.fill_limits(setting.limit)
                if title in searches.values() and same not in searches:
                    title = f"{title} {number}"
                title = searches.setdefault(same, title)
                for option in self._beside(strategy, which, title, base, setting, own, note):
                    if made.get(option.name) != option.strategy:
                        made[option.name] = option.strategy
                        yield option

    def _bases(self, strategy: RelevanceFeedback, setting: Setting) -> Iterator[tuple[str, Stage, bool]]:
        """The first searches with their titles, and whether it is an error if the strategy doesn't fit with them."""
        if self.bases is not None:
            yield from ((title, base, True) for title, base in self.bases)
            return
        own = replace(strategy.seeds, limit=None)
        yield (setting.title(own) if own.is_search else "its own search"), own, True
        if isinstance(setting.baseline, Stage):
            yield "the default", setting.baseline, False
        yield from ((title, base, False) for title, base in _fuse_candidates(setting))

    def _beside(
        self, strategy: RelevanceFeedback, which: str, title: str, base: Stage, setting: Setting, own: bool, note: str
    ) -> Iterator[Option]:
        """Plain search, reranking and feedback from one first search."""
        yield Option(f"plain search by {title}", base, "plain search", {"of": title})
        for scored in self._list_reads(strategy, setting):
            named: dict[str, Parameter] = {"of": title, "scored": scored}
            reranked = Rerank(reads=scored, unread=_unread(scored, setting.limit)).over(base)
            yield Option(f"reranking {scored} of {title}", reranked, "reranking", named, complexity=1)
            seeds = replace(base, limit=strategy.seed_count)
            steered = replace(strategy, seeds=seeds, limit=scored if strategy.mode == "recall" else strategy.limit)
            name = f"feedback{which} from {title}, {steered.reads} scored"
            yield Option(name, steered, self.name, named, complexity=3, note=note, must_fit=own)

    def _list_reads(self, strategy: RelevanceFeedback, setting: Setting) -> Sequence[int]:
        if strategy.mode == "precision":
            return (strategy.seed_count,)
        reads: Any = self.reads
        scored: tuple[int, ...] = reads or (max(strategy.most or RECALL_READS, setting.limit),)
        return scored


def _learned_from(strategy: RelevanceFeedback, which: str, setting: Setting) -> str:
    """A note on how many of the topics the coefficients were fitted to; "" if none, or nobody knows."""
    provenance = strategy.weights.provenance
    hashes = "" if provenance is None else provenance.queries
    known = count_known(hashes, setting.queries)
    if not known:
        return ""
    least = "at least " if len(hashes) >= MOST_HASHES * HASH_DIGITS else ""
    return (
        f"the coefficients of feedback{which} were fitted to {least}{known} of the {len(setting.queries)} topics "
        f"({known / len(setting.queries):.0%}): what is measured flatters feedback; take topics that they were not fitted to"
    )
