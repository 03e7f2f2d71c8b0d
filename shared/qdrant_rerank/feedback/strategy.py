"""`RelevanceFeedback` as a value: its arguments, its costs, and why it may not fit. How it runs is in `rounds.py`.

Coefficients mean nothing for a reranker that reads other texts than in the fit, e.g. without titles or with metadata. Sources
that are written differently may read the same of a collection: a few of its points decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from os import PathLike
from typing import Any, ClassVar, Final, Self, get_args

from qdrant_client import models

from ..capabilities import AbilityName
from ..errors import FormatError, Lint, OnError, StrategyError, did_you_mean
from ..explain.results import CandidateHit, Explained
from ..jsonlines import parse_json, read_text
from ..payload import TextSource
from ..query import Inputs, Query, SearchOptions, Target
from ..schema import Schema
from ..serialise import from_json
from ..stages.nearest import Nearest
from ..steps import Flow, Points, Request, Search
from ..strategies import Cost, Latest, ModelUse, Stage, Strategy
from ..trained import random_points
from ..values import brief, is_whole, literal
from .coefficients import LEAST_SEEDS, Coefficients, Mode, read_coefficients
from .rounds import (
    FeedbackCandidates,
    drop_extras,
    find_compared,
    find_reasons,
    plain_query,
    precise_options,
    recall_options,
    run_rounds,
)

SEEDS = 5
"""How many documents the reranker scores in the first round where the seeds set no limit."""
RECALL_READS = 25
"""How many documents it scores in all in mode "recall" where no limit is set."""
MANY_SEEDS = 8
"""More seeds than this are seldom worth what they cost."""

_PLAIN = Nearest(limit=SEEDS)
_FOLDABLE = (models.Distance.COSINE, models.Distance.DOT)


@dataclass(frozen=True, kw_only=True, repr=False)
class RelevanceFeedback(Strategy, kind="relevance_feedback"):
    """A search steered by a reranker's scores of the first results, so that it finds what the best have in common.

    In the first round the executor's model scores the best `seeds` of a first search. Their vectors, weighed by all pairs of
    different scores, shift the query's vector for the second search; each round is one request. Results note
    `surfaced_by_feedback` (whether the first search would not have returned them within the call's limit), `documents_scored`,
    `feedback_score` if the model scored them, and `not_steered` with the reason where the first search's results are returned
    as they are.

    Args:
        seeds: the first search, any stage; its limit is how many documents are scored (5 if None).
        coefficients: from `fit_feedback`, for this collection, model, mode and number of seeds; `Coefficients(1, 0, 0)`,
            which is plain search, may be used without.
        mode: "precision": the second search's results as they are, seeds included, with the formula's scores. "recall": seeds
            are kept out of the second search, the model scores all that it finds too, and all are ranked by the model.
        limit: how many points it returns at most. In mode "recall" (25 if None) each is scored, seeds included, so it equals
            the budget of `Rerank(reads=…)`; in mode "precision" as many as the call asks for if None.
        using: the dense vector that is compared; if None, that of the seeds or the collection's only one.
        within: the second request, with a `FeedbackCandidates` for the steered search, e.g.
            `Fusion.rrf().over(FeedbackCandidates(limit=100), Nearest("bm25", limit=100))`; only the steered search if None.
        on_error: when the model fails, "raise" its error, or "keep_order": return the points so far in the order of the
            search, flagged, and warn.
        native: whether to send Qdrant's own relevance feedback query, for servers since 1.17, instead of one folded vector.
            Both give the same results for Cosine and Dot, the folded one several times faster; other distances always use the
            native one.
        trust: use the coefficients although they were not fitted, or fitted to something else.

    Raises:
        StrategyError: an argument is wrong.
    """

    fetches_payload: ClassVar[bool] = True
    model_use: ClassVar[ModelUse] = "steer"

    seeds: Stage = _PLAIN
    coefficients: Coefficients | None = None
    mode: Mode = "precision"
    limit: int | None = None
    using: str | None = None
    within: Stage | None = None
    on_error: OnError = "raise"
    native: bool = False
    trust: bool = False

    def __post_init__(self) -> None:
        check_kinds(self)
        check_numbers(self)
        check_coefficients(self)

    @classmethod
    def load(cls, path: str | PathLike[str], *, trust: bool = False, within: Stage | None = None) -> RelevanceFeedback:
        """The strategy in a JSON file: one that `fit_feedback(…).save` or `save` wrote, or a file of coefficients, as in `of`.

        Args:
            path: of the file.
            trust: whether to use the coefficients although they were fitted to something else; as the file says if False.
            within: the second request, as for `RelevanceFeedback`; as the file says if None.

        Raises:
            FormatError: it holds no such strategy; gives the line.
            OSError: it can't be read.
            StrategyError: `within` has no `FeedbackCandidates`.
        """
        text = read_text(path)
        coefficients = read_coefficients(text, path)
        if (value := parse_json(text, path)).get("kind") == "relevance_feedback":
            if trust and "trust" not in value:  # on the first line, so that messages name the right ones
                text = text.replace("{", '{"trust": true, ', 1)
            found = from_json(text, path)
            assert isinstance(found, RelevanceFeedback)
            return replace(found, trust=trust or found.trust, within=found.within if within is None else within)
        if coefficients.provenance is None:
            raise FormatError(
                "these coefficients don't say what they were fitted to: make the strategy of them in Python", path
            )
        return replace(cls.of(coefficients), within=within, trust=trust)

    @classmethod
    def of(cls, value: RelevanceFeedback | Coefficients) -> RelevanceFeedback:
        """The strategy itself; coefficients as they were fitted: in that mode, on the best points of a plain search.

        Raises:
            StrategyError: it is neither, or they don't say what they were fitted to.
        """
        if isinstance(value, RelevanceFeedback):
            return value
        if not isinstance(value, Coefficients):
            raise StrategyError(
                f"RelevanceFeedback.of takes Coefficients or RelevanceFeedback, got {value!r}; "
                "RelevanceFeedback.load(path) reads a file"
            )
        if (fitted := value.provenance) is None:
            raise StrategyError(
                f"{value!r} don't say what they were fitted to, so mode and seeds are unknown: pass "
                "RelevanceFeedback(seeds=…, coefficients=…, mode=…, trust=True)"
            )
        return cls(seeds=Nearest(fitted.vector, limit=fitted.seeds), coefficients=value, mode=fitted.mode)

    # What it is made of

    @property
    def weights(self) -> Coefficients:
        """The coefficients, checked."""
        assert self.coefficients is not None
        return self.coefficients

    @property
    def seed_count(self) -> int:
        """How many documents the first round scores."""
        return SEEDS if self.seeds.limit is None else self.seeds.limit

    @property
    def reads(self) -> int:
        """How many documents the model scores in all, at most."""
        if self.mode == "recall":
            return self.most or 0
        return 0 if self.idle else self.seed_count

    @property
    def most(self) -> int | None:
        """How many points it returns at most; None for as many as a call asks for."""
        return RECALL_READS if self.limit is None and self.mode == "recall" else self.limit

    @property
    def idle(self) -> bool:
        """Whether the seeds have no effect on the second search."""
        return self.weights.c == 0.0

    @property
    def compared(self) -> str:
        """The name of the compared vector (of a resolved strategy)."""
        assert self.using is not None
        return self.using

    @property
    def root(self) -> Stage:
        """The second request."""
        return self._steered if self.within is None else self.within

    @cached_property
    def _steered(self) -> Stage:
        return FeedbackCandidates(using=self.using)

    @property
    def cost(self) -> Cost:
        return Cost(2 if self.reads or self.within is not None else 1, self.reads)

    def needs(self) -> frozenset[str]:
        return self.seeds.needs() | self.root.needs()

    def resolve(self, schema: Schema) -> Self:
        seeds = self.seeds.resolve(schema)
        using = self.using if self.using is not None else find_compared(seeds, schema)
        info = schema.vectors.get(using or "")
        native = self.native or (info is not None and info.kind == "dense" and info.distance not in _FOLDABLE)
        within = None if self.within is None else self.within.resolve(schema).place(using)
        return replace(self, seeds=seeds, using=using, within=within, native=native)

    def stages(self) -> Iterator[Stage]:
        yield from self.seeds.stages()
        yield from self.root.stages()

    def abilities(self) -> frozenset[AbilityName]:
        own: frozenset[AbilityName] = frozenset({"relevance_feedback"} if self.native else ())
        return super().abilities() | own

    def problems(self, target: Target) -> Iterator[str]:
        yield from find_problems(self, target)

    def warnings(self, target: Target) -> Iterator[Lint]:
        yield from self.seeds.warnings(target)
        yield from self.root.inner_warnings(target)
        fitted = self.weights.provenance
        if fitted is not None and fitted.recommends not in (None, "feedback"):
            better = "plain search" if fitted.recommends == "plain" else "plain reranking (Rerank)"
            yield Lint("not-recommended", f"when these coefficients were fitted, {better} did as well or better: use that")
        if fitted is not None and not self.trust and (doubt := text_doubt(fitted.text, target)):
            yield Lint("other-text", doubt)
        if fitted is not None and not self.trust and self.using is not None:  # without a vector, a problem says so
            yield from fitted.doubts(self.using, target)
        if self.seed_count > MANY_SEEDS:
            slower = f", and the native query makes {self.seed_count**2} comparisons a point" if self.native else ""
            yield Lint(
                "many-seeds",
                f"the model scores {self.seed_count} seeds before the second search{slower}: 3 to 5 do nearly as well",
            )

    def look(self, target: Target, options: SearchOptions) -> Flow[Target]:
        fitted = self.weights.provenance
        if fitted is not None and not self.trust:
            target = yield from look_at_texts(fitted.text, target, options)
        return (yield from super().look(target, options))

    def shard_warnings(self, schema: Schema) -> Iterator[Lint]:
        warnings = [lint for part in (self.seeds, self.root) for lint in part.shard_warnings(schema)]
        yield from {str(lint): lint for lint in warnings}.values()

    def shard_round_trips(self, schema: Schema) -> int:
        asked = [self.seeds, self.root] if self.cost.round_trips > 1 else [self.seeds]
        return sum(stage.shard_round_trips(schema) for stage in asked)

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        if options.group_by is not None:
            yield "group_by can't be combined with RelevanceFeedback: groups have no vectors to learn from"
            return
        if self.most is not None and options.reach > self.most:
            yield (
                f"the call asks for {options.reach} points, but RelevanceFeedback returns {self.most}: raise its limit, or ask "
                "for fewer"
            )
        yield from self.seeds.shortfalls(self.seed_count, "RelevanceFeedback scores")
        if self.within is not None and self.mode == "precision":
            yield from self.within.shortfalls(options.reach, "the call asks for", options.needed)
        elif self.within is not None:
            yield from self.within.shortfalls(self.reads, "the call asks for")

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield from self.seeds.first_requests(inputs, self.seed_options(options))

    def later_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        """The second search; the query's own vector stands for the steered one, and the seeds' number for their ids."""
        if self.cost.round_trips == 1:
            return
        if self.mode == "recall":
            seeds = models.HasIdCondition(has_id=[f"… the {self.seed_count} seeds"])
            options = recall_options(options, self.reads - self.seed_count, seeds)
        else:
            options = precise_options(options, self.root, inputs.target.schema)
        query = plain_query(self.weights, self.native, inputs.vectors[self.compared])
        yield self.root.request(replace(inputs, steering=query), self.root.widen(options))

    def abbreviations(self) -> Iterator[tuple[str, str]]:
        yield from super().abbreviations()
        numbers = ", ".join(f"{name}={getattr(self.weights, name):.4g}" for name in ("a", "b", "c"))
        yield repr(self.weights), f"Coefficients({numbers})"

    @property
    def first_search(self) -> Strategy:
        return self.seeds

    def uncheck(self) -> Self:
        return replace(self, trust=True, seeds=self.seeds.uncheck())

    def seed_options(self, options: SearchOptions) -> SearchOptions:
        """The options of the first search: the seeds, and its own results within the call, with vectors and text."""
        return self._latest_options.get(lambda: self._make_seed_options(options), options)

    @cached_property
    def _latest_options(self) -> Latest[SearchOptions]:
        return Latest()

    def _make_seed_options(self, options: SearchOptions) -> SearchOptions:
        vectors: models.WithVector = True
        if self.using and not isinstance(options.with_vectors, bool):
            vectors = list(dict.fromkeys([*options.with_vectors, self.using]))
        elif self.using and options.with_vectors is False:
            vectors = [self.using]
        limit, page = max(self.seed_count, options.reach), max(self.seed_count, options.needed)
        return replace(
            options, limit=limit, page=page, offset=None, score_threshold=None, with_payload=True, with_vectors=vectors
        )

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        return [*(yield from run_rounds(self, query, options, target)).points]

    def explain(self, query: Query, options: SearchOptions, target: Target) -> Flow[Explained]:
        """Where the first search had each result, and what adds up to its score."""
        rounds = yield from run_rounds(self, query, options, target, explaining=True)
        if self.within is not None and self.mode == "precision":
            found = yield from self.root.reasons([*rounds.points], rounds.candidates, rounds.found, rounds.inputs, options)
        else:
            found = tuple(find_reasons(self, rounds, options))
        before = {point.id: (rank, point.score) for rank, point in enumerate(rounds.first, 1)}
        reasons = tuple(
            replace(reason, candidates=(CandidateHit("first search", *before.get(reason.id, (None, None))), *reason.candidates))
            for reason in found
        )
        return Explained([drop_extras(point, options) for point in rounds.points], reasons, rounds.steering, rounds.first)

    def __repr__(self) -> str:
        changed = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != each.default}
        return f"RelevanceFeedback({', '.join(f'{name}={literal(value)}' for name, value in changed.items())})"


_FIT = "fit them to your collection and model with qdrant_rerank.learn.fit_feedback"


def check_kinds(strategy: RelevanceFeedback) -> None:
    """Refuse values of the wrong type. Raises StrategyError."""
    seeds, within = strategy.seeds, strategy.within
    if not isinstance(seeds, Stage):
        raise StrategyError(
            f"the seeds of RelevanceFeedback come from a stage, which Qdrant runs by itself, got {brief(seeds)}; the model "
            "reads them anyhow"
        )
    if any(_candidates(seeds)):
        raise StrategyError(f"the seeds can't come from a FeedbackCandidates, whose search they are to steer: {brief(seeds)}")
    if within is not None and (not isinstance(within, Stage) or len(list(_candidates(within))) != 1):
        raise StrategyError(
            "the within of RelevanceFeedback is a stage with one FeedbackCandidates in it, e.g. "
            f"Fusion.rrf().over(FeedbackCandidates(limit=100), Nearest('bm25', limit=100)); got {within!r}"
        )
    if strategy.using is not None and not isinstance(strategy.using, str):
        raise StrategyError(f"the name of a vector must be text, got {strategy.using!r}")
    for name, allowed in (("mode", get_args(Mode)), ("on_error", get_args(OnError)), ("native", _FLAG), ("trust", _FLAG)):
        value = getattr(strategy, name)
        if not any(value is choice or (isinstance(choice, str) and value == choice) for choice in allowed):
            listed = " or ".join(map(repr, allowed))
            hint = did_you_mean(str(value), map(str, allowed))
            raise StrategyError(f"the {name} of RelevanceFeedback is {listed}; got {value!r}{hint}")


_FLAG = (True, False)


def check_numbers(strategy: RelevanceFeedback) -> None:
    """Refuse numbers of seeds and results that make no sense. Raises StrategyError."""
    seeds, limit = strategy.seed_count, strategy.limit
    if seeds < LEAST_SEEDS:
        raise StrategyError(
            f"RelevanceFeedback compares seeds with each other and needs at least {LEAST_SEEDS}, but {brief(strategy.seeds)} "
            f"has limit={seeds}: set it to 3 to 5"
        )
    if limit is not None and not is_whole(limit, 1):
        raise StrategyError(f"the limit of RelevanceFeedback must be a whole number of at least 1, got {limit!r}")
    if strategy.mode == "recall" and strategy.most is not None and strategy.most <= seeds:
        raise StrategyError(
            f"in mode 'recall' the model reads as many documents as RelevanceFeedback returns, {strategy.most} in all: "
            f"{seeds} seeds leave none for the second search; raise limit, or take fewer seeds"
        )


def check_coefficients(strategy: RelevanceFeedback) -> None:
    """Refuse a strategy without coefficients, or with some of unknown origin. Raises StrategyError."""
    given = strategy.coefficients
    if not isinstance(given, Coefficients):
        got = "" if given is None else f", got {given!r}"
        raise StrategyError(f"RelevanceFeedback needs coefficients{got}: {_FIT}; Coefficients(1, 0, 0) is plain search")
    if given.provenance is None and not given.plain and not strategy.trust:
        raise StrategyError(
            f"{given!r} don't say what they were fitted to, and coefficients of another collection or model make results "
            f"worse: {_FIT}, or add trust=True"
        )


def find_problems(strategy: RelevanceFeedback, target: Target) -> Iterator[str]:
    """Why a resolved strategy can't run on `target`."""
    yield from _vector_problems(strategy, target)
    yield from strategy.seeds.problems(target)
    yield from strategy.root.inner_problems(target)
    fitted = strategy.weights.provenance
    if fitted is None or strategy.trust or strategy.using is None:
        return
    if differing := list(fitted.differences(strategy.mode, strategy.seed_count, strategy.using, target)):
        yield (
            f"these coefficients were fitted to something else: {'; '.join(differing)}: fit them again, or use them "
            "nevertheless with trust=True"
        )
    if differs := text_problem(fitted.text, target):
        yield differs


def _vector_problems(strategy: RelevanceFeedback, target: Target) -> Iterator[str]:
    schema, using = target.schema, strategy.using
    there = f"the collection {schema.collection!r} has {schema.describe_vectors()}"
    if using is None:
        yield f"RelevanceFeedback compares one dense vector, and {there}: say which with using="
    elif using not in schema.vectors:
        yield f"no vector named {using!r}; {there}{did_you_mean(using, schema.vectors)}"
    elif schema.vectors[using].kind != "dense":
        yield (
            f"RelevanceFeedback can't compare {using!r} ({schema.vectors[using]}): only dense vectors can be shifted towards "
            f"others; {there}"
        )
    for candidate in _candidates(strategy.root):
        if candidate.vector is not None and candidate.vector != using:
            yield f"{candidate!r} compares another vector than the feedback is about, {using!r}: leave its using out"


def _candidates(stage: Stage) -> Iterator[Stage]:
    return (each for each in stage.stages() if each.is_steered)


LOOKED_AT: Final = 20
"""How many random points are looked at."""


def look_at_texts(fitted: TextSource | None, target: Target, options: SearchOptions) -> Flow[Target]:
    """`target`, with some points' payloads where only these can tell whether the model reads other texts than in the fit."""
    if fitted is None or not fitted.is_known or target.quirks.payloads or target.schema.points == 0:
        return target
    if _is_same(fitted, target) is not None:
        return target
    request = random_points(LOOKED_AT, True, options.filter, target.schema)
    [points] = yield from Search([request.model_copy(update={"shard_key": options.shard_key_selector})])
    target.quirks.payloads = tuple(point.payload or {} for point in points)
    return target


def text_problem(fitted: TextSource | None, target: Target) -> str:
    """The problem if the model certainly reads other texts than in the fit (`fitted`); "" if it doesn't."""
    if fitted is None or _is_same(fitted, target) is not False:
        return ""
    here, payloads = target.payload.source, target.quirks.payloads
    other = sum(_differs(fitted, target, payload) for payload in payloads)
    return (
        f"the reranker reads other texts than these coefficients were fitted to: {here}, was {fitted} ({other} of "
        f"{len(payloads)} random points differ): have it read the same, with {fitted.remedy(here, payloads)}, or fit again, or "
        "use the coefficients nevertheless with trust=True"
    )


def text_doubt(fitted: TextSource | None, target: Target) -> str:
    """The doubt if the model may read other texts than in the fit, and nothing can tell; "" if something does."""
    if fitted is None or _is_same(fitted, target) is not None:
        return ""
    return (
        "the reranker may read other texts than these coefficients were fitted to: "
        f"{target.payload.source}, was {fitted}; whether that is the same can't be found out here: fit again to be sure"
    )


def _is_same(fitted: TextSource | None, target: Target) -> bool | None:
    """Whether the model reads the same; None if nothing tells. Without a model nothing is read."""
    if fitted is None or fitted == target.payload.source or target.fingerprints.reranker() is None:
        return True
    if not fitted.is_known or not target.quirks.payloads:
        return None
    return not any(_differs(fitted, target, payload) for payload in target.quirks.payloads)


def _differs(fitted: TextSource, target: Target, payload: Mapping[str, Any]) -> bool:
    return fitted.read(payload).strip() != target.payload.content(payload).text.strip()
